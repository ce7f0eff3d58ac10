"""The policies of prefixes: their exchanges go as written; which one counts; what is merged."""

import pytest
from hypothesis import given, strategies as st

from node.api.native.merging import merged
from node.api.native.policies import policies
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.policies import (
    POLICIES_MAX,
    Policy,
    policy_of,
    with_policy,
    without_policy,
)
from node.core.model.token import Token
from node.core.protocol.operations import Found
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, played_file

prefixes = st.lists(st.text("ab/", max_size=4), unique=True, max_size=6)


def found(*values: bytes, labels: tuple[Labels | None, ...] = ()) -> Found:
    dots = tuple(("AAAAAA.1", n) for n in range(len(values)))
    nothing = (None,) * len(values)
    return Found(values, dots, dots, Token(), Past(), "a1", (), labels or nothing)


def test_goes_as_written() -> None:
    path = HERE / "policies.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "policies.txt").read_text()
    for method, pattern in handlers_of(policies()):
        assert f"\n{method} {pattern.partition('{')[0]}" in text


@given(prefixes, st.text("ab/", max_size=6))
def test_the_longest_prefix_counts(known: list[str], key: str) -> None:
    chosen = policy_of([Policy(prefix, "lww") for prefix in known], key)
    fitting = [prefix for prefix in known if key.startswith(prefix)]
    assert chosen == (Policy(max(fitting, key=len), "lww") if fitting else Policy(""))


@given(prefixes)
def test_a_policy_takes_the_place_of_its_prefix_and_goes_again(known: list[str]) -> None:
    rules: tuple[Policy, ...] = ()
    for prefix in known:
        rules = with_policy(with_policy(rules, Policy(prefix)), Policy(prefix, "max"))
    assert [policy.prefix for policy in rules] == sorted(known)
    assert {policy.merge for policy in rules} <= {"max"}
    for prefix in known:
        rules = without_policy(rules, prefix)
    assert rules == ()


def test_there_may_be_so_many() -> None:
    rules = tuple(Policy(str(n)) for n in range(POLICIES_MAX))
    assert len(with_policy(rules, Policy("7", "max"))) == POLICIES_MAX
    with pytest.raises(ValueError, match="the limit is 100"):
        with_policy(rules, Policy("more"))


@pytest.mark.parametrize(
    ("merge", "values", "expected"),
    [
        ("union", (b"[3, 1]", b"[1,2]"), b"[1,2,3]"),
        ("union", (b'[{"a": 1}]', b'[{"a":1}]'), b'[{"a":1}]'),
        ("union", (b"[1]", b"{}"), None),
        ("max", (b"1e2", b"99"), b"1e2"),
        ("min", (b"1e2", b"99.50"), b"99.50"),
        ("max", (b"1", b"true"), None),
        ("max", (b"1", b'"2"'), None),
        ("siblings", (b"1", b"2"), None),
    ],
)
def test_values_are_merged_as_the_policy_says(
    merge: str, values: tuple[bytes, ...], expected: bytes | None
) -> None:
    assert merged(Policy("", merge), found(*values)) == expected


def test_what_is_no_json_stays_a_sibling() -> None:
    labels = None, Labels("text/plain")
    assert merged(Policy("", "max"), found(b"1", b"2", labels=labels)) is None
