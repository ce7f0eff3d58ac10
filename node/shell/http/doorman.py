"""Which clients the port lets in, and what the audit says of administrators and of refusals."""

from collections.abc import Callable, Mapping

from aiohttp.helpers import RequestKey
from aiohttp.web_request import BaseRequest
from msgspec.structs import replace

from node.api.access import Access, Client, refusal
from node.api.contract import Call, Facts, Limits, Reply
from node.api.parsing import bad_request
from node.core.model.view import View
from node.core.protocol.operations import Propose, Request
from node.security.audit import Audit
from node.security.networks import PeerNetworks
from node.security.scopes import ApiScope
from node.security.tls import TlsContexts
from node.security.tokens import ApiTokens
from node.shell.http.port_limits import PortLimits
from node.shell.http.router import Endpoint
from node.shell.http.tls_door import TlsDoor

CLIENT = RequestKey("client", Client)  # where a request keeps it
SHOWN_MAX = 10  # addresses in a refusal
NO_QUERY: Mapping[str, str] = {}


class Doorman:
    """Judges each request by its token; without any tokens it asks for none."""

    def __init__(
        self,
        tokens: ApiTokens,
        audit: Audit,
        tls: TlsContexts | None = None,
        networks: PeerNetworks | None = None,
    ) -> None:
        self._access, self._audit, self._tls = Access(tokens), audit, tls
        self.networks = networks
        self.asks = bool(tokens)

    def tls_door(self, limits: PortLimits) -> TlsDoor | None:
        """Return what encrypts the port, or None where nothing is encrypted."""
        return TlsDoor(self._tls, self._audit, limits.head_timeout_s) if self._tls else None

    def refusal(
        self,
        request: BaseRequest,
        endpoint: Endpoint,
        path: str,
        facts: Callable[[], Facts],
        limits: Limits,
    ) -> Reply | None:
        """Return why the client may not ask this; None: it may.  Without tokens all may."""
        if not self.asks or endpoint.handler is None:
            return None
        client = request[CLIENT] = self._access.client(request.headers)
        call = Call(request.method, {}, NO_QUERY, request.headers, b"", facts, limits)
        refused = refusal(call, client, endpoint.scope)
        if refused is not None:
            why = client.wrong or ("it has not the scope" if client.scopes else "it has no token")
            self._audit.note("client-refused", request.remote, **_what(request, path), why=why)
        return refused

    def name_of(self, request: BaseRequest) -> str:
        """Return how a client is told from others: by its token, or else by its address."""
        client = request.get(CLIENT)
        return f"token {client.name}" if client is not None and client.name else str(request.remote)

    def known(self, request: BaseRequest, endpoint: Endpoint, call: Call) -> Call:
        """Return the call with what its client may do.

        A client without a token gets the plain answer of a path that is open to all.
        """
        client = request[CLIENT]
        is_plain = endpoint.scope is ApiScope.OPEN and not client.scopes
        query = NO_QUERY if is_plain else call.query
        return replace(call, scopes=client.scopes, query=query)

    def check(self, operation: Request, view: View) -> None:
        """Raise Refused if this would bring a node into the view that may not be in it."""
        if self.networks is None or not isinstance(operation, Propose):
            return
        layout = operation.layout
        named = {*(layout.addresses or layout.nodes)} - {*(view.addresses or view.nodes)}
        strangers = self.networks.strangers(sorted(named))
        if strangers:
            shown = ", ".join(strangers[:SHOWN_MAX])
            raise bad_request(f"PEER_NETWORKS of this node does not allow {shown}")

    def note(self, request: BaseRequest, path: str, status: int) -> None:
        """Write that an administrator has asked for this, and what the answer was."""
        client = request.get(CLIENT)
        name = {"token": client.name} if client is not None else {}
        said = {**name, **_what(request, path), "status": str(status)}
        self._audit.note("administration", request.remote, **said)


def _what(request: BaseRequest, path: str) -> dict[str, str]:
    return {"method": request.method, "path": path}
