"""A policy decides what is shown, what a write replaces, and when a value expires."""

from dataclasses import dataclass

import pytest

from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.placement import first_view
from node.core.model.policies import BLINDS, MERGES, Policy
from node.core.model.policy_rules import expiry_of, mode_of_write, shown_as


@dataclass(frozen=True)
class Said:
    """What a client says of a write."""

    has_context: bool = False
    has_condition: bool = False
    deletes: bool = False


def mode(blind: str, said: Said) -> Mode | None:
    return mode_of_write(
        Policy("", blind=blind),
        has_context=said.has_context,
        has_condition=said.has_condition,
        deletes=said.deletes,
    )


def test_only_lww_shows_one_value() -> None:
    assert {merge for merge in MERGES if shown_as(Policy("", merge)) is Mode.LWW} == {"lww"}


@pytest.mark.parametrize("blind", BLINDS)
@pytest.mark.parametrize("deletes", [False, True])
def test_a_write_with_a_context_replaces_what_that_names(blind: str, deletes: bool) -> None:
    assert mode(blind, Said(has_context=True, deletes=deletes)) is Mode.SIBLINGS
    said = Said(has_context=True, has_condition=True, deletes=deletes)
    assert mode(blind, said) is Mode.SIBLINGS


@pytest.mark.parametrize("blind", BLINDS)
@pytest.mark.parametrize("deletes", [False, True])
def test_a_write_with_a_condition_replaces_what_it_finds(blind: str, deletes: bool) -> None:
    assert mode(blind, Said(has_condition=True, deletes=deletes)) is Mode.LWW


@pytest.mark.parametrize(
    ("blind", "put", "delete"),
    [
        ("replace", Mode.LWW, Mode.LWW),
        ("sibling", Mode.SIBLINGS, None),
        ("refuse", None, None),
    ],
)
def test_a_blind_write_is_as_the_policy_says(
    blind: str, put: Mode | None, delete: Mode | None
) -> None:
    assert mode(blind, Said()) is put
    assert mode(blind, Said(deletes=True)) is delete


def test_a_clients_ttl_comes_before_that_of_the_policy() -> None:
    lives, stays = Policy("", ttl_s=2.5), Policy("")
    assert (expiry_of(lives, 10.0), expiry_of(lives, 10.0, 1.0)) == (12_500, 11_000)
    assert (expiry_of(stays, 10.0), expiry_of(stays, 10.0, 1.0)) == (0, 11_000)


def test_a_layout_with_the_policies_of_the_view_says_nothing_of_them() -> None:
    view, rules = first_view(["a1", "a2"], 1), (Policy("a/"),)
    assert view.with_policies(()) == view.layout
    changed = view.with_policies(rules)
    assert (changed.policies, changed.nodes, changed.owner) == (rules, view.nodes, view.owner)


def test_a_context_names_each_version_beside_the_oldest_view() -> None:
    first = first_view(["a1"], 1).id
    past = Past({"a": 2}, {("b", 3)}, first)
    named = {("b", 3), ("a", 3), ("c", 1)}
    assert past.by_name([("a", 2), ("a", 3), ("c", 1)]) == Past({"a": 2}, named, first)
