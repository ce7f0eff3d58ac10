"""The files of a deployment: those in `deploy/` are what the command writes, and all three say the
same of a node.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from typer.testing import CliRunner

from cluster.cli import deploy_command
from cluster.cli.app import app
from cluster.cli.run import Run
from cluster.deployments import description
from cluster.deployments.description import Deployment
from cluster.deployments.published import PublishedEngine
from cluster.deployments.written import FILES, Orchestrator, text_of
from cluster.engines import docker_image
from cluster.engines.console import Report
from cluster.engines.topology import HOST_PORT, Trouble
from node import config
from node.__main__ import DRAIN_S
from node.security import first_keys
from tests.deployments.deployed import ROOT

SIX = Deployment(2, 3)
PLAIN = Deployment(2, 3, is_secure=False)
WITH_CERTIFICATES = Deployment(1, 3, "shop", encryption="certificates")
GROWN = Deployment(2, 3, later=3)
SHAPES = (SIX, PLAIN, WITH_CERTIFICATES, GROWN, Deployment(1, 1), Deployment(4, 5))
STOPPED_S = 8.0  # docs/operations.md, "One node"


def lying(orchestrator: Orchestrator) -> Deployment:
    """Return the deployment whose files lie in `deploy/`."""
    return replace(SIX, host_port=HOST_PORT) if orchestrator == "compose" else SIX


def documents(orchestrator: Orchestrator, deployment: Deployment) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(orchestrator, deployment)))


def of_kind(kind: str, deployment: Deployment) -> dict[str, Any]:
    """Return the first manifest of the kind."""
    return next(d for d in documents("kubernetes", deployment) if d["kind"] == kind)


def environments(orchestrator: Orchestrator, deployment: Deployment) -> list[dict[str, str]]:
    """Return the environment of each node, as its container has it."""
    if orchestrator != "kubernetes":
        [file] = documents(orchestrator, deployment)
        return [file["services"][node.name]["environment"] for node in deployment.nodes]
    sets = [d for d in documents("kubernetes", deployment) if d["kind"] == "StatefulSet"]
    return [environment for each in sets for environment in environments_of_set(each)]


def environments_of_set(manifest: dict[str, Any]) -> list[dict[str, str]]:
    spec = manifest["spec"]
    [container] = spec["template"]["spec"]["containers"]
    texts = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    names = [f"{manifest['metadata']['name']}-{ordinal}" for ordinal in range(spec["replicas"])]
    return [{k: text.replace("$(POD_NAME)", n) for k, text in texts.items()} for n in names]


# ------------------------------------------------------------------ one description


@pytest.mark.parametrize("orchestrator", FILES)
def test_the_files_in_deploy_are_what_the_command_writes(orchestrator: Orchestrator) -> None:
    lies = (ROOT / "deploy" / FILES[orchestrator]).read_text(encoding="utf-8")
    assert lies == text_of(orchestrator, lying(orchestrator)), (
        "write it anew: its first line says how"
    )


@pytest.mark.parametrize("orchestrator", FILES)
def test_the_heading_names_the_command(
    orchestrator: Orchestrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running that command writes the same file; progress is on stderr."""
    monkeypatch.setattr(Run, "home", tmp_path / "home")
    lies = (ROOT / "deploy" / FILES[orchestrator]).read_text(encoding="utf-8")
    words = lies.partition("`")[2].partition("`")[0].split()[1:]
    said = CliRunner().invoke(app, [*words, "--to", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert (tmp_path / FILES[orchestrator]).read_text(encoding="utf-8") == lies


@pytest.mark.parametrize("deployment", SHAPES)
def test_nodes_have_the_same_settings_under_each_orchestrator(deployment: Deployment) -> None:
    compose, swarm, kubernetes = (environments(each, deployment) for each in FILES)
    assert compose == swarm == kubernetes
    assert len(compose) == deployment.size


@pytest.mark.parametrize("deployment", SHAPES)
def test_a_node_understands_its_settings(deployment: Deployment, tmp_path: Path) -> None:
    """Each address is in the view, and in the networks where peers may be."""
    first_keys.make(tmp_path)
    for environment in environments("compose", replace(deployment, encryption="terminated")):
        texts = environment.items()
        here = {name: text.replace(description.SECRETS, str(tmp_path)) for name, text in texts}
        settings = config.read(here, [])
        assert settings.socket_address in settings.view
        is_later = "-later-" in settings.socket_address
        assert settings.shard_count == (None if is_later else deployment.shards)
        assert settings.security.is_secure is deployment.is_secure
        networks = settings.security.networks(settings.view)
        strange = [*settings.view, "elsewhere.example:8090", "10.0.0.1:8090"]
        expected = strange[-2:] if deployment.is_secure else None
        assert (networks and networks.strangers(strange)) == expected


@pytest.mark.parametrize("orchestrator", FILES)
def test_nodes_that_come_later_change_nothing_of_the_first(orchestrator: Orchestrator) -> None:
    grown = environments(orchestrator, GROWN)
    assert grown[:6] == environments(orchestrator, SIX)
    assert [each["SOCKET_ADDRESS"] for each in grown[6:]] == [
        f"coterie-later-{ordinal}.coterie:8090" for ordinal in range(3)
    ]


def test_orchestrators_wait_longer_than_a_node_takes_to_stop() -> None:
    [compose], [swarm] = documents("compose", SIX), documents("swarm", SIX)
    pods = of_kind("StatefulSet", SIX)["spec"]["template"]["spec"]
    node = SIX.nodes[0].name
    graces = [file["services"][node]["stop_grace_period"] for file in (compose, swarm)]
    assert [*graces, f"{pods['terminationGracePeriodSeconds']}s"] == ["20s"] * 3
    assert description.STOP_GRACE_S > STOPPED_S > DRAIN_S


# ------------------------------------------------------------------ rights and secrets


@pytest.mark.parametrize("deployment", SHAPES)
def test_no_container_has_rights(deployment: Deployment) -> None:
    [compose], [swarm] = documents("compose", deployment), documents("swarm", deployment)
    for service in (*compose["services"].values(), *swarm["services"].values()):
        assert (service["user"], service["read_only"]) == ("10001:10001", True)
        assert service["cap_drop"] == ["ALL"]
    for service in compose["services"].values():
        assert service["security_opt"] == ["no-new-privileges"]
    pod = of_kind("StatefulSet", deployment)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


@pytest.mark.parametrize("orchestrator", FILES)
def test_a_deployment_is_secure_unless_it_is_plain(orchestrator: Orchestrator) -> None:
    for environment in environments(orchestrator, SIX):
        assert environment["SECURE"] == "1"
        assert environment["TLS"] == "terminated"
        assert "CLUSTER_SECRET" not in environment
    for environment in environments(orchestrator, PLAIN):
        assert "SECURE" not in environment
    assert "secret" not in yaml.dump(documents(orchestrator, PLAIN))


def test_ports_of_compose_are_of_the_loopback_and_swarm_has_none() -> None:
    [compose], [swarm] = documents("compose", lying("compose")), documents("swarm", SIX)
    ports = [compose["services"][node.name]["ports"] for node in SIX.nodes]
    assert ports == [[f"127.0.0.1:{HOST_PORT + index}:8090"] for index in range(6)]
    assert not [name for name, service in swarm["services"].items() if "ports" in service]


def test_what_encrypts_where_the_nodes_do_not() -> None:
    """TLS=terminated: Compose has one machine, and Swarm encrypts its network."""
    [swarm] = documents("swarm", SIX)
    assert swarm["networks"]["nodes"]["driver_opts"] == {"encrypted": ""}
    [plain] = documents("swarm", PLAIN)
    assert "driver_opts" not in plain["networks"]["nodes"]


def test_certificates_reach_the_nodes() -> None:
    [swarm] = documents("swarm", WITH_CERTIFICATES)
    targets = [each["target"] for each in swarm["services"]["shop-0"]["secrets"]]
    for environment in environments("kubernetes", WITH_CERTIFICATES):
        for name in ("TLS_CERT", "TLS_KEY", "TLS_CA"):
            assert environment[name] in targets
        assert "TLS" not in environment
    pod = of_kind("StatefulSet", WITH_CERTIFICATES)["spec"]["template"]["spec"]
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    [secret] = [each for each in pod["volumes"] if each["name"] == "certificates"]
    assert secret["secret"]["secretName"] == "shop-certificates"


# ------------------------------------------------------------------ each orchestrator


@pytest.mark.parametrize("deployment", SHAPES)
def test_kubernetes_accepts_the_manifests(deployment: Deployment) -> None:
    newest = kubernetes_validate.latest_version()
    for document in documents("kubernetes", deployment):
        assert kubernetes_validate.validate(document, newest, strict=True)


def test_a_wrong_manifest_is_noticed() -> None:
    wrong = of_kind("StatefulSet", SIX)
    wrong["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_pods_find_each_other_before_they_are_ready() -> None:
    peers, clients = (d for d in documents("kubernetes", SIX) if d["kind"] == "Service")
    nodes = of_kind("StatefulSet", SIX)
    assert peers["metadata"]["name"] == nodes["spec"]["serviceName"] == "coterie"
    assert peers["spec"]["clusterIP"] == "None"
    assert peers["spec"]["publishNotReadyAddresses"]
    assert "publishNotReadyAddresses" not in clients["spec"]
    assert nodes["spec"]["podManagementPolicy"] == "Parallel"
    labels = nodes["spec"]["template"]["metadata"]["labels"].items()
    assert peers["spec"]["selector"] == clients["spec"]["selector"]
    assert peers["spec"]["selector"].items() <= labels
    assert of_kind("PodDisruptionBudget", SIX)["spec"]["maxUnavailable"] == 1


def test_pods_of_both_sets_are_apart_and_of_one_budget() -> None:
    first, later = (d for d in documents("kubernetes", GROWN) if d["kind"] == "StatefulSet")
    selectors = [each["spec"]["selector"]["matchLabels"] for each in (first, later)]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in (first, later)]
    assert selectors == labels
    assert selectors[0] != selectors[1]
    budget = of_kind("PodDisruptionBudget", GROWN)["spec"]["selector"]["matchLabels"]
    assert all(budget.items() <= each.items() for each in labels)


def test_a_name_in_a_swarm_is_a_node_and_no_virtual_address() -> None:
    [swarm] = documents("swarm", SIX)
    for node in SIX.nodes:
        service = swarm["services"][node.name]
        assert service["deploy"]["endpoint_mode"] == "dnsrr"
        assert service["networks"]["nodes"]["aliases"] == [node.host]
        assert service["deploy"]["update_config"]["order"] == "stop-first"


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("compose --shards 0", "shards is 0"),
        ("swarm --shards 20 --replicas 20", "400 nodes"),
        ("kubernetes --name Shop", "Shop"),
        ("kubernetes --plain --tls certificates", "no certificates"),
        ("compose --port 65533", "first port 65533"),
        ("swarm --image $(id)", "no image"),
    ],
)
def test_what_makes_no_deployment_is_refused(words: str, complaint: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["deploy", *words.split(" "), "--to", str(tmp_path)])
    assert isinstance(said.exception, Trouble)
    assert complaint in str(said.exception)
    assert list(tmp_path.iterdir()) == []


def test_keys_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = CliRunner().invoke(app, ["deploy", "keys", "--to", str(folder)])
    held = {path.name: path.read_text() for path in folder.iterdir()}
    again = CliRunner().invoke(app, ["deploy", "keys", "--to", str(folder)])
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert {path.name: path.read_text() for path in folder.iterdir()} == held
    assert set(held) == {"cluster-secret", "api-tokens", "operator-token"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert not any(text.strip() in first.output + again.output for text in held.values())
    assert {description.CLUSTER_SECRET, description.API_TOKENS, description.OPERATOR_TOKEN} == set(
        held
    )


def test_a_token_without_its_hash_is_made_anew(tmp_path: Path) -> None:
    first_keys.make(tmp_path)
    secret = (tmp_path / "cluster-secret").read_text()
    (tmp_path / "api-tokens").unlink()
    assert first_keys.make(tmp_path) == ["operator-token", "api-tokens"]
    assert (tmp_path / "cluster-secret").read_text() == secret


def test_commands_about_clusters_find_the_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "home", tmp_path / "home")
    words = ["deploy", "compose", "--name", "noted", "--port", "9100", "--to", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    said = CliRunner().invoke(app, ["endpoints", "--name", "noted", "--json"])
    found = json.loads(said.output)
    assert "http://localhost:9100" in str(found)
    assert "http://localhost:9105" in str(found)
    killed = CliRunner().invoke(app, ["kill", "noted-0", "--name", "noted"])
    assert isinstance(killed.exception, Trouble)
    assert "docker service" in str(killed.exception)
    assert PublishedEngine("absent", tmp_path / "home").recall() is None


@pytest.mark.parametrize("orchestrator", FILES)
def test_the_page_has_each_option_and_its_default(orchestrator: Orchestrator) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = page.partition("| option |")[2].partition("\n\n")[0]
    command: Any = typer.main.get_command(deploy_command.deploy)
    options = command.commands[orchestrator].params
    names = {name for option in options for name in option.opts} - {"--help"}
    assert names <= set(re.findall(r"`(--\w+)`", table))
    defaults = {option.opts[0]: option.default for option in options}
    assert (defaults["--shards"], defaults["--replicas"]) == (2, 3)
    assert defaults.get("--port") == {"compose": 8082}.get(orchestrator)


def test_the_image_is_built_on_a_digest_where_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = f"python:3.13-slim-bookworm@sha256:{'0' * 64}"
    monkeypatch.setenv("PYTHON_IMAGE", digest)
    assert docker_image.base(None, Report(quiet=True)) == digest
    for dockerfile in (ROOT / "Dockerfile", ROOT / "deploy" / "demo.Dockerfile"):
        lines = dockerfile.read_text(encoding="utf-8").splitlines()
        assert "ARG PYTHON_IMAGE=python:3.13-slim-bookworm" in lines
        assert {line for line in lines if line.startswith("FROM")} <= {
            "FROM ${PYTHON_IMAGE}",
            "FROM ${PYTHON_IMAGE} AS needs",
        }
