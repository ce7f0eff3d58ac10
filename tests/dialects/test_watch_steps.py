"""How a watch goes on, step by step: how it begins, comments, ids that it cannot go on from."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from multidict import CIMultiDict, MultiDict

from node.api.contract import Call, Facts, Feed, FeedWords, Refused, Reply
from node.api.native.watch import watches
from node.api.native.watch_position import Clocks, Position, position_text
from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.slots import ALL
from node.core.protocol.inspection import Recognize, Recognized
from node.core.protocol.operations import Outcome, Rejected, Request, Unavailable
from node.core.protocol.watching import ChangesListed, KeyChange, ListChanges, Untraceable
from tests.dialects.nodes import NODES, facts_at
from tests.dialects.watched import EVERYTHING, LIMITS, A, B, after, plain, version
from tests.simulation.watching import read_events


class Told:
    """A watch that is driven step by step, with a clock that its waits move; `answer` stands for
    the core."""

    def __init__(self, answer: Callable[[Request], Outcome], last_id: str = "") -> None:
        self.now, self._answer = 1000.0, answer
        headers = CIMultiDict({"Last-Event-ID": last_id} if last_id else {})
        call = Call("GET", {}, MultiDict({"prefix": "k"}), headers, b"", self._facts, LIMITS)
        feed = watches().routes[0].handler(call)
        assert isinstance(feed, Feed)
        self._feed = feed

    def _facts(self) -> Facts:
        return replace(facts_at(NODES[0]), now=self.now, cluster="aaaaaa")

    def opened(self) -> Reply:
        steps = self._feed.opening
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(self._outcomes(wanted))
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        except Refused as refused:
            return refused.reply

    def _outcomes(self, wanted: Sequence[Request] | float) -> list[Outcome]:
        if isinstance(wanted, float):
            self.now += wanted
            return []
        return [self._answer(request) for request in wanted]

    def texts(self, seconds: float) -> list[bytes]:
        """What it says in this time."""
        steps, end, found = self._feed.go_on(), self.now + seconds, []
        wanted = next(steps)
        while self.now < end:
            if isinstance(wanted, FeedWords):
                found.append(wanted.text)
                wanted = steps.send([])
            else:
                wanted = steps.send(self._outcomes(wanted))
        return found


def idle(request: Request) -> Outcome:
    """Answer as holders where nothing changes."""
    if isinstance(request, Recognize):
        return Recognized(request.token, request.context)
    assert isinstance(request, ListChanges)
    return ChangesListed([(request.slots, DotClock({A: 1}))], [], {}, {})


def test_a_new_watch_begins_with_the_clocks_of_now() -> None:
    told = Told(idle)
    reply = told.opened()
    assert (reply.status, reply.content_type) == (200, "text/event-stream")
    assert reply.headers["Kv-Token"]
    first, *rest = told.texts(40.0)
    assert first.startswith(b"id: ")
    assert [text[:7] for text in rest] == [b": \nid: "] * 2  # a comment every 15 s
    id_of = first.decode().removeprefix("id: ").strip()
    resumed = Told(idle, id_of)
    assert resumed.opened().status == 200
    assert resumed.texts(1.0) == [b": \n\n"]


def test_a_shard_that_does_not_answer_keeps_a_watch_from_beginning() -> None:
    told = Told(lambda request: Unavailable("away", definite=True))
    assert told.opened().status == 503
    assert told.now >= 1001.0


def test_a_shard_that_falls_silent_is_told_in_comments() -> None:
    answers = [idle]
    told = Told(lambda request: answers[0](request))
    told.opened()
    answers[0] = lambda request: Unavailable("away", definite=True)
    assert told.texts(40.0)[1:] == [b": a shard cannot be reached\n\n"] * 2


def test_what_cannot_be_traced_is_a_reset() -> None:
    def answer(request: Request) -> Outcome:
        is_new = isinstance(request, ListChanges) and request.clock is None
        return idle(request) if is_new else Untraceable("too much")

    told = Told(answer)
    told.opened()
    events, _ = read_events(b"".join(told.texts(0.04)))
    assert {(each.kind, each.said["reason"]) for each in events} == {("reset", "too much")}


def test_an_id_of_another_cluster_or_of_other_keys_is_a_reset() -> None:
    def stranger(request: Request) -> Outcome:
        return Rejected("foreign") if isinstance(request, Recognize) else idle(request)

    own = position_text(Position(EVERYTHING, "bbbbbb", 900.0), plain)
    some = position_text(Position(Clocks([(1, DotClock({A: 1}))]), "aaaaaa", 900.0), plain)
    for answer, last_id, why in ((stranger, own, "another cluster"), (idle, some, "other keys")):
        told = Told(answer, last_id)
        assert told.opened().status == 200
        events, _ = read_events(b"".join(told.texts(1.0)))
        assert [why in each.said["reason"] for each in events] == [True]


def test_heads_that_are_not_known_are_left_out() -> None:
    head = "aaaaaa:12345678.1"

    def answer(request: Request) -> Outcome:
        is_known = not (isinstance(request, Recognize) and head in request.context.base)
        return idle(request) if is_known else Unavailable("unknown runs", definite=True)

    clocks = Clocks([(ALL, DotClock({head: 2, A: 1}))])
    told = Told(answer, position_text(Position(clocks, "aaaaaa", 1000.0), plain))
    assert told.opened().status == 200
    assert read_events(b"".join(told.texts(1.0)))[0] == []


def test_too_much_that_waits_is_a_reset() -> None:
    many = {
        f"k{n}": KeyChange((A, n), f"k{n}", version(n, b"x" * 4000), (after(B, 99),))
        for n in range(1, 1200)
    }

    def answer(request: Request) -> Outcome:
        assert isinstance(request, ListChanges)
        if request.clock is None:
            return idle(request)
        listed = idle(request)
        assert isinstance(listed, ChangesListed)
        return replace(listed, changes=list(many.values()), items={key: Item() for key in many})

    told = Told(answer)
    told.opened()
    events, _ = read_events(b"".join(told.texts(0.04)))
    assert {each.said["reason"] for each in events} == {
        "too many changes wait for what they depend on"
    }
