"""Watches as a scenario follows them: a thread reads the events and remembers the last id."""

import json
import socket
import threading
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

SILENT_S = 20.0  # longer than from one comment to the next
OPEN_S = 30.0


class Follower(threading.Thread):
    """Reads a watch at one node; `events` are kinds and data in their order, `status` and `problem`
    say how it began."""

    def __init__(self, url: str, query: str, last_id: str = "") -> None:
        super().__init__(daemon=True)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.last_id, self.status = last_id, 0
        self.headers: dict[str, str] = {}
        self.problem: dict[str, Any] = {}
        self._is_open = threading.Event()
        self._link = HTTPConnection(urlsplit(url).netloc, timeout=SILENT_S)
        self._link.request(
            "GET", f"/v1/watch?{query}", headers={"Last-Event-ID": last_id} if last_id else {}
        )
        self.start()
        assert self._is_open.wait(OPEN_S)

    def close(self) -> None:
        """Break the connection."""
        if self._link.sock is not None:
            self._link.sock.shutdown(socket.SHUT_RDWR)
        self.join(OPEN_S)

    def values(self) -> dict[str, Any]:
        """The last value of each key that was told; None: deleted."""
        return {said["key"]: said.get("value") for kind, said in self.events if kind != "reset"}

    def run(self) -> None:
        try:
            with self._link.getresponse() as reply:
                self.status, self.headers = reply.status, dict(reply.headers)
                if reply.status == 200:
                    self._read(reply)
                else:
                    self.problem = json.loads(reply.read())
        except (OSError, HTTPException, ValueError):
            pass  # one side has ended it, perhaps in the middle of a line
        finally:
            self._link.close()
            self._is_open.set()

    def _read(self, reply: HTTPResponse) -> None:
        fields: dict[str, str] = {}
        for line in reply:
            name, _, text = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = text
                continue
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                self.events.append((fields["event"], json.loads(fields["data"])))
            fields = {}
            self._is_open.set()
