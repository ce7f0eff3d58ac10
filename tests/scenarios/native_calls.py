"""Requests of the native API, as a scenario makes them."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Said:
    """One answer of the native API."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def context(self) -> str:
        return self.headers["Kv-Context"]


def kv(url: str, method: str, key: str, body: bytes = b"", /, **headers: str) -> Said:
    """Ask for a key; the key may have a query behind it."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    data = body if method == "PUT" else None
    request = urllib.request.Request(f"{url}/v1/kv/{key}", data, named, method=method)
    try:
        with OPENER.open(request, timeout=30.0) as reply:
            return Said(reply.status, reply.read(), dict(reply.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Said(error.code, error.read(), dict(error.headers))


def values_of(said: Said) -> list[str]:
    return sorted(sibling["value"] for sibling in said.json["siblings"])


TEXT = {"Content_Type": "text/plain"}
ALL = "w=all&strict=true"  # all owners have the write on disk, and no hint stands for one
