"""What things cost, as ratios within one run.

requests       `make bench`: requests, beside a bare server (bare_server)
resharding     `make bench-move`: what a view change costs clients
"""
