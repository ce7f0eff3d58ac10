"""One link for each pair of nodes, over a WebSocket.

    links          all links: dialing, accepting; what is sent, received and dropped; which frames
                   end a link
    link           one open link: cuts frames into slices and joins them, ends after silence
    gate           before a link opens: both nodes prove the cluster's secret, if there is one
    handshake      the hello of two nodes: name, version, settings; what they object to
    peer           what a node remembers of a peer; redial_pace: when to try again
    encoded        the bytes of messages that go to several peers
    cuts           peers that a test has cut off;  link_log: what the log says of links
    link_limits    what a link holds, and which node of a pair dials first

Imports protocol and security.  Read links first.
"""
