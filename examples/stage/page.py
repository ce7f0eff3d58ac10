"""The log of a story: sentences, and below each the messages in the order in which they are sent.

A line has the time at which a message is sent, the time at which it arrives (both in ms since the
step began), sender and receiver, and what it says.  No line has more than 80 columns.
"""

import json
import textwrap
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import responses

from coterie.steps import Answer
from examples.stage.cluster import Request

COLUMNS = 80
BEFORE_PARTIES = " " * 16
PARTIES = len("carol > alice")
ASKED = ("Kv-Token", "Kv-Context", "Idempotency-Key")
ANSWERED = (
    "Kv-Acks",
    "Kv-Hints",
    "Kv-Reads",
    "Kv-Siblings",
    "Kv-Missing",
    "Kv-Context",
    "Kv-Token",
)

Shorten = Callable[[str, str], str]


class Page:
    """Writes the log, line by line, to `write`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def title(self, docstring: str, legend: Sequence[str]) -> None:
        """Begin with the first paragraph of the story's docstring, and how to read the log."""
        self._paragraph("", " ".join(docstring.partition("\n\n")[0].split()))
        if legend:
            self._write("")
        for line in legend:
            self._paragraph("  ", line)

    def sentence(self, number: int, text: str) -> None:
        self._write("")
        self._paragraph(f"{number}. ", text)
        self._write("")

    def remark(self, text: str) -> None:
        """Write a sentence of the story below the messages of a step."""
        self._paragraph("   ", text)

    def ending(self, text: str) -> None:
        self._write("")
        self._paragraph("", text)

    def request(
        self, now_ms: float | None, client: str, node: str, request: Request, shorten: Shorten
    ) -> None:
        sent = dict(request.headers)
        headers = [(name, sent[name]) for name in ASKED if name in sent]
        lines = [f"{name}: {shorten(name, text)}" for name, text in headers]
        body = [shown(request.body)] if request.body else []
        self.entry(now_ms, None, f"{client} > {node}", f"{request.method} {request.target}")
        self._below([*lines, *body])

    def answer(
        self, now_ms: float | None, client: str, node: str, answer: Answer, shorten: Shorten
    ) -> None:
        headers = [(name, answer.headers.get(name.lower())) for name in ANSWERED]
        lines = [f"{name}: {shorten(name, text)}" for name, text in headers if text]
        status = f"{answer.status} {responses.get(answer.status, '')}".rstrip()
        self.entry(now_ms, None, f"{node} > {client}", status)
        self._below([*lines, *_body_of(answer)])

    def entry(self, sent_ms: float | None, there_ms: float | None, parties: str, text: str) -> None:
        """Write one message, or what a node does."""
        times = "".join(f"{'' if ms is None else f'{ms:.1f}':>7}" for ms in (sent_ms, there_ms))
        self._paragraph(f"{times}  {parties:<{PARTIES}}  ", text)

    def states(self, states: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Write what the replicas have after a step: nodes, and lines about them."""
        self._write("")
        for (nodes, lines), label in zip(states, ("now", *[""] * len(states)), strict=False):
            self._paragraph(f"{label:>13}   {nodes:<{PARTIES}}  ", lines[0])
            self._below(lines[1:])

    def _below(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._paragraph(BEFORE_PARTIES + " " * (PARTIES + 2), line)

    def _paragraph(self, prefix: str, text: str) -> None:
        hanging = " " * len(prefix)
        lines = textwrap.wrap(
            text, COLUMNS, initial_indent=prefix, subsequent_indent=hanging, break_on_hyphens=False
        )
        for line in lines:
            self._write(line.rstrip())


def shown(body: bytes) -> str:
    """Return a JSON value as one line; other text as it is."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        return body.decode(errors="replace")


def _text(value: object) -> str:
    """Return a value as one line: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _body_of(answer: Answer) -> list[str]:
    """Return what a reader wants to see of an answer's body."""
    content_type = answer.headers.get("content-type", "")
    if answer.status == HTTPStatus.MULTIPLE_CHOICES:
        siblings = json.loads(answer.body)["siblings"]
        values = sorted(_text(each["value"]) for each in siblings)
        return [f"sibling: {value}" for value in values]
    if content_type.startswith("application/problem+json"):
        problem = json.loads(answer.body)
        return [f"{problem['type'].rpartition('/')[2]}: {problem['detail']}"]
    is_read = "kv-reads" in answer.headers
    return [shown(answer.body)] if is_read and answer.body else []
