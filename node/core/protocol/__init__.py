"""What clients, nodes and the driver say to a replica, and a replica to them.

    operations     what clients ask, with what holds where they do not say (ANSWER_S), and what they
                   are answered
    messages       what nodes send to each other; hints, key_pages, watching: three
                   conversations of them
    mark           by what a node is told from a copy of itself
    inspection     what nodes say of one key, for a person who asks why
    pieces         items that are too large for one message
    events         what a replica is told: a message, a request, a link, the time
    effects        what a step causes
    step           the step in hand: its time, and what it causes so far

Imports model only.  Read operations, then messages.
"""
