"""The `coterie` command, as the package installs it.

Clusters are started from a checkout, beside whose `coterie/` lies the launcher.  An installed
client has no launcher, and says so.  This module must not import the launcher by itself: another
package of a user may have its name.
"""

import sys
from importlib import import_module
from pathlib import Path

LAUNCHER = Path(__file__).resolve().parents[1] / "cluster" / "cli" / "app.py"
USAGE = 2


def main() -> None:
    """Run the launcher of this checkout; without one, exit with status 2 and say why."""
    if not LAUNCHER.exists():
        words = "this is the client library; clusters are started from a checkout of Coterie"
        print(f"coterie: {words}", file=sys.stderr)
        sys.exit(USAGE)
    import_module("cluster.cli.app").main()
