"""Tests of `node/core/protocol`."""
