"""`python -m cluster` is the `coterie` command (`cluster/cli/app.py`)."""

from cluster.cli.app import main

if __name__ == "__main__":
    main()
