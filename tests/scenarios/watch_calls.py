"""Watches as a scenario follows them: a thread reads events, and goes on with the last id."""

import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import Any

from tests.scenarios.native_calls import OPENER

SILENT_S = 20.0  # longer than from one comment to the next


def opened(url: str, query: str, last_id: str = "") -> HTTPResponse:
    """Begin a watch; raises HTTPError."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    request = urllib.request.Request(f"{url}/v1/watch?{query}", headers=headers)
    reply: HTTPResponse = OPENER.open(request, timeout=SILENT_S)
    return reply


class Follower(threading.Thread):
    """Reads a watch at one node; `events` are kinds and data, in their order."""

    def __init__(self, url: str, query: str, last_id: str = "") -> None:
        super().__init__(daemon=True)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.last_id, self.status, self.is_open = last_id, 0, threading.Event()
        self._url, self._query, self._is_over = url, query, False
        self.start()
        assert self.is_open.wait(30.0)

    def close(self) -> None:
        """Read no more."""
        self._is_over = True

    def values(self) -> dict[str, Any]:
        """The last value of each key that was told; None: deleted."""
        return {said["key"]: said.get("value") for kind, said in self.events if kind != "reset"}

    def run(self) -> None:
        try:
            with opened(self._url, self._query, self.last_id) as reply:
                self.status = reply.status
                self._read(reply)
        except urllib.error.HTTPError as error:
            self.status = error.code
        except (OSError, HTTPException):
            pass  # the node has died
        finally:
            self.is_open.set()

    def _read(self, reply: HTTPResponse) -> None:
        fields: dict[str, str] = {}
        for line in reply:
            name, _, text = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = text
            else:
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    self.events.append((fields["event"], json.loads(fields["data"])))
                fields = {}
                self.is_open.set()
            if self._is_over:
                return
