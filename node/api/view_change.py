"""Change the view for a contract: propose it once, or again when another change came first.

Each contract decides which node proposes first, and what it waits for afterwards.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial

from node.api.contract import Ask, Call, Refused, Reply
from node.api.parsing import NOT_TOLD, OVERTAKEN, bad_request, in_doubt, refused
from node.core.model.view import Layout, View
from node.core.protocol.operations import (
    Adopted,
    Outcome,
    Outdated,
    Propose,
    Request,
    Unavailable,
)

LOOKS_MAX = 40  # for a view that others have adopted and the asked node has not yet
LOOK_EVERY_S = 0.05  # how often a contract looks at the progress of a change


def is_in_view(call: Call, address: str) -> bool:
    """Whether the node is in the current view."""
    view = call.facts().view
    return view.number > 0 and address in view.nodes


def changed(call: Call, layout_of: Callable[[View], Layout], done: Reply) -> Reply | Ask:
    """Propose this layout of the view's nodes once; answer at once if the view has it already."""
    view = call.facts().view
    if not view.number:
        raise Refused(NOT_TOLD)
    try:
        layout = layout_of(view)
    except ValueError as error:
        raise bad_request(str(error)) from error
    if layout == view.layout:
        return done
    return Ask(Propose(layout, view.id), partial(_say_changed, done))


def _say_changed(done: Reply, outcome: Outcome) -> Reply:
    match outcome:
        case Adopted():
            return done
        case Unavailable(reason=reason):
            raise Refused(refused(503, reason, in_doubt(outcome)))
        case _:
            raise Refused(OVERTAKEN)


def adopting(
    call: Call, layout_of: Callable[[View], Layout], tries: int
) -> Generator[Sequence[Request] | float, Sequence[Outcome], View | Outcome | None]:
    """Bring about and return the view with the layout that `layout_of` makes of the current one.

    Propose nothing if the view has that layout already.  Wait until the asked node knows the view.
    Return the last outcome if it cannot be had.
    """
    outcome: Outcome | None = None
    for _ in range(tries):
        view = call.facts().view
        layout = layout_of(view)
        if layout == view.layout:
            return view
        (outcome,) = yield (Propose(layout, view.id),)
        if isinstance(outcome, Adopted):
            yield from _arriving(call, outcome.view)
            return outcome.view
        if not isinstance(outcome, Outdated):
            break
    return outcome


def _arriving(call: Call, view: View) -> Generator[Sequence[Request] | float, object, None]:
    """Wait until this node has the view: before that, it reports on the previous change."""
    for _ in range(LOOKS_MAX):
        if call.facts().view.id >= view.id:
            return
        yield LOOK_EVERY_S
