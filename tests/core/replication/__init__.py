"""Tests of `node/core/replication`."""
