"""The `coterie` command.

app             arguments and exit codes
commands        what they do and print (status, ...); view_commands, ring_commands, doctor
engine_choice   which engine has a cluster, or would start it
first_commands  what to try first
"""
