"""Conversations: what nodes say to each other, command by command, as texts a person can read.

A text is a sequence of blocks: commands, `----`, everything they caused, an empty line.  The nodes
are real replicas under the real driver; only time, links and disks are played (`ports`).  The texts
record present behaviour: `python -m tests.conversations --rewrite` accepts it, a person reads the
diff.  (After the data-driven tests of etcd-io/raft.)
"""
