"""Tests of `node/core/model`."""
