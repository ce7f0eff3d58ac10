"""What a node believes now: all that the settings of security name, read again on demand."""

import logging

from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.security.settings import Security
from node.setting_types import BadSetting

logger = logging.getLogger("coterie.security")


class Guard:
    """The secrets of this node, and its audit.  Raises BadSetting."""

    def __init__(self, settings: Security) -> None:
        self._settings = settings
        self.audit = Audit()
        self.secrets = ClusterSecrets(settings.secrets())

    @property
    def reads_files(self) -> bool:
        """Whether there is anything to read again."""
        return self._settings.secret_file is not None

    def renew(self) -> bool:
        """Read all files again; return False, and change nothing, where one of them is no good."""
        try:
            secrets = self._settings.secrets()
        except BadSetting as error:
            logger.error("goes on with what it had: %s", error)
            return False
        self.secrets.renew(secrets)
        logger.info("has read its files of security again")
        return True
