"""Clients of the policies endpoint: they set and remove policies while a run goes on.

A change is a proposal with the present view as its base, as the native API makes it, and is made
anew a few times if another view has come first.  A view has the policies of the view that it was
made from, or those that a client has asked for by naming that view.  At rest all nodes have the
policies of their view.  (docs/decisions/0040.)

All of this is drawn apart from everything else.
"""

from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.recurring import Recurring
from cluster.simulator.world import World
from node.core.model.policies import (
    BLINDS,
    MERGES,
    Policies,
    Policy,
    with_policy,
    without_policy,
)
from node.core.model.view import NO_VIEW, View, ViewId
from node.core.protocol.operations import Adopted, Outcome, Outdated, Propose

SHARE = 0.7  # of the seeds
SINCE = 20261218 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(600_000, 700_000)
EVERY_S = (2.0, 4.0, 8.0)
TRIES = 5  # as many as the native API makes
REMOVED = 0.2  # the share of changes that remove a policy
LIFE_S = (0.3, 6.0)
LIVES = 0.5  # the share of policies with a ttl, in half of the runs
WRITES, READS = ("available", "one", "quorum", "all"), ("one", "one", "quorum")

Change = Callable[[Policies], Policies]


def is_drawn(seed: int) -> bool:
    """Whether policies are set in this run."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"policies {seed}").random() < SHARE


class PolicyChanges(Recurring):
    """The draws of one run.  `keys` are those that may have a policy.  Where clocks are apart no
    value expires, as in `lifetimes`."""

    def __init__(
        self, world: World, monitor: InvariantMonitor, seed: int, keys: list[str], skew_s: float
    ) -> None:
        random = Random(f"policies of {seed}")
        super().__init__(world, monitor, random, random.choice(EVERY_S), is_drawn(seed))
        self._prefixes = ["", "s", *(key[:2] for key in keys), *keys]
        self._has_lives = not skew_s and random.random() < 0.5
        self._wanted: set[tuple[ViewId, Policies]] = set()  # after which view, by a client

    def demand(self, addresses: Iterable[str]) -> None:
        """Demand that no view has lost a policy, and that these nodes have those of their view."""
        for view in self._monitor.views.values():
            self._judge(view)
        for address in addresses:
            driver = self._world.nodes[address].driver
            assert driver is not None, f"{address} is down"
            view = driver.replica.view
            if view.policies != self._monitor.views[view.id].policies:
                detail = f"{address} follows {view.policies} in view {view.id}"
                raise ViolationError("PoliciesDiffer", detail)

    def _judge(self, view: View) -> None:
        """Demand that a view keeps the policies of the view that it was made from, or has those
        that a client has asked for there."""
        base = max(view.ancestors, default=NO_VIEW)
        known = self._monitor.views.get(base)
        if base > NO_VIEW and known is None:
            return  # it was lost with its proposer's disk, and nobody else has heard of it
        kept = known.policies if known else ()
        if view.policies != kept and (base, view.policies) not in self._wanted:
            detail = f"view {view.id} has {view.policies}, after {kept} in view {base}"
            raise ViolationError("PolicyLost", detail)

    # ------------------------------------------------------------------ changes
    def _strike(self) -> None:
        able = [address for address in self._world.nodes if self._knows_a_view(address)]
        if able:
            self._change(self._random.choice(able), self._drawn(), TRIES)

    def _knows_a_view(self, address: str) -> bool:
        driver = self._world.nodes[address].driver
        is_told = driver is not None and bool(driver.replica.view.shards)
        return is_told and not self._monitor.is_old(address)

    def _drawn(self) -> Change:
        random = self._random
        prefix = random.choice(self._prefixes)
        if random.random() < REMOVED:
            return lambda known: without_policy(known, prefix)
        lives = self._has_lives and random.random() < LIVES
        policy = Policy(
            prefix,
            random.choice(MERGES),
            random.choice(BLINDS),
            random.choice(WRITES),
            random.choice(READS),
            random.uniform(*LIFE_S) if lives else 0.0,
        )
        return lambda known: with_policy(known, policy)

    def _change(self, address: str, change: Change, tries: int) -> None:
        driver = self._world.nodes[address].driver
        if self._calm or driver is None or not self._knows_a_view(address):
            return
        view = driver.replica.view
        policies = change(view.policies)
        layout = view.with_policies(policies)
        if layout == view.layout or not self._monitor.may_be_owned_so(layout):
            return
        self._wanted.add((view.id, policies))
        answered = partial(self._on_answer, address, change, policies, tries - 1)
        self._world.submit(address, Propose(layout, view.id), answered)

    def _on_answer(
        self, address: str, change: Change, wanted: Policies, tries: int, outcome: Outcome
    ) -> None:
        self._monitor.reached[f"policy {type(outcome).__name__}"] += 1
        if isinstance(outcome, Adopted) and outcome.view.policies != wanted:
            detail = f"{address} answers {outcome.view.policies} to {wanted}"
            raise ViolationError("PolicyNotSet", detail)
        if isinstance(outcome, Outdated) and tries:
            self._change(address, change, tries)
