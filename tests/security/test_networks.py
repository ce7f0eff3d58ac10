"""PEER_NETWORKS: which addresses a change of the view may name."""

import json

import pytest

from node.api.admin.view_jobs import views
from node.config import read
from node.core.protocol.operations import Propose, Unavailable
from node.security.audit import Audit
from node.security.networks import networks_around, networks_in
from node.security.tokens import ApiTokens
from node.setting_types import BadSetting
from node.shell.http.doorman import Doorman
from tests.security.callers import ONE, audited
from tests.web import NODES, request, served

METADATA = "169.254.169.254:80"


@pytest.mark.parametrize(
    ("view", "near", "far"),
    [
        (
            ["10.10.0.2:8090"],
            ["10.10.255.1:1"],
            ["10.11.0.1:1", METADATA, "127.0.0.1:1", "localhost:1", "[::1]:1", "alice:1"],
        ),
        (
            ["127.0.0.1:8090"],
            ["127.9.9.9:1", "localhost:1", "[::1]:1"],
            [METADATA, "10.0.0.1:1", "alice:1"],
        ),
        (["localhost:8090"], ["127.0.0.1:1"], [METADATA]),
        (["[fd00::2]:1"], ["[fd00::3]:1"], ["[fd01::2]:1", "[fe80::1]:1", "10.0.0.1:1"]),
        (["alice:1"], ["bob:1"], ["metadata.internal:80", "localhost:1", METADATA]),
        (
            ["n1.db.example:1"],
            ["n2.db.example:1"],
            ["n3.example:1", "x.evil:1", "evildb.example:1", "bob:1"],
        ),
        (["alice:1", "10.0.0.1:1"], ["bob:1", "10.0.3.4:1"], ["10.1.0.1:1"]),
    ],
)
def test_by_default_nodes_are_near_those_of_the_first_view(
    view: list[str], near: list[str], far: list[str]
) -> None:
    networks = networks_around(view)
    assert networks.strangers([*view, *near, *far]) == far


def test_the_setting_names_networks_names_and_domains() -> None:
    networks = networks_in("10.10.0.0/16, fd00::/64,Node-1.example, .db.example")
    near = ["10.10.1.1:1", "[fd00::9]:1", "node-1.example:1", "a.db.example:1"]
    far = ["10.11.0.1:1", "[fd01::9]:1", "node-2.example:1", "db.example:1", "127.0.0.1:1"]
    assert networks.strangers(near + far) == far


@pytest.mark.parametrize("text", ["10.10.0.2/16", "10.10", "http://a", "a b", ",", "a:1", "a/b"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="PEER_NETWORKS"):
        read({"SOCKET_ADDRESS": "10.10.0.2:1", "PEER_NETWORKS": text}, [])


def test_without_a_secret_the_view_has_no_bounds() -> None:
    given = {"SOCKET_ADDRESS": "10.10.0.2:1"}
    assert read(given, []).security.networks(["10.10.0.2:1"]) is None
    secured = read({**given, "CLUSTER_SECRET": ONE.decode()}, []).security
    assert secured.networks(["10.10.0.2:1"]) == networks_around(["10.10.0.2:1"])


async def test_a_change_that_names_a_stranger_is_refused_by_every_contract(
    caplog: pytest.LogCaptureFixture,
) -> None:
    doorman = Doorman(ApiTokens(), Audit(), networks=networks_around(NODES))
    async with served(views(), doorman=doorman) as site:
        site.driver.holds = True
        refused = await site.ask("PUT", "/view", _body({"socket-address": METADATA}))
        assert (refused.status, b"PEER_NETWORKS" in refused.body) == (400, True)
        plan = await site.ask("POST", "/v1/view?plan=true", _body({"add": [METADATA]}))
        name = json.loads(plan.body)["plan"]
        refused = await site.ask("POST", "/v1/view", _body({"plan": name, "force": True}))
        assert refused.status == 400
        assert site.driver.held.empty()
        assert [line.rpartition(" ")[2] for line in audited(caplog)] == [
            "status=400",
            "status=200",
            "status=400",
        ]
        wire = await site.wire()
        wire.send(request("PUT", "/view", _body({"socket-address": "127.0.0.9:1"})))
        operation, done = await site.driver.held.get()
        assert isinstance(operation, Propose)
        done(Unavailable("over", definite=True))
        assert (await wire.read()).status == 503


def _body(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode()
