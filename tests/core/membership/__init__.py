"""Tests of `node/core/membership`."""
