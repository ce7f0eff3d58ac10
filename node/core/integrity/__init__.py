"""Rows that the disk has changed, or that differ from the shard peers' for no known reason.

    scrubber         reads all rows again, slowly
    row_repair       asks peers for what a damaged row held
    content_compare  compares hashes with peers, and finds the row that differs

Imports membership and below.
"""
