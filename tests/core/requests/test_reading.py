"""A read ends once: answered when it is covered, refused when it cannot be, or at its deadline."""

from node.core.membership.failure_detector import Detector
from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST, ViewId
from node.core.protocol.messages import Fetch, State
from node.core.protocol.operations import ANSWER_S, Absent, Found, Get, Unavailable, Unmet
from node.core.requests.coverage import Need
from node.core.requests.read_origin import Reads
from node.core.requests.reading import ASK_AGAIN_S, HEDGE_S, UNREACHABLE_S, Read

MEMBERS = ("m1", "m2", "m3")
PEAR = key_hash_of("pear", True)
NEED = Need(
    key_hash=PEAR,
    same_shard=lambda tag: True,
    elsewhere=lambda actor: False,
    here=lambda dot, tag: False,
    cluster_watermark={},
    view=FIRST,
    trim=lambda token: token,
    spell=lambda token: token,
    seen=lambda item, now_ms: item.past,
)
AHEAD = Token({}, {("a", 1): PEAR})
EMPTY = State(7, Item(), DotClock(), [FIRST])
FULL = State(7, Item({("a", 1): Version(b"v")}, Past({"a": 1})), DotClock({"a": 1}), [FIRST])
ARRIVING = State(7, Item(), DotClock(), [])


def reads(*up: str) -> Reads:
    detector = Detector("m0")
    for peer in up:
        detector.link_up(peer, 0.0)
    return Reads("m0", detector)


def begun(room: Reads, get: Get) -> tuple[Read, list[tuple[str, Fetch]]]:
    read = Read(get, NEED, MEMBERS, MEMBERS, {FIRST}, 0.0)
    return read, room.begin(7, read, 0.0)


def answered(room: Reads, read: Read, source: str, state: State) -> tuple[list[str], object]:
    read.add(source, state)
    asks, outcome = room.judge(7, read, 0.01)
    return [member for member, _ in asks], outcome


def test_asks_as_many_as_it_wants_copies_of() -> None:
    room = reads(*MEMBERS)
    assert begun(room, Get("pear", copies=2))[1] == [
        ("m1", Fetch(7, "pear")),
        ("m2", Fetch(7, "pear")),
    ]
    assert len(begun(room, Get("pear", copies=9))[1]) == 3
    assert begun(reads("m3"), Get("pear"))[1] == [("m3", Fetch(7, "pear"))]


def test_is_answered_by_the_first_state_that_covers() -> None:
    room = reads(*MEMBERS)
    read, _ = begun(room, Get("pear", token=AHEAD))
    assert room.get(7) is read
    assert room.waiting_for("pear") == [(7, read)]
    assert room.waiting_for("plum") == []
    assert answered(room, read, "m1", EMPTY) == (["m2", "m3"], None)
    asks, outcome = answered(room, read, "m2", FULL)
    assert isinstance(outcome, Found)
    assert (asks, outcome.served_by) == ([], "m1")
    assert room.get(7) is None


def test_is_refused_at_once_when_all_have_answered_in_vain() -> None:
    room = reads("m1", "m2")
    read, _ = begun(room, Get("pear", token=AHEAD))
    answered(room, read, "m1", EMPTY)
    assert answered(room, read, "m2", EMPTY) == ([], Unmet({"a": (0, 1)}))
    assert len(room) == 0


def test_with_patience_it_asks_again_until_its_deadline() -> None:
    room = reads("m1")
    read, _ = begun(room, Get("pear", token=AHEAD, wait_s=0.5))
    assert answered(room, read, "m1", EMPTY) == ([], None)
    assert room.tick(ASK_AGAIN_S / 2) == ([], [])
    again = Fetch(7, "pear", bound=True, doubts=("a",))
    assert room.tick(ASK_AGAIN_S) == ([("m1", again)], [])
    assert room.tick(0.5) == ([], [(7, Unmet({"a": (0, 1)}))])
    assert len(room) == 0


def test_an_owner_that_has_not_arrived_does_not_answer_alone() -> None:
    room = reads(*MEMBERS)
    read, _ = begun(room, Get("pear"))
    assert answered(room, read, "m1", ARRIVING) == (["m2", "m3"], None)
    asks, outcome = answered(room, read, "m3", FULL)
    assert isinstance(outcome, Found)
    assert (asks, outcome.served_by) == ([], "m3")


def test_silence_asks_the_others_after_a_moment() -> None:
    room = reads(*MEMBERS)
    begun(room, Get("pear"))
    asks, replies = room.tick(ASK_AGAIN_S)
    assert [member for member, _ in asks] == ["m2", "m3", "m1"]
    assert replies == []


def test_one_more_is_asked_soon_if_a_member_is_silent() -> None:
    room = reads(*MEMBERS)
    begun(room, Get("pear"))
    assert room.tick(HEDGE_S / 2) == ([], [])
    assert [member for member, _ in room.tick(HEDGE_S)[0]] == ["m2"]
    assert room.tick(HEDGE_S * 1.5) == ([], [])
    assert [member for member, _ in room.tick(HEDGE_S * 2)[0]] == ["m3"]


def test_a_member_that_sends_pieces_of_an_item_is_not_silent() -> None:
    room = reads(*MEMBERS)
    read, _ = begun(room, Get("pear"))
    room.ask_rest(7, read, "m1", HEDGE_S / 2)
    assert room.tick(HEDGE_S) == ([], [])


def test_too_few_answers_end_at_the_deadline() -> None:
    room = reads("m1")
    read, _ = begun(room, Get("pear", copies=2))
    assert answered(room, read, "m1", EMPTY) == ([], None)
    _, replies = room.tick(ANSWER_S / 2)
    assert replies == []
    _, [(request, outcome)] = room.tick(ANSWER_S)
    assert isinstance(outcome, Unavailable)
    assert outcome.definite
    assert "too few" in outcome.reason
    assert (request, len(room)) == (7, 0)


def test_an_unreachable_shard_is_said_soon_silence_later() -> None:
    gone = reads()
    begun(gone, Get("pear"))
    assert gone.tick(UNREACHABLE_S / 2) == ([], [])
    _, [(_, outcome)] = gone.tick(UNREACHABLE_S)
    assert isinstance(outcome, Unavailable)
    assert "can be reached" in outcome.reason
    room = reads("m1")
    begun(room, Get("pear", wait_s=3.0))
    assert room.tick(1.0)[1] == []


def test_only_a_member_that_waits_pulls() -> None:
    for wait_s, members, wants in [
        (1.0, ("m0", "m1"), True),
        (0.0, ("m0",), False),
        (1.0, MEMBERS, False),
    ]:
        read = Read(Get("pear", wait_s=wait_s), NEED, members, members, {FIRST}, 0.0)
        assert reads().wants_pull(read) is wants


# ---- R5: complete for a view and for all that led to it

SECOND = ViewId(2, "p")
BOTH = {FIRST, SECOND}


def moving_read(room: Reads, copies: int = 1, token: Token = AHEAD) -> Read:
    """Return a read of a key whose slot m3 holds for the owners m1 and m2."""
    get = Get("pear", copies=copies, token=token)
    read = Read(get, NEED, MEMBERS[:2], MEMBERS, BOTH, 0.0)
    room.begin(7, read, 0.0)
    return read


def state(*claims: ViewId) -> State:
    return State(7, Item(), DotClock(), list(claims))


def test_one_state_that_is_whole_answers_alone() -> None:
    room = reads(*MEMBERS)
    read = moving_read(room, token=Token())
    asks, outcome = answered(room, read, "m2", state(FIRST, SECOND))
    assert isinstance(outcome, Absent)
    assert (asks, outcome.served_by) == ([], "m2")


def test_an_owner_that_has_not_arrived_makes_the_read_ask_all_that_may_hold_the_slot() -> None:
    room = reads(*MEMBERS)
    read = moving_read(room, token=Token())
    asks, outcome = answered(room, read, "m1", state(SECOND))
    assert (asks, outcome) == (["m2", "m3"], None)


def test_states_that_are_whole_together_answer_together() -> None:
    room = reads(*MEMBERS)
    read = moving_read(room, token=Token())
    answered(room, read, "m1", state(SECOND))
    asks, outcome = answered(room, read, "m3", state(FIRST))
    assert isinstance(outcome, Absent)
    assert (asks, outcome.served_by) == ([], "m1")


def test_each_view_wants_as_many_states_as_copies() -> None:
    room = reads(*MEMBERS)
    read = moving_read(room, copies=2, token=Token())
    answered(room, read, "m1", state(FIRST, SECOND))
    assert answered(room, read, "m2", state(SECOND))[1] is None
    assert isinstance(answered(room, read, "m3", state(FIRST))[1], Absent)


def test_what_is_missing_is_refused_only_when_it_is_missing_indeed() -> None:
    """A node that was not reached may be complete for a view that no reached node is complete
    for."""
    room = reads(*MEMBERS)
    read = moving_read(room)
    for member in MEMBERS:
        assert answered(room, read, member, state(SECOND))[1] is None
    _, [(_, outcome)] = room.tick(ANSWER_S)
    assert isinstance(outcome, Unavailable)
    assert "has all of view 1" in outcome.reason


def test_in_another_view_all_reads_begin_again() -> None:
    room = reads(*MEMBERS)
    read = moving_read(room)
    assert room.restart() == [(7, read)]
    assert len(room) == 0


def test_a_stale_read_shows_what_there_is_and_what_is_missing() -> None:
    room = reads("m1", "m2")
    read, _ = begun(room, Get("pear", Mode.SIBLINGS, AHEAD, stale=True, raw=True))
    answered(room, read, "m1", EMPTY)
    _, outcome = answered(room, read, "m2", EMPTY)
    assert isinstance(outcome, Absent)
    assert outcome.missing == {"a": (0, 1)}
    assert (outcome.reads, outcome.token.exact) == (2, AHEAD.exact)


def test_a_stale_read_keeps_its_level() -> None:
    room = reads("m1")
    read, _ = begun(room, Get("pear", Mode.SIBLINGS, AHEAD, copies=2, stale=True))
    _, outcome = answered(room, read, "m1", EMPTY)
    assert isinstance(outcome, Unavailable)
    assert outcome.nodes == ("m1",)


def test_a_short_timeout_is_kept_where_no_replica_can_be_reached() -> None:
    gone = reads()
    begun(gone, Get("pear", timeout_s=0.1))
    assert gone.tick(0.09) == ([], [])
    _, [(_, outcome)] = gone.tick(0.1)
    assert isinstance(outcome, Unavailable)
