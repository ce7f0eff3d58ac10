"""Rules of policies, each broken in one place.  (docs/decisions/0040.)"""

from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from cluster.simulator import policy_changes
from node.core.membership.known_views import KnownViews
from node.core.membership.proposals import Proposals
from node.core.membership.view_history import ViewHistory
from node.core.model import policy_rules
from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.item import Item, Version
from node.core.model.policies import Policy
from node.core.model.view import Layout, View
from node.core.protocol.messages import Views
from node.core.protocol.operations import Propose
from node.core.requests import read_answer
from tests.simulation.breaks import Breaks
from tests.simulation.mutants_of_the_api import delete_what_stands_beside_an_expired_value

OF_POLICIES = Breaks(policy_changes.OF_SUITE.start, policy_changes.is_drawn)


# ------------------------------------------------------------------ views


@OF_POLICIES.shown_by()
def a_view_change_drops_policies() -> Iterator[None]:
    """A proposal that says nothing of policies removes all."""
    original = ViewHistory.propose

    def propose(self: ViewHistory, layout: Layout, *rest: Any) -> View:
        return original(self, replace(layout, policies=layout.policies or ()), *rest)

    with patch.object(ViewHistory, "propose", propose):
        yield


@OF_POLICIES.shown_by()
def only_the_first_node_of_a_view_takes_its_policies() -> Iterator[None]:
    """The other nodes take the view without them."""
    original = KnownViews.learn

    def learn(self: KnownViews, message: Views) -> object:
        is_first = [view.nodes[:1] == (self.address,) for view in message.views]
        told = [v if first else _bare(v) for v, first in zip(message.views, is_first, strict=True)]
        return original(self, Views(told, message.oldest_view, message.gossip))

    with patch.object(KnownViews, "learn", learn):
        yield


def _bare(view: View) -> View:
    return replace(view, policies=())


@OF_POLICIES.shown_by(changes=1)
def a_forwarded_proposal_does_not_say_what_it_was_made_from() -> Iterator[None]:
    """It undoes what has come since."""
    original = Proposals._pass_on

    def pass_on(self: Proposals, request: int, propose: Propose, anew: bool) -> None:
        original(self, request, replace(propose, base=None), anew)

    with patch.object(Proposals, "_pass_on", pass_on):
        yield


# ------------------------------------------------------------------ blind writes


def _blind_writes_as(blind: str, mode: Mode) -> Iterator[None]:
    original = policy_rules.mode_of_write

    def mode_of_write(policy: Policy, **said: bool) -> Mode | None:
        is_blind = policy.blind == blind and not said["has_context"]
        return mode if is_blind else original(policy, **said)

    with patch.object(policy_rules, "mode_of_write", mode_of_write):
        yield


@OF_POLICIES.shown_by()
def a_blind_write_is_taken_under_refuse() -> Iterator[None]:
    """It stands beside what its client has not seen."""
    yield from _blind_writes_as("refuse", Mode.SIBLINGS)


@OF_POLICIES.shown_by()
def a_blind_write_replaces_under_sibling() -> Iterator[None]:
    """It takes along what its client has not seen."""
    yield from _blind_writes_as("sibling", Mode.LWW)


# ------------------------------------------------------------------ reads


@OF_POLICIES.shown_by()
def siblings_are_shown_under_lww() -> Iterator[None]:
    """No policy decides what is shown."""
    with patch.object(policy_rules, "shown_as", lambda policy: Mode.SIBLINGS):
        yield


@OF_POLICIES.shown_by(deletes=0.15)
def a_delete_by_context_hides_what_stands_beside() -> Iterator[None]:
    """An lww reader is told that there is no value, until the mark goes."""

    def shown_versions(mode: Mode, item: Item) -> dict[Dot, Version]:
        if mode is Mode.SIBLINGS:
            return item.shown()
        winner = item.winner()
        if winner is None or item.versions[winner].value is None:
            return {}
        return {winner: item.versions[winner]}

    with patch.object(read_answer, "shown_versions", shown_versions):
        yield


@OF_POLICIES.shown_by()
def the_oldest_sibling_is_shown_under_lww() -> Iterator[None]:
    """A reader is shown what is older than a write that it knows of."""

    def shown_versions(mode: Mode, item: Item) -> dict[Dot, Version]:
        shown = item.shown()
        if mode is Mode.SIBLINGS or not shown:
            return shown
        oldest = min(shown, key=item.rank)
        return {oldest: shown[oldest]}

    with patch.object(read_answer, "shown_versions", shown_versions):
        yield


# ------------------------------------------------------------------ ttl


@OF_POLICIES.shown_by()
def a_policy_ends_no_value() -> Iterator[None]:
    """Only a client's own ttl counts."""

    def expiry_of(policy: Policy, now_s: float, ttl_s: float | None = None) -> int:
        return int((now_s + ttl_s) * 1000) if ttl_s else 0

    with patch.object(policy_rules, "expiry_of", expiry_of):
        yield


@OF_POLICIES.shown_by()
def the_ttl_of_a_policy_deletes_what_stands_beside() -> Iterator[None]:
    """The delete of a value that has expired takes concurrent values along."""
    with delete_what_stands_beside_an_expired_value():
        yield


@OF_POLICIES.shown_by()
def the_ttl_of_a_policy_hides_what_stands_beside() -> Iterator[None]:
    """A key with a value that has expired shows nothing."""

    def at(self: Item, now_ms: float) -> Item:
        ends: Iterable[int] = (version.expires for version in self.versions.values())
        return Item({}, self.past) if any(0 < end <= now_ms for end in ends) else self

    with patch.object(Item, "at", at):
        yield
