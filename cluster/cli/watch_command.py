"""What `coterie watch` does: it follows a watch, and prints a line for each event.

If the node that it asks falls silent or stops, the next one goes on from the last id.  It gives up
when no node has answered for as long as `--timeout` says.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import cycle
from typing import Any
from urllib.parse import urlencode, urlsplit

from cluster.cli import session_file
from cluster.cli.client_session import Asked
from cluster.engines.console import say
from cluster.engines.topology import FAILURE, UNAVAILABLE, USAGE, Trouble

SILENT_S = 20.0  # longer than from one comment of a node to the next
PAUSE_S = 0.2  # before the next node is asked
SHORT_CHARACTERS = 60  # of a value on a line
CODES = {400: USAGE}


@dataclass(frozen=True)
class WatchedKeys:
    """A key, or all keys of a prefix; how many events are printed (None: all), and where to go
    on."""

    key: str | None
    prefix: str | None
    limit: int | None = None
    last_id: str = ""

    @property
    def query(self) -> str:
        if self.key is not None:
            return urlencode({"key": self.key})
        return urlencode({"prefix": self.prefix or ""})


@dataclass
class WatchStream:
    """How far the command has come."""

    last_id: str
    heard: float = field(default_factory=time.monotonic)


def watch(asked: Asked, wanted: WatchedKeys, as_json: bool) -> None:
    """Print what changes, until the limit is reached or the command is interrupted."""
    if wanted.key is not None and wanted.prefix is not None:
        raise Trouble("watch a KEY or a --prefix, not both", USAGE)
    if wanted.limit is not None and wanted.limit < 1:
        raise Trouble(f"--limit is {wanted.limit}; expected a number above 0", USAGE)
    token = session_file.load(asked.session).token
    events = _events(asked, wanted, token)
    for number, (kind, event_id, said) in enumerate(events, 1):
        if as_json:
            say(json.dumps({"event": kind, "event_id": event_id, **said}, ensure_ascii=False))
        else:
            say(line_of(kind, said))
        if number == wanted.limit:
            return


def line_of(kind: str, said: dict[str, Any]) -> str:
    """Return an event as one line for people."""
    if kind == "reset":
        return f"reset   {said['reason']}: read the keys again"
    return f"{kind:<6}  {said['key']}  {_value_of(said)}".rstrip()


def _value_of(said: dict[str, Any]) -> str:
    if said.get("overwritten"):
        return "(overwritten at once)"
    if "siblings" in said:
        return f"({len(said['siblings'])} values)"
    if "size" in said:
        return f"({said['size']} bytes, {said['content_type']})"
    if "value_base64" in said:
        return f"({said['content_type']})"
    if "value" not in said:
        return ""
    value = said["value"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= SHORT_CHARACTERS else f"{line[: SHORT_CHARACTERS - 3]}..."


Event = tuple[str, str, dict[str, Any]]


def _events(asked: Asked, wanted: WatchedKeys, token: str) -> Iterator[Event]:
    """Yield events: their kinds, ids and data, from one node after the other."""
    stream = WatchStream(wanted.last_id)
    for url in cycle(asked.urls):
        link = _link_to(url)
        try:
            yield from _events_at(link, wanted, token, stream)
        except (OSError, HTTPException):
            pass  # the node stopped, or cannot be reached: the next one goes on
        finally:
            link.close()
        if time.monotonic() - stream.heard > asked.timeout_s:
            raise Trouble(f"no node answered for {asked.timeout_s:g} s", UNAVAILABLE)
        time.sleep(PAUSE_S)


def _link_to(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.netloc:
        raise Trouble(f"{url!r} is no URL of a node; expected http://HOST:PORT", USAGE)
    return HTTPConnection(parts.netloc, timeout=SILENT_S)


def _events_at(
    link: HTTPConnection, wanted: WatchedKeys, token: str, stream: WatchStream
) -> Iterator[Event]:
    sent = {"Last-Event-ID": stream.last_id, "Kv-Token": token}
    headers = {name: text for name, text in sent.items() if text}
    link.request("GET", f"/v1/watch?{wanted.query}", headers=headers)
    reply = link.getresponse()
    if reply.status == 200:
        yield from _read(reply, stream)
    elif reply.status != 503:
        detail = json.loads(reply.read()).get("detail", reply.reason)
        raise Trouble(str(detail), CODES.get(reply.status, FAILURE))


def _read(reply: HTTPResponse, stream: WatchStream) -> Iterator[Event]:
    """Yield the events of one answer.  An id counts with the blank line that ends its block."""
    fields: dict[str, str] = {}
    for line in reply:
        stream.heard = time.monotonic()
        name, _, text = line.decode().rstrip("\r\n").partition(": ")
        if name:
            fields[name] = text
            continue
        stream.last_id = fields.get("id", stream.last_id)
        if "data" in fields:
            yield fields["event"], stream.last_id, json.loads(fields["data"])
        fields = {}
