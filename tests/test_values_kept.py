"""A value goes through nodes, links and disks without a change, in every contract they share."""

import http.client
import signal
from contextlib import ExitStack
from pathlib import Path

from cluster.engines import node_client
from tests.node_process import PATIENCE_S, called_until, environment, free_addresses, node, said

VALUES = [
    b"0.00760939025925927263",
    b"-0",
    b"[1e400, 1.0, 123456789012345678901234567890]",
    b'{ "a" : 1,\n  "a" : "\\u00e9\\/" }',
    b'"' + b"\\u20ac" * 200_000 + b'"',  # 0.6 MB that are sent as 1.2 MB: too long to stay so
]
AS_STORED = {VALUES[-1]: '"{}"'.format("€" * 200_000).encode()}


def raw(method: str, address: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


CONTRACTS = [
    ("PUT", "/kvs/a", "/kvs/a", b'{"value":%b,"causal-metadata":{}}'),
    ("POST", "/storeData", "/getData?key=d", b'{"key":"d","value":%b}'),
    ("POST", "/store", "/store/key?key=p", b'{"key":"p","value":%b}'),
]


def test_what_was_sent_comes_back_from_every_node_and_after_a_restart(tmp_path: Path) -> None:
    addresses = free_addresses(2)
    settings = {"VIEW": ",".join(addresses), "SHARD_COUNT": "1", "DIALECT": "asg4,dynamo,peers"}
    envs = [environment(tmp_path, address, **settings) for address in addresses]
    with ExitStack() as stack:
        processes = [stack.enter_context(node(env)) for env in envs]
        for process in processes:
            said(process, "serving at")
        called_until(201, "POST", addresses[0], "/storeData", {"key": "first", "value": 1})
        for method, put, get, body in CONTRACTS:
            for value in VALUES:
                assert raw(method, addresses[0], put, body % value)[0] in (200, 201)
                for address in addresses:
                    _await_shown(address, get, AS_STORED.get(value, value))
        processes[0].send_signal(signal.SIGTERM)
        assert processes[0].wait(PATIENCE_S) == 0
        said(stack.enter_context(node(envs[0])), "serving at")
        for _, _, get, _ in CONTRACTS:
            _await_shown(addresses[0], get, AS_STORED[VALUES[-1]])


def _await_shown(address: str, path: str, value: bytes) -> None:
    """Wait until a node answers with this value: writes are on their way to the other one."""

    def is_shown() -> bool | None:
        status, body = raw("GET", address, path)
        return (status == 200 and b'"value":%b' % value in body) or None

    assert node_client.until(is_shown, PATIENCE_S), raw("GET", address, path)[1][:300]
