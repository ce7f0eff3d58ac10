"""The ports of the core, for real.

    http/          the HTTP server
    peers/         links to other nodes
    disk/          the store on SQLite
    event_loop     the loop and the clock; gc_schedule: when the garbage collector runs

The three folders do not know each other.  This module imports aiohttp without the host's
certificates. aiohttp reads them at import, for TLS with hosts that no node ever calls, and that is
a sixth of all the work of a start.  (docs/decisions/0034.)
"""

import ssl
from importlib import import_module
from typing import Any


def _without_certificates(module: str) -> None:
    """Import the module; SSL contexts that it makes at import get no certificates."""

    def trust_nobody(self: ssl.SSLContext) -> None:
        """Stands in for the method that loads the host's certificates."""

    hidden: Any = ssl.SSLContext
    hidden.set_default_verify_paths = trust_nobody
    try:
        import_module(module)
    finally:
        del hidden.set_default_verify_paths


_without_certificates("aiohttp")
