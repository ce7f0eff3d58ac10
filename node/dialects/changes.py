"""A change of the view as contracts make it: proposed from the view of now, and again from the next
one when another change has come first.

What a contract does until then and afterwards (who proposes first, what is waited for) is its own.
"""

from collections.abc import Callable, Generator, Sequence

from node.core.messages import Adopted, Outcome, Outdated, Propose, Request
from node.core.view import Layout, View
from node.dialects.contract import Call

LOOKS_MAX = 40  # for a view that others have adopted, and the asked node has not yet
LOOK_EVERY_S = 0.05  # how often a contract that waits looks at what has become of a change


def adopting(
    call: Call, layout_of: Callable[[View], Layout], tries: int
) -> Generator[Sequence[Request] | float, Sequence[Outcome], View | None]:
    """The view, once it has the layout that is made of it and the asked node knows it; None when it
    cannot be had.  A view that has it already is not changed."""
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
    return None


def _arriving(call: Call, view: View) -> Generator[Sequence[Request] | float, object, None]:
    """Wait until it is here: before that, what the node tells of a change is of the last one."""
    for _ in range(LOOKS_MAX):
        if call.facts().view.id >= view.id:
            return
        yield LOOK_EVERY_S
