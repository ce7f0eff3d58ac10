"""Each story tells its golden text, in any process, and the golden texts show what they are for."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from examples.stage.messages import Words
from node.core.model.dots import DotClock
from node.core.model.item import Item, Version
from node.core.protocol import messages as m
from node.core.protocol.key_pages import CountKeys
from tests.examples.told import FOLDER, STORIES, golden, told

COLUMNS = 80
LINES_MAX = 90  # a story is one page
EXAMPLES = Path(__file__).parents[2] / "examples"


@cache
def text_of(name: str) -> str:
    return golden(name).read_text("utf-8")


def steps_of(name: str) -> list[str]:
    """Return the steps of a golden text, without what stands before and after them."""
    return re.split(r"^\d+\. ", text_of(name), flags=re.MULTILINE)[1:]


def test_every_story_has_a_golden_text() -> None:
    stories = {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__"}
    assert stories == set(STORIES) == {path.stem for path in FOLDER.glob("*.txt")}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_tells_its_golden_text(name: str) -> None:
    assert told(name) == text_of(name), "if that is right: `make rewrite`, and read the diff"


@pytest.mark.parametrize("name", STORIES)
def test_a_log_fits_a_terminal(name: str) -> None:
    assert [line for line in text_of(name).splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_one_page_and_knows_no_node(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text("utf-8")
    assert len(source.splitlines()) <= LINES_MAX
    imports = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.ImportFrom)]
    known = {str(each.module).split(".")[0] for each in imports}
    assert known <= {"examples", "coterie", "contextlib"}


# ------------------------------------------------------------------ what the stories show


def test_basic_shows_a_read_that_lacks_the_write_and_one_that_may_not() -> None:
    _, without_token, with_token, quorum, *_, deleted = steps_of("basic")
    assert "404 Not Found" in without_token
    assert "Kv-Token: {alice:1}" in with_token
    assert "200 OK" in with_token
    assert "Kv-Acks: 2/3" in quorum
    assert "Kv-Reads: 2/3" in quorum
    assert "alice:3 = deleted" in deleted


def test_conflict_shows_siblings_and_one_value_in_their_place() -> None:
    steps = steps_of("conflict")
    assert "alice:2 = " in steps[2]
    assert "bob:1 = " in steps[2]
    assert "300 Multiple Choices" in steps[3]
    assert 'carol:1 = ["bread", "eggs", "milk"]\n' in steps[5]
    assert "bob:1 = " not in steps[5]


def test_partition_shows_both_sides_and_what_heals_them() -> None:
    _, cut, ann, ben, refused, healed, same, _ = steps_of("partition")
    assert "carol is cut off" in cut
    assert "(lost)" in ann
    assert "Kv-Acks: 1/3" in ben
    assert "503 Service Unavailable" in refused
    assert re.search(r"Compare clock .*Pull what .*ItemPage topic: ", healed, re.DOTALL)
    assert "all three" in healed
    assert same.count("300 Multiple Choices") == 2


def test_read_repair_is_what_brings_the_third_replica_up_to_date() -> None:
    _, _, old, repaired, new = steps_of("read_repair")
    assert re.search(r"200 OK.* 10\n", old, re.DOTALL)
    assert re.search(r"ReadRepair alice:2.*carol +price is on disk", repaired, re.DOTALL)
    assert "Pull" not in text_of("read_repair")
    assert re.search(r"200 OK.* 12\n", new, re.DOTALL)


def test_cart_shows_that_what_was_removed_stays_away() -> None:
    assert "The union: ham, jam, tea." in text_of("cart")
    assert "The cart: ham, tea." in text_of("cart")


def test_counter_shows_a_write_that_is_sent_twice_and_is_one() -> None:
    first, again = steps_of("counter")[1], steps_of("counter")[3]
    assert "Idempotency-Key: ann-1" in first
    assert "Idempotency-Key: ann-1" in again
    assert "all three" not in again, "the replicas have what they had before"
    assert "The total: 11." in text_of("counter")


# ------------------------------------------------------------------ words

WORDS = Words(lambda actor: actor.partition(".")[0])
ITEM = Item({("b.1", 2): Version(b'{"n":1}'), ("a.1", 1): Version(None)})


def test_a_clock_names_what_is_beyond_a_gap() -> None:
    assert WORDS.clock(DotClock({"a.1": 2}, {"a.1": {4}})) == "{a:2 a:4}"
    assert WORDS.seen({"a.1": 1}, [("a.1", 3), ("a.1", 2), ("b.1", 2)]) == "{a:3 b:2}"


def test_versions_have_names_and_values() -> None:
    assert WORDS.versions(ITEM) == ["a:1 = deleted", 'b:2 = {"n": 1}']
    assert WORDS.versions(Item()) == ["no value"]


def test_a_message_that_no_story_sends_is_named() -> None:
    assert WORDS.message(CountKeys(1)) == "CountKeys"
    assert WORDS.message(m.Fetch(1, "k")) == "Fetch k"
