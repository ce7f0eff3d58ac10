"""Files for orchestrators: Compose, Swarm and Kubernetes, all made from one description.

    description    what a deployment is: nodes, their stable names, settings, times and sizes
    containers     what Compose and Swarm say alike of a node
    compose        the description as a Compose file, for one machine
    swarm          ... as a Swarm stack
    pods           ... as the pod of a node in Kubernetes
    kubernetes     ... as the manifests of Kubernetes
    written        the files as text: YAML with a heading
    published      where the nodes are on this host, for `coterie status` and `coterie view`
    sbom           what is in an image, as a CycloneDX document

Read `description` first.  Nothing here starts anything or asks an engine.
"""
