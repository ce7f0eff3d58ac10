"""The examples: golden logs of all stories (`told`), their command line, and their page."""
