"""A grader's script for the asg4 contract: knows HTTP and the contract, and nothing of our code.

It retries requests that answer 503 for `PATIENCE_S`, as such scripts do; any other answer is final.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from cluster.engines import node_client

PATIENCE_S = 1.2

Answer = tuple[int, dict[str, Any], dict[str, str]]

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(method: str, url: str, body: object = None, timeout_s: float = 10.0) -> Answer:
    """Return status, JSON body and headers; status 0 when the node did not answer."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _OPENER.open(request, timeout=timeout_s) as reply:
            return reply.status, json.loads(reply.read()), dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers)
    except OSError as error:
        return 0, {"error": str(error)}, {}


def patiently(method: str, url: str, body: object, patience_s: float = PATIENCE_S) -> Answer:
    """Return the first answer that is not 503, or the last one when the time is over."""
    answers = [ask(method, url, body)]

    def is_final() -> bool:
        if answers[-1][0] in (0, 503):
            answers.append(ask(method, url, body))
        return answers[-1][0] not in (0, 503)

    eventually(is_final, patience_s)
    return answers[-1]


def put(
    url: str, key: str, value: object, metadata: object, patience_s: float = PATIENCE_S
) -> Answer:
    body = {"value": value, "causal-metadata": metadata}
    return patiently("PUT", f"{url}/kvs/{key}", body, patience_s)


def get(url: str, key: str, metadata: object, patience_s: float = PATIENCE_S) -> Answer:
    return patiently("GET", f"{url}/kvs/{key}", {"causal-metadata": metadata}, patience_s)


def key_counts(url: str) -> dict[str, int]:
    """Return every shard's key count, as this node tells it."""
    shards = ask("GET", f"{url}/shard/ids")[1]["shard-ids"]
    return {
        shard: ask("GET", f"{url}/shard/key-count/{shard}")[1]["shard-key-count"]
        for shard in shards
    }


def eventually(condition: Callable[[], bool], wait_s: float) -> bool:
    """Whether the condition comes true in time."""
    return node_client.until(lambda: condition() or None, wait_s) is not None
