"""Our own routes for health, status and limits, which every node serves beside its contract.

These handlers ask no other node, so a node can report its state before it reaches any peer.
"""

from collections.abc import Iterator

from node.api.contract import Call, Dialect, Facts, Reply, Route
from node.api.parsing import refused, said
from node.core.model.counters import COUNT_MAX
from node.core.model.element_sets import ELEMENT_BYTES_MAX, ELEMENTS_MAX
from node.core.model.repeats import REPEATS_MAX
from node.core.model.token import EXACT_MAX, TOKEN_BYTES_MAX
from node.security.scopes import ApiScope

TEXT = "text/plain; charset=utf-8"


def native() -> Dialect:
    """GET /livez, /readyz, /v1/status and /v1/limits."""
    return Dialect(
        "native",
        (
            Route("GET", "/livez", livez, ApiScope.OPEN),
            Route("GET", "/readyz", readyz, ApiScope.OPEN),
            Route("GET", "/v1/status", status, ApiScope.READ),
            Route("GET", "/v1/limits", limits, ApiScope.READ),
        ),
        lambda path: refused(404, "No such path"),
    )


def livez(call: Call) -> Reply:
    """Answer that the process runs.

    A supervisor restarts the node by this answer, so the answer depends on nothing else.
    """
    return Reply(200, b"ok\n", content_type=TEXT)


def readyz(call: Call) -> Reply:
    """Answer whether the node can serve; with `?verbose`, list each check."""
    facts = call.facts()
    lines = list(_checks(facts)) if "verbose" in call.query else []
    lines.append("ok" if facts.ready else "not ready")
    return Reply(200 if facts.ready else 503, _text(lines), content_type=TEXT)


def _checks(facts: Facts) -> Iterator[str]:
    for name, wrong in facts.checks():
        yield f"[-]{name} {wrong}" if wrong else f"[+]{name} ok"


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def status(call: Call) -> Reply:
    return said(200, call.facts().status())


def limits(call: Call) -> Reply:
    return said(
        200,
        {
            "value_bytes_max": call.limits.value_bytes_max,
            "wait_s_max": call.limits.wait_s_max,
            "token_bytes_max": TOKEN_BYTES_MAX,
            "token_dots_max": EXACT_MAX,
            "counter_max": COUNT_MAX,
            "set_elements_max": ELEMENTS_MAX,
            "set_bytes_max": ELEMENT_BYTES_MAX,
            "repeats_max": REPEATS_MAX,
        },
    )
