"""The settings of security, and what a node makes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from node.security import cluster_secret
from node.security.cluster_secret import Secret, secrets_from, secrets_in
from node.setting_types import BadSetting, Kind, Setting

SETTINGS = (
    Setting(
        "CLUSTER_SECRET",
        Kind(secrets_in, cluster_secret.EXPECTED),
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
)


class Security(NamedTuple):
    """The settings of security, checked."""

    secret: tuple[Secret, ...] = ()
    secret_file: Path | None = None

    def secrets(self) -> tuple[Secret, ...]:
        """Return the secrets that are valid now; none where no secret is asked for.

        Raises BadSetting.
        """
        return self.secret if self.secret_file is None else secrets_from(self.secret_file)


def read(texts: Mapping[str, str]) -> Security:
    """Read the settings of security.  Raises BadSetting."""
    values = {setting.name: setting.read(texts[setting.name]) for setting in SETTINGS}
    security = Security(
        secret=values["CLUSTER_SECRET"] or (),
        secret_file=values["CLUSTER_SECRET_FILE"],
    )
    if security.secret and security.secret_file is not None:
        path = str(security.secret_file)
        raise BadSetting("CLUSTER_SECRET_FILE", path, "none beside CLUSTER_SECRET")
    security.secrets()
    return security
