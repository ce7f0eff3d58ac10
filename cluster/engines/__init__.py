"""Clusters on this machine.

    engine           what can be done to a cluster, whatever runs it, and the defaults
    processes        local processes          containers    Docker containers
    topology         the nodes of a cluster, as values
    launch           brings a cluster up as one transaction; add_node: one more node
    node_client      asks a node over HTTP
    partition_file   the partition that is in force    host    ports and processes
    docker_image  docker_base_image  docker_subnets    what containers need
    console          progress to stderr, data to stdout

Read engine and topology first.
"""
