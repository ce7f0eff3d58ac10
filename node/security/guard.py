"""What a node believes now: all that the settings of security name, read again on demand."""

import logging

from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.security.settings import Security
from node.security.tokens import ApiTokens
from node.setting_types import BadSetting

WARNING = "trusts its network, since SECURE is not 1: docs/security.md says how to run it for real"

logger = logging.getLogger("coterie.security")


class Guard:
    """The secrets and tokens of this node, and its audit.  Raises BadSetting."""

    def __init__(self, settings: Security) -> None:
        self._settings = settings
        self.audit = Audit()
        self.secrets = ClusterSecrets(settings.secrets())
        self.tokens = ApiTokens(settings.tokens())

    @property
    def reads_files(self) -> bool:
        """Whether there is anything to read again."""
        settings = self._settings
        return settings.secret_file is not None or settings.tokens_file is not None

    def warn(self) -> None:
        """Say once whom this node trusts without a proof."""
        if not self._settings.is_secure:
            logger.warning(WARNING)

    def renew(self) -> bool:
        """Read all files again; return False, and change nothing, where one of them is no good."""
        try:
            secrets, tokens = self._settings.secrets(), self._settings.tokens()
        except BadSetting as error:
            logger.error("goes on with what it had: %s", error)
            return False
        self.secrets.renew(secrets)
        self.tokens.renew(tokens)
        logger.info("has read its files of security again")
        return True
