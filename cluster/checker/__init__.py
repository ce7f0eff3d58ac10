"""Checks whether a history keeps the causal promises, and whether it ended well.

    history        what clients asked and were told: the only evidence
    check          the entrance: from a history to violations, by all rules
    causal_order   which operations may have known of which
    reads_from     which write a read saw
    rules          what one answer may show, given all that its session knew: the rules about reads
    arbitration    all reads together must allow one order of the writes
    final_state    what must be true at rest
    guarantees     which of the four session guarantees a broken rule breaks, for the report
    violations     the kinds of violations, each by its name; a new rule adds its kind here

Imports nothing of ours.  Read history, then check.
"""
