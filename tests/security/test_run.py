"""Two nodes as processes with all of security on: they form a cluster, and say no secret."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coterie import Client, CoterieError
from node.security.scopes import ALL
from node.security.tokens import new_token
from tests.node_process import PATIENCE_S, environment, free_addresses, node, said
from tests.security.authority import Authority
from tests.security.callers import ONE, TWO


class SecureClient:
    """A client with a token, which trusts one authority."""

    def __init__(self, authority: Authority, token: str) -> None:
        self._token = token
        context = ssl.create_default_context(cafile=str(authority.file))
        handler = urllib.request.HTTPSHandler(context=context)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)

    def ask(self, method: str, address: str, path: str, body: bytes | None = None) -> int:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"https://{address}{path}"
        asked = urllib.request.Request(url, body, headers, method=method)
        try:
            with self._opener.open(asked, timeout=PATIENCE_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def until(self, status: int, method: str, address: str, path: str, *body: bytes) -> None:
        """Ask until the answer has this status."""
        deadline = time.monotonic() + PATIENCE_S
        while (said := self.ask(method, address, path, *body)) != status:
            assert time.monotonic() < deadline, said


def test_a_secure_cluster_serves_and_changes_its_secrets(tmp_path: Path) -> None:
    authority, addresses = Authority(tmp_path / "authority"), free_addresses(2)
    (first, first_line), (second, second_line) = (new_token(ALL, each) for each in ("old", "new"))
    files = authority.files("127.0.0.1")
    secret, tokens = tmp_path / "secret", tmp_path / "tokens"
    secret.write_bytes(ONE)
    tokens.write_text(first_line)
    settings = {
        "VIEW": ",".join(addresses),
        "SHARD_COUNT": "1",
        "SECURE": "1",
        "CLUSTER_SECRET_FILE": str(secret),
        "API_TOKENS_FILE": str(tokens),
        "TLS_CERT": str(files.certificate),
        "TLS_KEY": str(files.key),
        "TLS_CA": str(files.authority),
    }
    lines: list[str] = []
    with ExitStack() as stack:
        nodes: list[Any] = [
            stack.enter_context(node(environment(tmp_path, address, **settings)))
            for address in addresses
        ]
        for process in nodes:
            said(process, "serving at")
        old, new = SecureClient(authority, first), SecureClient(authority, second)
        a, b = addresses
        old.until(201, "PUT", a, "/v1/kv/cart?w=all", json.dumps("a value").encode())
        old.until(200, "GET", b, "/v1/kv/cart")
        assert new.ask("GET", b, "/v1/kv/cart") == 401
        assert old.ask("GET", b, "/kvs/cart") == 404  # no contract is named
        _asks_as_users_do(authority, addresses, first)
        secret.write_bytes(ONE + b"\n" + TWO)
        tokens.write_text(second_line)
        for process in nodes:
            process.send_signal(signal.SIGHUP)
        for address in addresses:
            new.until(200, "GET", address, "/v1/kv/cart")
            assert old.ask("GET", address, "/v1/kv/cart") == 401
        for process in nodes:
            process.terminate()
            lines += process.stdout
            assert process.wait(PATIENCE_S) == 0
    text = "".join(lines)
    assert "client-refused" in text
    for word in (ONE.decode(), TWO.decode(), first[-20:], second[-20:], "a value"):
        assert word not in text
    for path in (tmp_path / addresses[0]).rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / addresses[0]).stat().st_mode & 0o077 == 0


def _asks_as_users_do(authority: Authority, addresses: list[str], token: str) -> None:
    """Write with the library, and read with the command."""
    urls, ca = [f"https://{address}" for address in addresses], str(authority.file)
    with Client(urls, api_token=token, ca=ca) as kv:
        kv.put("basket", ["tea"], w="all")
    with Client(urls, api_token=f"{token}x", ca=ca) as kv, pytest.raises(CoterieError):
        kv.get("basket")
    with Client(urls, ca=ca) as kv, pytest.raises(CoterieError):
        kv.get("basket")
    command = [sys.executable, "-m", "cluster", "--ca", ca, "get", "basket", "--url", urls[1]]
    for given, code, out in ((token, 0, '["tea"]'), ("", 2, "")):
        env = {"PATH": os.environ["PATH"], "COTERIE_TOKEN": given}
        ended = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert (ended.returncode, ended.stdout.strip()) == (code, out), ended.stderr


def test_a_client_says_what_is_no_token_and_no_authority() -> None:
    for token in ("a\r\nb", "a b", "\xe9"):
        with pytest.raises(ValueError, match="api_token is no token"):
            Client("https://127.0.0.1:1", api_token=token)
    with pytest.raises(ValueError, match="ca is no file"):
        Client("https://127.0.0.1:1", ca="/no/such/file")
