"""What a node believes now: all that the settings of security name, read again on demand."""

import logging

from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.security.settings import Security
from node.security.tls import TlsContexts
from node.security.tokens import ApiTokens
from node.setting_types import BadSetting

WARNING = "trusts its network, since SECURE is not 1: docs/security.md says how to run it for real"

logger = logging.getLogger("coterie.security")


class Guard:
    """The secrets, tokens and certificates of this node, and its audit.  Raises BadSetting."""

    def __init__(self, settings: Security) -> None:
        self.settings = settings
        self.audit = Audit()
        self.secrets = ClusterSecrets(settings.secrets())
        self.tokens = ApiTokens(settings.tokens())
        pair = settings.tls_pair()
        self.tls = TlsContexts(pair) if pair else None

    def warn(self) -> None:
        """Say once whom this node trusts without a proof."""
        if not self.settings.is_secure:
            logger.warning(WARNING)

    def renew(self) -> bool:
        """Read all files again; return False, and change nothing, where one of them is no good."""
        try:
            secrets, tokens = self.settings.secrets(), self.settings.tokens()
            pair = self.settings.tls_pair()
        except BadSetting as error:
            logger.error("goes on with what it had: %s", error)
            return False
        self.secrets.renew(secrets)
        self.tokens.renew(tokens)
        if self.tls is not None and pair is not None:
            self.tls.renew(pair)
        logger.info("has read its files of security again")
        return True
