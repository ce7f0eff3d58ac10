"""What a program outside the cluster uses.  So far this is the demonstration, `python -m
coterie.demo`.
"""
