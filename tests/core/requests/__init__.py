"""Tests of `node/core/requests`."""
