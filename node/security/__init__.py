"""Which peers and clients a node believes, and its record of those that it turned away.

    guard            all of it for one node, read again on SIGHUP
    settings         the settings of security;  expected: their words
    cluster_secret   the secret that nodes of one cluster share: what proves it, and to which node
    tokens           the bearer tokens of clients;  scopes: what a token or a route may do
    tls              certificates: of this node, of its peers, of clients that show one
    networks         which addresses a view may name
    first_keys       makes the secrets of a new cluster, before its nodes start
    audit            one line for each refusal and each act of an administrator, in bounded number

Knows no connection and no request: `shell` asks these rules.  (docs/security.md.)
"""
