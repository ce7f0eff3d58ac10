"""Many replicas: started for real, or simulated and judged.

    cli/           the `coterie` command
    engines/       clusters of containers or of processes on this machine
    benchmarks/    what requests and view changes cost
    simulator/     a cluster in one thread, with drawn faults
    checker/       checks a history against the causal promises

cli and benchmarks import engines.  The simulator imports the checker, node.core and node.driver.
The checker and engines import no other part of the repository.
"""
