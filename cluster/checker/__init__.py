"""Checks whether a history keeps the causal promises, and whether it ended well.

    history        what clients asked and were told: the only evidence
    check          the entrance: from a history to violations
    causal_order   which operations may have known of which
    reads_from     which write a read saw
    rules          what one answer may show
    arbitration    all reads together must allow one order of the writes
    final_state    what must be true at rest
    guarantees     the name of the promise that was broken
    violations     the types of the verdict

Imports nothing of ours.  Read history, then check.
"""
