"""How the launcher talks: it writes progress to stderr and results to stdout.

On a terminal a spinner shows that a phase goes on; elsewhere each phase is one plain line at its
end. rich leaves colours out where NO_COLOR is set or stderr is no terminal.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.markup import escape

GAP = "  "


class Report:
    """The progress of one command, on stderr."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        utf8 = (self.console.encoding or "").lower().startswith("utf")
        self.tick, self.cross = ("✓", "✗") if utf8 else ("ok", "FAILED")

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """Show that the block is under way, then that it is done or failed, with its seconds."""
        began = time.monotonic()
        terminal = self.console.is_terminal
        try:
            with self.console.status(escape(title)) if terminal else nullcontext():
                yield
        except BaseException:
            self._line(f"[red]{self.cross}[/red]", title, began)
            raise
        self._line(f"[green]{self.tick}[/green]", title, began)

    def _line(self, mark: str, title: str, began: float) -> None:
        seconds = time.monotonic() - began
        self.console.print(f" {mark} {escape(title):<46} [dim]{seconds:.1f} s[/dim]")

    def note(self, text: str) -> None:
        """Print something that is not a phase."""
        self.console.print(escape(text), style="dim")

    def error(self, text: str) -> None:
        """Print an error."""
        self.console.print(f"[red]coterie:[/red] {escape(text)}")


def say(text: str = "") -> None:
    """Write a line of the result to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns under their heads; a terminal and a pipe get the same."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
