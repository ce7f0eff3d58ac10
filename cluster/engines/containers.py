"""Nodes as Docker containers on a subnet of their own, each with a port of this host.

The engine creates a container on the default bridge, where its port is published, and then joins it
to the subnet with a fixed address.  So the host can still reach a container that is cut off from
the subnet.  Everything that belongs to a cluster carries our labels; the engine finds and removes
it by label only, never by name.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import requests.exceptions

from cluster.engines import docker_image, docker_subnets, node_client
from cluster.engines.console import Report
from cluster.engines.engine import STOP_TIMEOUT_S, TAIL_LINES, NodeState, expect_state, recalled
from cluster.engines.host import expect_free
from cluster.engines.partition_file import SplitFile, settle, tell
from cluster.engines.topology import (
    MEMORY_MIB,
    PROCESSES_MAX,
    UNAVAILABLE,
    EngineKind,
    Topology,
    TopologyNode,
    Trouble,
)

LABEL = "io.coterie.cluster"
NODE_LABEL = "io.coterie.node"
TOPOLOGY_LABEL = "io.coterie.topology"
ANSWER_TIMEOUT_S = 3
CALL_TIMEOUT_S = 60
LOG_LIMITS = {"max-size": "50m", "max-file": "2"}
STATES = {"running": NodeState.RUNNING, "paused": NodeState.PAUSED, "restarting": NodeState.RUNNING}


def docker_client() -> tuple[Any, str]:
    """Return a client of the Docker engine, or None and the reason."""
    try:
        docker.from_env(timeout=ANSWER_TIMEOUT_S).ping()
        return docker.from_env(timeout=CALL_TIMEOUT_S), ""
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return None, "no Docker engine answers"


class ContainerEngine:
    """A cluster of containers; labels of its volumes, containers and network are its only
    record.
    """

    kind: EngineKind = "docker"

    def __init__(self, name: str, client: Any, home: Path) -> None:
        self.name = name
        self.client = client
        self.split_file = SplitFile(home.resolve() / name / "split.json")
        self.network_name = f"coterie-{name}"

    def recall(self) -> Topology | None:
        """Read the topology from the label of a volume; a volume lives from `up` to `clean`."""
        volumes = self.client.volumes.list(filters={"label": f"{LABEL}={self.name}"})
        return _largest(map(_topology_of, volumes))

    def neighbours(self) -> list[Topology]:
        """Read the topologies of the other clusters from their volumes."""
        volumes = self.client.volumes.list(filters={"label": LABEL})
        names = {volume.attrs["Labels"][LABEL] for volume in volumes} - {self.name}
        shapes = [_topology_of(volume) for volume in volumes]
        return [shape for name in names if (shape := _largest(s for s in shapes if s.name == name))]

    def prepare(self, topology: Topology, report: Report) -> None:
        """Make a volume for each node and the subnet, then build the image."""
        present = self._containers()
        for node in topology.nodes:
            if node.name not in present:
                expect_free(node.host_port, "")
        with report.phase(f"subnet {topology.subnet}"):
            missing = not self._has_subnet(topology.subnet)
            if missing:
                docker_subnets.expect_free(self.client, topology.subnet)
            for node in topology.nodes:
                self._create_volume(topology, node)
            if missing:
                docker_subnets.create(
                    self.client, self.network_name, topology.subnet, self._labels()
                )
        with report.phase(f"image {docker_image.TAG}"):
            newest = docker_image.build(self.client, report)
        outdated = [name for name, one in present.items() if one.attrs["Image"] != newest]
        if outdated:
            report.note(f"{', '.join(outdated)} of an older image; `make down` first for the new")

    def _has_subnet(self, subnet: str) -> bool:
        """Whether the cluster's network is there; remove one that an earlier cluster has left."""
        networks = self._networks()
        left = [each for each in networks if docker_subnets.of(each) != subnet]
        for network in left:
            docker_subnets.remove(network)
        return len(networks) > len(left)

    def subnets_taken(self) -> dict[str, str]:
        """Ask the engine for the subnets of its networks."""
        return docker_subnets.taken(self.client)

    def _create_volume(self, topology: Topology, node: TopologyNode) -> None:
        shape = json.dumps(topology.to_json())
        self.client.volumes.create(
            self._object_name(node.name),
            labels={**self._labels(node.name), TOPOLOGY_LABEL: shape},
        )

    def launch(self, names: Sequence[str]) -> None:
        """Create the missing containers, then start all that do not run."""
        topology = recalled(self)
        present = self._containers()
        for name in names:
            if name not in present:
                present[name] = self._create(topology, topology.node(name))
        self._each([name for name in names if name in present], present, _start)

    def _create(self, topology: Topology, node: TopologyNode) -> Any:
        container = self.client.containers.create(
            docker_image.TAG,
            name=self._object_name(node.name),
            hostname=node.name,
            environment={**topology.environment(node), "DATA_DIR": "/data"},
            ports={f"{node.port}/tcp": node.host_port},
            volumes={self._object_name(node.name): {"bind": "/data", "mode": "rw"}},
            labels=self._labels(node.name),
            log_config=docker.types.LogConfig(type="json-file", config=LOG_LIMITS),
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=PROCESSES_MAX,
            mem_limit=f"{MEMORY_MIB}m",
            restart_policy={"Name": "no"},
        )
        if not self._is_alone(node.name):
            self._network().connect(container, ipv4_address=node.ip)
        return container

    def _labels(self, node: str = "") -> dict[str, str]:
        labels = {LABEL: self.name, "com.docker.compose.project": f"coterie-{self.name}"}
        return {**labels, NODE_LABEL: node, "com.docker.compose.service": node} if node else labels

    def _object_name(self, node: str) -> str:
        return f"coterie-{self.name}-{node}"

    def halt(self, names: Sequence[str]) -> None:
        """Stop the containers at the same time, and remove them; volumes stay."""
        present = self._containers()
        chosen = [name for name in names if name in present]
        self._each(chosen, present, _stop_and_remove)

    def stop(self) -> None:
        """Remove containers and subnet by label; volumes stay."""
        self.halt(list(self._containers()))
        self.split_file.write([])
        for network in self._networks():
            docker_subnets.remove(network)

    def clean(self) -> None:
        """Remove containers, volumes and subnet by label."""
        self.halt(list(self._containers()))
        for volume in self.client.volumes.list(filters={"label": f"{LABEL}={self.name}"}):
            volume.remove(force=True)
        self.stop()

    def kill(self, node: str) -> None:
        """Send SIGKILL and wait until the container has exited."""
        expect_state(self, node, NodeState.RUNNING, NodeState.PAUSED)
        container = self._containers()[node]
        if container.status == "paused":
            container.unpause()
        container.kill()
        container.wait(timeout=STOP_TIMEOUT_S)

    def start(self, node: str) -> None:
        """Start the container again; while the cluster is split, cut it off once it answers."""
        expect_state(self, node, NodeState.STOPPED, NodeState.MISSING)
        self.launch([node])
        if not self._is_alone(node):
            settle(recalled(self), self.split_file.read(), node)

    def pause(self, node: str) -> None:
        """Freeze the container."""
        expect_state(self, node, NodeState.RUNNING)
        self._containers()[node].pause()

    def resume(self, node: str) -> None:
        """Let the container go on, and tell it how the split has changed meanwhile."""
        expect_state(self, node, NodeState.PAUSED)
        self._containers()[node].unpause()
        self._apply(self.split_file.read(), [node])

    def wipe(self, node: str) -> None:
        """Make the node's container and volume again, and do not start it."""
        expect_state(self, node, NodeState.STOPPED, NodeState.MISSING)
        topology = recalled(self)
        self.halt([node])
        self.client.volumes.get(self._object_name(node)).remove(force=True)
        self._create_volume(topology, topology.node(node))
        self._create(topology, topology.node(node))

    def split(self, groups: Sequence[Sequence[str]]) -> None:
        """Take a node that is alone off the subnet; let the others ignore the other groups."""
        self.split_file.write(groups)
        self._wire(groups)
        self._apply(groups, self._running())

    def heal(self) -> None:
        """Put every node back on the subnet at its address, and end all cuts between nodes."""
        self.split_file.write([])
        self._wire([])
        self._apply([], self._running())

    def _is_alone(self, node: str) -> bool:
        return [node] in self.split_file.read()

    def _wire(self, groups: Sequence[Sequence[str]]) -> None:
        """Join to the subnet exactly the containers that are not alone in their group."""
        topology, network = recalled(self), self._network()
        for name, container in self._containers().items():
            joined = network.name in container.attrs["NetworkSettings"]["Networks"]
            wanted = [name] not in [list(group) for group in groups]
            if joined and not wanted:
                network.disconnect(container, force=True)
            elif wanted and not joined:
                network.connect(container, ipv4_address=topology.node(name).ip)

    def _apply(self, groups: Sequence[Sequence[str]], nodes: Sequence[str]) -> None:
        """Let these nodes drop frames of other groups, unless the subnet alone cuts them off."""
        kept = [group for group in groups if len(group) > 1]
        together = {name for group in kept for name in group}
        tell(recalled(self), kept, [name for name in nodes if not groups or name in together])

    def groups(self) -> list[list[str]]:
        """Read the groups that `split` wrote."""
        return self.split_file.read()

    def logs(self, node: str, tail: int = TAIL_LINES) -> list[str]:
        """Return the last lines that the container wrote."""
        recalled(self).node(node)
        container = self._containers().get(node)
        text: bytes = container.logs(tail=tail) if container else b""
        return text.decode(errors="replace").splitlines()

    def follow(self, node: str, tail: int = TAIL_LINES) -> Iterator[str]:
        """Yield the container's last lines, then each new line."""
        recalled(self).node(node)
        container = self._containers().get(node)
        pending = b""
        for part in container.logs(tail=tail, stream=True, follow=True) if container else ():
            *lines, pending = (pending + part).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)

    def states(self) -> dict[str, NodeState]:
        """Return the state of every node's container."""
        topology = self.recall()
        present = self._containers()
        return {
            node.name: STATES.get(present[node.name].status, NodeState.STOPPED)
            if node.name in present
            else NodeState.MISSING
            for node in (topology.nodes if topology else ())
        }

    def endpoints(self) -> dict[str, str]:
        """Return the URL of every node."""
        return {node.name: node.url for node in recalled(self).nodes}

    def containers(self) -> dict[str, str]:
        """Return the name of each node's container."""
        return {node: str(container.name) for node, container in self._containers().items()}

    def _running(self) -> list[str]:
        return [name for name, state in self.states().items() if state == NodeState.RUNNING]

    def _containers(self) -> dict[str, Any]:
        filters = {"label": f"{LABEL}={self.name}"}
        found = self.client.containers.list(all=True, filters=filters, ignore_removed=True)
        return {container.labels.get(NODE_LABEL, container.name): container for container in found}

    def _networks(self) -> list[Any]:
        filters = {"label": f"{LABEL}={self.name}"}
        found: list[Any] = self.client.networks.list(filters=filters, greedy=True)
        return found

    def _network(self) -> Any:
        networks = self._networks()
        if networks:
            return networks[0]
        raise Trouble(
            f'cluster "{self.name}" does not run; start it with `make cluster NAME={self.name}`'
        )

    def _each(
        self, names: Sequence[str], present: dict[str, Any], act: Callable[[Any], None]
    ) -> None:
        """Do one thing to these containers at the same time; name the first one that fails."""

        def attempt(name: str) -> str | None:
            try:
                act(present[name])
            except docker.errors.APIError as problem:
                return f"{name}: {problem.explanation or problem}"
            return None

        failures = [failure for failure in node_client.everyone(attempt, names) if failure]
        if failures:
            raise Trouble(f"Docker refused {failures[0]}", UNAVAILABLE)


def _start(container: Any) -> None:
    if container.status == "paused":
        container.unpause()
    elif container.status != "running":
        container.start()


def _stop_and_remove(container: Any) -> None:
    if container.status == "paused":
        container.unpause()
    try:
        container.stop(timeout=STOP_TIMEOUT_S)
        container.remove(v=False, force=True)
    except docker.errors.NotFound:
        return  # another program has removed it, as this one wanted to


def _largest(shapes: Iterable[Topology]) -> Topology | None:
    """Return the newest shape: a volume keeps the one it was made with, and clusters only grow."""
    return max(shapes, key=lambda shape: shape.size, default=None)


def _topology_of(volume: Any) -> Topology:
    return Topology.from_json(json.loads(volume.attrs["Labels"][TOPOLOGY_LABEL]))
