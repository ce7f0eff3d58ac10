"""Deployments: the files from one description, and what they start where an engine answers."""
