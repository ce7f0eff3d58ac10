"""GET /openapi.json and GET /v1/docs: what this node's own routes take and answer.

Both are made at the first request for one of them, and kept: a start imports nothing for them.
"""

from collections.abc import Callable, Iterable, Mapping

from node.api.contract import Call, Reply
from node.shell.http.router import Endpoint

HTML = "text/html; charset=utf-8"


class ApiDocument:
    """The document and its page; `endpoints` are all that the node serves."""

    def __init__(self, endpoints: Callable[[], Iterable[Endpoint]]) -> None:
        self._endpoints = endpoints
        self._document = self._page = b""
        self._page_headers: Mapping[str, str] = {}

    def document(self, call: Call) -> Reply:
        """Answer GET /openapi.json."""
        self._make()
        return Reply(200, self._document)

    def page(self, call: Call) -> Reply:
        """Answer GET /v1/docs."""
        self._make()
        return Reply(200, self._page, self._page_headers, HTML)

    def _make(self) -> None:
        if self._document:
            return
        import orjson

        from node.api.openapi.document import document_of
        from node.api.openapi.page import SECURITY, page_of
        from node.shell.http.metrics import build

        served = [(each.method, each.pattern) for each in self._endpoints()]
        document = document_of(served, build()["version"])
        self._document, self._page = orjson.dumps(document), page_of(document).encode()
        self._page_headers = SECURITY
