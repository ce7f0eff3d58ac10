"""Conversations: what nodes say to each other, command by command, as texts that a person can read.

A text is a sequence of blocks: commands, `----`, everything that they caused, an empty line.  The
nodes are real replicas under the real driver; only time, links and disks are simulated (`ports`).
The texts record present behaviour.  `python -m tests.conversations --rewrite` accepts it, and the
developer reads the diff.  (After the data-driven tests of etcd-io/raft.)
"""
