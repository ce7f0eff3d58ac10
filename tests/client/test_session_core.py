"""What a session learns of answers and sends back, and how an update meets other writers."""

import json

import pytest

from coterie import NOTHING, SEEN, Absent, Conflict, calls
from coterie.calls import Context
from coterie.resolvers import Resolver
from coterie.seen import SeenBySession
from coterie.session_core import ROUNDS_MAX, UNSET, Edit, SessionCore, Update
from coterie.steps import Answer
from tests.client.conversing import READ, Script, found, header, problem, wrote

PLENTY_S = 20.0


def several(*values: object) -> Answer:
    """Return the answer to a read of a key that has these values."""
    siblings = [
        {
            "id": f"i{n}",
            "etag": f'"i{n}"',
            "value": value,
            "content_type": "application/json",
            "meta": {},
            "written_at": 100.0 + n,
            "expires_at": None,
            "node": "a:1",
        }
        for n, value in enumerate(values)
    ]
    body = json.dumps({"key": "k", "siblings": siblings, "context": "c9"}).encode()
    return Answer(300, {**READ, "kv-context": "c9", "kv-token": "t9"}, body)


def get(script: Script, core: SessionCore, key: str = "k", sibling: str | None = None) -> None:
    call = calls.get(key, r=None, on_miss=None, sibling=sibling)
    script.run(core.talk(call, script.now + PLENTY_S))


def put(script: Script, core: SessionCore, key: str = "k", context: Context | None = None) -> None:
    call = calls.put(key, 1, core.write_options(key, context=context))
    script.run(core.talk(call, script.now + PLENTY_S))


def test_a_session_sends_the_token_of_its_last_answer() -> None:
    said = Script([found(kv_token="t1"), wrote(kv_token="t2"), found(kv_token="t2")])
    core = said.core()
    get(said, core)
    put(said, core)
    get(said, core)
    assert [header(send, "Kv-Token") for send in said.sent] == [[], ["t1"], ["t2"]]


def test_an_error_teaches_the_session_too() -> None:
    said = Script([problem(404, "absent", kv_token="t5", kv_context="c5"), several(1, 2)])
    core = said.core()
    with pytest.raises(Absent) as absent:
        get(said, core)
    assert (absent.value.context, core.seen.token, core.seen.context_of("k")) == ("c5", "t5", "c5")
    with pytest.raises(Conflict) as conflict:
        get(said, core)
    assert (conflict.value.context, core.seen.token, core.seen.context_of("k")) == (
        "c9",
        "t9",
        "c9",
    )
    assert conflict.value.values == [1, 2]


def test_requests_under_way_at_the_same_time_leave_a_token_each() -> None:
    seen = SeenBySession("t0", 10)
    one, other = seen.tokens(), seen.tokens()
    seen.learn_token(one, "t1")
    seen.learn_token(other, "t2")
    assert seen.tokens() == ("t1", "t2")
    assert SeenBySession(seen.token, 10).tokens() == ("t1", "t2")
    seen.learn_token(seen.tokens(), "t3")
    assert seen.tokens() == ("t3",)


def test_an_old_answer_does_not_take_back_what_a_later_one_has_taught() -> None:
    seen = SeenBySession("t0", 10)
    early = seen.tokens()
    seen.learn_token(seen.tokens(), "t1")
    late = seen.tokens()
    seen.learn_token(early, "t0")
    assert set(seen.tokens()) == {"t0", "t1"}
    seen.learn_token(late, "t2")
    assert set(seen.tokens()) == {"t0", "t2"}


def test_a_context_is_sent_where_the_program_wants_it() -> None:
    said = Script([found(kv_context="c1"), *[wrote(kv_context="c2")] * 4])
    core = said.core()
    get(said, core)
    put(said, core)
    put(said, core, context=SEEN)
    put(said, core, context="c7")
    put(said, core, key="other", context=SEEN)
    contexts = [header(send, "Kv-Context") for send in said.sent]
    assert contexts == [[], [], ["c2"], ["c7"], [NOTHING]]


def test_a_read_of_one_sibling_is_not_what_was_seen_of_the_key() -> None:
    said = Script([found(kv_context="c1"), found(kv_context="c2")])
    core = said.core()
    get(said, core)
    get(said, core, sibling="i1")
    assert core.seen.context_of("k") == "c1"


def test_a_session_forgets_the_contexts_of_keys_that_it_has_not_used_for_long() -> None:
    seen = SeenBySession("", 2)
    for key in ("a", "b", "a", "c"):
        seen.learn_context(key, f"of {key}")
    assert [seen.context_of(key) for key in "abc"] == ["of a", NOTHING, "of c"]


# ------------------------------------------------------------------ updates


def updated(
    script: Script, resolve: Resolver | None = None, default: object = UNSET, add: object = "x"
) -> Edit:
    """Let an update add an element to a list."""
    core = script.core()
    update = Update(resolve=resolve, default=default, r="all", on_miss=None, w="one", ttl=None)
    edit = script.run(core.begin("k", update, script.now + PLENTY_S))
    edit.value.append(add)
    script.run(core.end(edit, update, script.now + PLENTY_S))
    return edit


def bodies(script: Script) -> list[object]:
    return [json.loads(send.body) for send in script.sent if send.body is not None]


def test_an_update_writes_over_what_it_has_read() -> None:
    said = Script([found([1], kv_context="c3", kv_meta_who="Ann"), wrote()])
    edit = updated(said)
    assert edit.written is not None
    assert bodies(said) == [[1, "x"]]
    assert header(said.sent[1], "Kv-Context") == ["c3"]
    assert header(said.sent[1], "Kv-Meta-who") == ["Ann"]
    assert ["r=all" in said.sent[0].url, "w=one" in said.sent[1].url] == [True, True]


def test_an_update_of_an_absent_key_begins_with_its_default() -> None:
    default: list[object] = []
    said = Script([problem(404, "absent", kv_context="c4"), wrote(201)])
    edit = updated(said, default=default)
    assert (edit.read, default, bodies(said)) == (None, [], [["x"]])
    assert header(said.sent[1], "Kv-Context") == ["c4"]
    with pytest.raises(Absent):
        updated(Script([problem(404, "absent")]))


def test_an_update_merges_what_others_have_written_meanwhile() -> None:
    beside = wrote(kv_siblings="2")
    said = Script([found([1]), beside, several([1, "x"], [1, "y"]), wrote(kv_context="c10")])
    edit = updated(said, resolve="union")
    assert bodies(said) == [[1, "x"], [1, "x", "y"]]
    assert header(said.sent[3], "Kv-Context") == ["c9"]
    assert edit.written is not None
    assert edit.written.context == "c10"


def test_an_update_without_a_resolver_leaves_siblings() -> None:
    said = Script([found([1]), wrote(kv_siblings="2")])
    edit = updated(said)
    assert edit.written is not None
    assert edit.written.siblings == 2


def test_an_update_gives_up_against_writers_that_do_not_end() -> None:
    beside = wrote(kv_siblings="2")
    said = Script([found([1]), beside, *[several([1, "x"], [1, "y"]), beside] * ROUNDS_MAX])
    edit = updated(said, resolve="union")
    assert said.replies == []
    assert edit.written is not None
    assert edit.written.siblings == 2


@pytest.mark.parametrize(
    ("was", "value", "wanted"),
    [
        ("text/html", "new", "text/html"),
        ("application/json; profile=x", [1], "application/json; profile=x"),
        ("image/png", b"new", "image/png"),
        ("image/png", "new", "text/plain; charset=utf-8"),
        ("text/html", [1], "application/json"),
    ],
)
def test_an_update_keeps_the_content_type_of_a_value_of_its_kind(
    was: str, value: object, wanted: str
) -> None:
    said = Script([Answer(200, {**READ, "content-type": was}, b"[0]"), wrote()])
    core = said.core()
    update = Update(resolve=None, default=UNSET, r=None, on_miss=None, w=None, ttl=None)
    edit = said.run(core.begin("k", update, said.now + PLENTY_S))
    edit.value = value
    said.run(core.end(edit, update, said.now + PLENTY_S))
    assert header(said.sent[1], "Content-Type") == [wanted]
