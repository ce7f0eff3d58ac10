"""The `coterie` command.

app             arguments and exit codes
commands        what they do and print (status, ...);  doctor: what this machine has and lacks
options         options and questions that several commands share
view_app        the arguments of `view` and `ring`
view_commands   what `coterie view` prints of plans, jobs and events
ring_commands   what `coterie ring` prints
data_app        the arguments of commands about keys;  data_commands: what they do
many_app        the same about many keys;  many_commands: what they do
watch_command   what `coterie watch` does
merged_app      those of `counter` and `set`;  merged_commands: what they do
backup_app      those of `backup` and `restore`;  backup_commands: what they do
backup_files    a backup as files, and whether they are whole
explained       an explanation as tables;  explained_words: as sentences
client_session  the client of one of them, and exit codes;  session_file: what a session keeps
run             where clusters are
engine_choice   which engine has a cluster, or would start it
first_commands  what to try first
"""
