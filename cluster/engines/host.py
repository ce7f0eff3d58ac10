"""What the launcher asks of its host: which ports are taken, and which process has a number."""

import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cluster.engines.topology import Trouble


def life_of(pid: int) -> tuple[str | None, str]:
    """Return a process's time of birth and state letter; (None, "") if there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None, ""
        return fields[19], fields[0]
    answer = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    letter, _, birth = answer.partition(" ")
    return (birth.strip(), letter[0]) if letter else (None, "")


def expect_free(port: int, host: str = "127.0.0.1") -> None:
    """Refuse a port on which a program listens."""
    if is_busy(port, host):
        raise Trouble(
            f"port {port} is in use by another program; expected it free for a node: end that"
            " program, or take other ports with --port"
        )


def busy_among(ports: Iterable[int]) -> list[int]:
    """Return those of the ports on which programs listen, at any address."""
    return [port for port in ports if is_busy(port, "")]


def is_busy(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a program listens on the port."""
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, port))
        except OSError:
            return True
    return False
