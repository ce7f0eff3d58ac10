"""What a story is played on, and the log that it writes.

    command        the command line of all stories, and their exit codes
    play           what a story says and does: steps, a partition, checks
    storyteller    the client of a story: it sends requests, and keeps a token
    page           the log: requests, answers and messages in columns
    cluster        what a play asks of a cluster
    simulated      such a cluster in the simulator: three nodes, one seed, virtual time
    messages       the simulator's messages, clocks and versions in words
    real           such a cluster behind URLs, by HTTP

Read play, then simulated.  A story knows `play` and the package `coterie`, and neither of the two
clusters.  Only `simulated` and `messages` know nodes.
"""
