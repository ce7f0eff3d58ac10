"""Tests of `node/core/integrity`."""
