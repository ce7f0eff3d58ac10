"""The stories, and what they tell in the simulator."""

from importlib import import_module
from pathlib import Path

from examples.stage.page import Page
from examples.stage.play import Play
from examples.stage.simulated import SimulatedCluster

FOLDER = Path(__file__).parent
STORIES = ("basic", "conflict", "partition", "read_repair", "cart", "counter")


def told(name: str) -> str:
    """Tell a story in the simulator; return its log."""
    lines: list[str] = []
    page, module = Page(lines.append), import_module(f"examples.{name}")
    Play(SimulatedCluster(page), page).tell(str(module.__doc__), module.story)
    return "".join(f"{line}\n" for line in lines)


def golden(name: str) -> Path:
    return FOLDER / f"{name}.txt"
