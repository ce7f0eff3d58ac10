"""The core's own tests: one file per file of node/core, laws as properties."""
