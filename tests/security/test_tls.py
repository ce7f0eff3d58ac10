"""TLS: which certificates open a link, and what clients of the port need."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from node.config import read
from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.security.tls import TlsContexts, TlsFiles, names, pair_from
from node.security.tokens import ApiTokens
from node.setting_types import BadSetting
from node.shell.http.doorman import Doorman
from node.shell.peers.gate import Distrusted, Gate
from node.shell.peers.handshake import new_session
from tests.peers import Peer, address_of, envelope, free_ports, listening, until
from tests.security.authority import Authority, contexts, encrypted
from tests.security.callers import CALLER, ONE, TWO, audited
from tests.web import served

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@dataclass
class Place:
    """A node with TLS, its authority, and another authority."""

    node: Peer
    ours: Authority
    others: Authority


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    directory = tmp_path_factory.mktemp("authorities")
    return Authority(directory / "ours"), Authority(directory / "others")


@pytest.fixture
async def place(authorities: tuple[Authority, Authority]) -> AsyncIterator[Place]:
    ours, others = authorities
    (port,) = free_ports(1)
    tls = contexts(ours.files(HERE))
    node = Peer(address_of(port), secrets=[ONE], tls=tls)
    async with encrypted(node, port, tls):
        node.start()
        yield Place(node, ours, others)
        await node.links.close()


async def test_nodes_with_certificates_meet(authorities: tuple[Authority, Authority]) -> None:
    ours, _ = authorities
    ports = [socket.create_server((host, 0)) for host in (HERE, ELSEWHERE)]
    addresses = ["{}:{}".format(*port.getsockname()) for port in ports]
    tls = [contexts(ours.files(host)) for host in (HERE, ELSEWHERE)]
    a, b = (Peer(each, secrets=[ONE], tls=own) for each, own in zip(addresses, tls, strict=True))
    async with encrypted(a, ports[0], tls[0]), encrypted(b, ports[1], tls[1]):
        a.start(b.address)
        b.start(a.address)
        await a.has_seen(1)
        a.links.send(b.address, envelope(1))
        await b.sees("up", envelope(1))
        await a.links.close()
        await b.links.close()


NO_CERTIFICATE = "no certificate"
CALLERS: dict[str, tuple[Callable[[Place], TlsFiles | None], bytes, str]] = {
    "another authority": (lambda p: p.others.files(HERE), ONE, "tls-refused from=127.0.0.1 why='"),
    "expired": (
        lambda p: p.ours.files(HERE, expired=True),
        ONE,
        "tls-refused from=127.0.0.1 why='certificate has expired'",
    ),
    "another node's": (
        lambda p: p.ours.files(ELSEWHERE),
        ONE,
        f"peer-refused from=127.0.0.1 node={CALLER} why='its certificate is of another node'",
    ),
    NO_CERTIFICATE: (
        lambda p: None,
        ONE,
        "peer-refused from=127.0.0.1 why='it shows no certificate'",
    ),
    "another secret": (
        lambda p: p.ours.files(HERE),
        TWO,
        f"peer-refused from=127.0.0.1 node={CALLER} why='its proof is wrong for this meeting'",
    ),
}


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_caller_without_a_good_certificate_opens_no_link(
    caller: str, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    files_of, secret, line = CALLERS[caller]
    files = files_of(place)
    tls = contexts(files or place.ours.files(HERE), place.ours)
    if files is None:
        bare = ssl.create_default_context(cafile=str(place.ours.file))
        tls = TlsContexts(pair_from(place.ours.files(HERE))._replace(client=bare))
    gate, address = Gate(CALLER, ClusterSecrets([secret]), Audit(), tls), place.node.address
    async with new_session() as session:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await gate.dial(session, address, address, place.node.links._new_link)
    await until(lambda: line in caplog.text)
    lines = [each for each in audited(caplog) if not each.startswith("peer-distrusted")]
    assert len(lines) == 1, lines
    (of_node,) = lines
    assert of_node.startswith(line)
    assert place.node.events == []


@pytest.mark.parametrize(
    ("called", "reason"),
    [
        ("another authority", "self-signed certificate in certificate chain"),
        ("expired", "certificate has expired"),
        ("another node's", "ip address mismatch"),
    ],
)
async def test_a_node_without_a_good_certificate_is_told_nothing(
    called: str,
    reason: str,
    authorities: tuple[Authority, Authority],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, others = authorities
    (port,) = free_ports(1)
    files, _, _ = CALLERS[called]
    node = Peer(address_of(port), secrets=[ONE])
    bad = files(Place(node, ours, others))
    assert bad is not None
    gate = Gate(CALLER, ClusterSecrets([ONE]), Audit(), contexts(ours.files(HERE)))
    async with encrypted(node, port, contexts(bad)), new_session() as session:
        node.start()
        with pytest.raises(Distrusted, match="its certificate is no good"):
            await gate.dial(session, node.address, node.address, node.links._new_link)
        (line,) = [each for each in audited(caplog) if each.startswith("peer-distrusted")]
        assert reason in line
        await node.links.close()
    assert node.events == []


async def test_a_node_with_tls_sends_no_word_in_the_clear(
    authorities: tuple[Authority, Authority], caplog: pytest.LogCaptureFixture
) -> None:
    ports = free_ports(2)
    plain = Peer(address_of(ports[0]), secrets=[ONE])
    gate = Gate(CALLER, ClusterSecrets([ONE]), Audit(), contexts(authorities[0].files(HERE)))
    async with listening(plain.links.accept, ports[0]), new_session() as session:
        plain.start()
        with pytest.raises((aiohttp.ClientError, OSError)):
            await gate.dial(session, plain.address, plain.address, plain.links._new_link)
        await plain.links.close()
    assert plain.events == []
    ports[1].close()


# ------------------------------------------------------------------ clients


async def test_a_client_needs_the_authority_and_no_certificate(
    authorities: tuple[Authority, Authority], caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = authorities
    tls = contexts(ours.files(HERE))
    async with served(doorman=Doorman(ApiTokens(), Audit(), tls)) as site:
        url = f"https://{HERE}:{site.server.port}/livez"
        async with aiohttp.ClientSession() as session:
            trusting = ssl.create_default_context(cafile=str(ours.file))
            async with session.get(url, ssl=trusting) as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            doubting = ssl.create_default_context(cafile=str(others.file))
            with pytest.raises(aiohttp.ClientSSLError):
                await session.get(url, ssl=doubting)
        reader, writer = await asyncio.open_connection(HERE, site.server.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()
    assert any("why='http request'" in line for line in audited(caplog))


async def test_new_connections_have_the_new_certificate(
    authorities: tuple[Authority, Authority],
) -> None:
    ours, _ = authorities
    first, second = ours.files(HERE), ours.files(HERE)
    tls = contexts(first)

    async def shown(port: int) -> bytes:
        context = ssl.create_default_context(cafile=str(ours.file))
        _, writer = await asyncio.open_connection(HERE, port, ssl=context)
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        return certificate

    async with served(doorman=Doorman(ApiTokens(), Audit(), tls)) as site:
        before = await shown(site.server.port)
        tls.renew(pair_from(second))
        after = await shown(site.server.port)
    certificates = [
        ssl.PEM_cert_to_DER_cert(each.certificate.read_text()) for each in (first, second)
    ]
    assert [before, after] == certificates


async def test_a_client_that_says_nothing_is_not_waited_for(
    authorities: tuple[Authority, Authority],
) -> None:
    """Neither by the port nor at its end; a handshake may be under way."""
    tls = contexts(authorities[0].files(HERE))
    async with served(doorman=Doorman(ApiTokens(), Audit(), tls)) as site:
        await site.wire()


# ------------------------------------------------------------------ the files


def test_older_versions_of_tls_are_not_spoken(authorities: tuple[Authority, Authority]) -> None:
    for context in pair_from(authorities[0].files(HERE)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_certificate_names_hosts() -> None:
    certificate = {
        "subjectAltName": (("DNS", "Node-1.example"), ("IP Address", "10.0.0.1"), ("DNS", "*.x"))
    }
    for host in ("node-1.example", "NODE-1.example", "10.0.0.1"):
        assert names(certificate, host)
    for host in ("node-2.example", "10.0.0.2", "a.x", "*", ""):
        assert not names(certificate, host)
    assert not names({}, "node-1.example")
    assert names({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"),)}, "::1")


def test_files_that_are_no_good_are_named(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    ours, others = authorities
    files, foreign = ours.files(HERE), others.files(HERE)
    (tmp_path / "none").write_text("none")
    paths = {"TLS_CERT": files.certificate, "TLS_KEY": files.key, "TLS_CA": files.authority}
    for wrong, path, named in (
        ("TLS_CERT", tmp_path / "none", "TLS_CERT"),
        ("TLS_CERT", tmp_path / "missing", "TLS_CERT"),
        ("TLS_KEY", foreign.key, "TLS_CERT"),
        ("TLS_CA", tmp_path / "none", "TLS_CA"),
        ("TLS_CA", tmp_path / "missing", "TLS_CA"),
        ("TLS_CA", "", "TLS_CA=''"),
    ):
        texts = {name: str(each) for name, each in {**paths, wrong: path}.items()}
        with pytest.raises(BadSetting, match=named):
            read({"SOCKET_ADDRESS": CALLER, "CLUSTER_SECRET": ONE.decode(), **texts}, [])
    texts = {name: str(each) for name, each in paths.items()}
    with pytest.raises(BadSetting, match="beside TLS_CERT"):
        read({"SOCKET_ADDRESS": CALLER, **texts}, [])
    both = {**texts, "TLS": "terminated", "CLUSTER_SECRET": ONE.decode()}
    with pytest.raises(BadSetting, match="none beside TLS_CERT"):
        read({"SOCKET_ADDRESS": CALLER, **both}, [])
