"""The contracts that were written for course stores; docs/dialects.md has them to the letter.

Each contract is one folder: its entry in `__init__` (settings, start, first commands), its routes
and their handlers in `handlers`.  It knows no other contract.  To remove it, delete its folder and
its line in `listing`.

    listing          all entries, in the order in which a node compares them with its settings
    asg4             the default, and asg3
    admin_view  causal  data_view  dynamo  keys_view  peers  shard_view
    address_setting  ADDRESS, which two of them know
    first_commands   how to write the commands to try first

Read asg4 first.
"""
