"""The words of the settings, apart from what reads their values: a node reads its settings before
its port is open, and imports little until then.
"""

SECRETS_MAX = 2
SECRET_CHARACTERS_MIN = 32
DIFFERENT_CHARACTERS_MIN = 8
SECRETS = (
    f"one secret, or two with white space between them, each of at least {SECRET_CHARACTERS_MIN} "
    f"printable characters and {DIFFERENT_CHARACTERS_MIN} different ones, as `openssl rand -hex 32`"
    " makes them"
)
TOKENS_SETTING = "API_TOKENS_FILE"
NETWORKS = "networks such as 10.10.0.0/16, names of hosts, and .domains, with commas between them"
