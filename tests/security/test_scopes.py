"""Every route says what its caller must be allowed to do."""

import pytest

from node.__main__ import dialects_of
from node.api.dialects.listing import BY_NAME
from node.config import read
from node.security.scopes import ApiScope
from node.shell.http.router import Endpoint, Table
from tests.web import served

OURS = {"SOCKET_ADDRESS": "10.10.0.2:8090", "ADDRESS": "10.10.0.2:8090", "VIEW": "10.10.0.2:8090"}
OPEN_PATHS = {"/livez", "/readyz", "/openapi.json", "/v1/docs", "/v1/problems/{kind}"}
SAFE = {"GET", "HEAD"}
ADMINISTRATION = ("view", "reshard", "member", "faults", "policies", "export", "import")


async def endpoints_of(contract: str) -> list[Endpoint]:
    """All that a node of this contract serves, faults included."""
    settings = read({**OURS, "DIALECT": contract, "NODE_IDENTIFIER": "1"}, [])
    async with served(faults=True) as site:
        own = [each for each in site.server.endpoints() if each.owner == "server"]
    return [*Table(dialects_of(settings)).endpoints(), *own]


@pytest.mark.parametrize("contract", BY_NAME)
async def test_every_route_declares_its_scope(contract: str) -> None:
    endpoints = await endpoints_of(contract)
    assert len(endpoints) > 40
    for each in endpoints:
        where = f"{each.owner}: {each.method} {each.pattern}"
        assert each.scope is not None, where
        assert (each.scope is ApiScope.OPEN) == (each.pattern in OPEN_PATHS), where
        assert (each.scope is ApiScope.PEERS) == (each.pattern == "/peer"), where
        changes = each.scope in (ApiScope.WRITE, ApiScope.ADMIN)
        differs = each.pattern in ("/v1/bulk", "/v1/snapshot", "/v1/export")
        assert changes == (each.method not in SAFE) or differs, where
        if each.pattern == "/v1/export":  # it reads what no other request shows
            assert each.scope is ApiScope.ADMIN, where
        if changes and "kv" not in each.pattern:
            assert (each.scope is ApiScope.ADMIN) == any(
                word in each.pattern for word in ADMINISTRATION
            ), where
