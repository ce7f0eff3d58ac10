"""Where the command finds clusters, and the engine of one."""

from pathlib import Path

from cluster.cli.engine_choice import find
from cluster.engines.console import Report
from cluster.engines.engine import Engine, EngineChoice
from cluster.engines.topology import checked_name


class Run:
    """The directory of all clusters, and the module that is a node; tests set their own."""

    home = Path(".cluster")
    module = "node"


def engine_of(name: str, choice: EngineChoice = "auto", aloud: Report | None = None) -> Engine:
    """Return the engine that has the cluster or would start it, and say aloud why that one."""
    engine, remark = find(checked_name(name), choice, Run.home, Run.module)
    if remark and aloud is not None:
        aloud.note(remark)
    return engine
