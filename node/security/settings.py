"""The settings of security, and what a node makes of them.

What reads their values is imported only where a value is given: a node reads its settings before
its port is open.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from node.security import expected
from node.setting_types import SWITCH, BadSetting, Kind, Setting, one_of

if TYPE_CHECKING:
    from node.security.cluster_secret import Secret
    from node.security.networks import PeerNetworks
    from node.security.tls import TlsFiles, TlsPair
    from node.security.tokens import ApiToken


def _secrets_in(text: str) -> "tuple[Secret, ...]":
    from node.security.cluster_secret import secrets_in

    return secrets_in(text)


def _networks_in(text: str) -> "PeerNetworks":
    from node.security.networks import networks_in

    return networks_in(text)


SETTINGS = (
    Setting(
        "CLUSTER_SECRET",
        Kind(_secrets_in, expected.SECRETS),
        "",
        "",
        "what a node must prove to be a peer; better in a file",
        is_secret=True,
    ),
    Setting(
        "CLUSTER_SECRET_FILE",
        Kind(Path, "a file with the secret, or with two"),
        "",
        "",
        "the same in a file, which is read again on SIGHUP",
    ),
    Setting(
        expected.TOKENS_SETTING,
        Kind(Path, "a file of `coterie token create`"),
        "",
        "",
        "the hashes of the tokens that clients must have; read again on SIGHUP",
    ),
    Setting(
        "PEER_NETWORKS",
        Kind(_networks_in, expected.NETWORKS),
        "",
        "",
        "where nodes of a view may be (default with a secret: near the nodes of VIEW)",
    ),
    Setting("SECURE", SWITCH, "", "0", "1: refuse to start without secret, tokens and TLS"),
    Setting(
        "TLS_CERT",
        Kind(Path, "a file in PEM"),
        "",
        "",
        "the node's certificate, for clients and for peers; read again on SIGHUP",
    ),
    Setting("TLS_KEY", Kind(Path, "a file in PEM"), "", "", "its key"),
    Setting(
        "TLS_CA",
        Kind(Path, "a file in PEM"),
        "",
        "",
        "the authority of the cluster's nodes, and of clients that show a certificate",
    ),
    Setting(
        "TLS",
        one_of(terminated="terminated"),
        "",
        "",
        "terminated: a proxy or a private network encrypts all that reaches this node",
    ),
)


class Security(NamedTuple):
    """The settings of security, checked."""

    secret: "tuple[Secret, ...]" = ()
    secret_file: Path | None = None
    tokens_file: Path | None = None
    is_secure: bool = False
    tls: str | None = None
    tls_files: "TlsFiles | None" = None
    peer_networks: "PeerNetworks | None" = None

    def secrets(self) -> "tuple[Secret, ...]":
        """Return the secrets that are valid now; none where no secret is asked for.

        Raises BadSetting.
        """
        if self.secret_file is None:
            return self.secret
        from node.security.cluster_secret import secrets_from

        return secrets_from(self.secret_file)

    def tokens(self) -> "tuple[ApiToken, ...]":
        """Return the tokens of clients that are valid now; none where none are asked for.

        Raises BadSetting.
        """
        if self.tokens_file is None:
            return ()
        from node.security.tokens import tokens_from

        return tokens_from(self.tokens_file)

    def tls_pair(self) -> "TlsPair | None":
        """Return what a node shows and demands now; None where it encrypts nothing itself.

        Raises BadSetting.
        """
        if self.tls_files is None:
            return None
        from node.security.tls import pair_from

        return pair_from(self.tls_files)

    def networks(self, view: Sequence[str]) -> "PeerNetworks | None":
        """Return where nodes may be, if the first view is this one; None: anywhere."""
        if self.peer_networks or not (self.secret or self.secret_file):
            return self.peer_networks
        from node.security.networks import networks_around

        return networks_around(view)

    @property
    def reads_files(self) -> bool:
        """Whether there is anything to read again."""
        files = self.secret_file, self.tokens_file, self.tls_files
        return any(each is not None for each in files)


def read(texts: Mapping[str, str]) -> Security:
    """Read the settings of security.  Raises BadSetting."""
    values = {setting.name: setting.read(texts[setting.name]) for setting in SETTINGS}
    security = Security(
        secret=values["CLUSTER_SECRET"] or (),
        secret_file=values["CLUSTER_SECRET_FILE"],
        tokens_file=values[expected.TOKENS_SETTING],
        is_secure=values["SECURE"],
        tls=values["TLS"],
        tls_files=_tls_files(values),
        peer_networks=values["PEER_NETWORKS"],
    )
    if security.secret and security.secret_file is not None:
        path = str(security.secret_file)
        raise BadSetting("CLUSTER_SECRET_FILE", path, "none beside CLUSTER_SECRET")
    if security.tls and security.tls_files:
        raise BadSetting("TLS", security.tls, "none beside TLS_CERT")
    has_secret, has_tokens = bool(security.secrets()), bool(security.tokens())
    if security.is_secure:
        demand = "because of SECURE=1"
        _demand(expected.TOKENS_SETTING, has_tokens, f"a file with tokens of clients, {demand}")
        has_tls = bool(security.tls or security.tls_files)
        _demand("TLS_CERT", has_tls, f"a certificate, or TLS=terminated, {demand}")
        _demand("CLUSTER_SECRET_FILE", has_secret, f"a file with the cluster's secret, {demand}")
    if security.tls_files:
        _demand("CLUSTER_SECRET_FILE", has_secret, "a secret of the cluster, beside TLS_CERT")
    security.tls_pair()
    return security


def _tls_files(values: Mapping[str, Any]) -> "TlsFiles | None":
    paths = {name: values[name] for name in ("TLS_CERT", "TLS_KEY", "TLS_CA")}
    if not any(paths.values()):
        return None
    for name, path in paths.items():
        _demand(name, path is not None, f"a file, as {', '.join(paths)} go together")
    from node.security.tls import TlsFiles

    return TlsFiles(*paths.values())


def _demand(name: str, is_given: bool, expected: str) -> None:
    if not is_given:
        raise BadSetting(name, "", expected)
