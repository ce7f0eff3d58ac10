"""The `coterie` command.

app             arguments and exit codes
commands        what they do and print (status, ...)
view_commands   what `coterie view` prints of plans, jobs and events
ring_commands   what `coterie ring` prints; doctor: what this machine has and lacks
engine_choice   which engine has a cluster, or would start it
first_commands  what to try first
"""
