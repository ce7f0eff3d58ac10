"""What a program outside the cluster uses: so far the demonstration, `python -m coterie.demo`."""
