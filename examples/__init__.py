"""Six short stories of an eventually consistent store: `python -m examples.conflict`.

    basic          levels: how many replicas a write and a read wait for, and what a token adds
    conflict       two people edit one version: siblings, last-write-wins, and a merge
    partition      both sides of a partition go on; what both see after it has healed
    read_repair    a replica that has missed a write gets it by a read
    cart           siblings of a shopping cart, merged so that nothing comes back that was removed
    counter        read, add, write; siblings, and a write that is sent twice
    stage/         what a story is played on: the simulator, or the nodes behind `--url`

Each story is one page; read it beside its output.  docs/examples.md has excerpts.  Nothing imports
the stories but their tests.
"""
