"""Tests of `node/core/storage`."""
