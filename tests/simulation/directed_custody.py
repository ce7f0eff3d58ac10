"""Stories of who has what, which chance tells too rarely: a row, an ack or a claim that counts
where it must not.

Four real replicas, in fair weather; machines are cut off and crash, views are proposed and letters
held back at chosen moments.  A story that ends badly raises ViolationError.
"""

from collections.abc import Callable
from itertools import permutations

from cluster.simulation import Node
from cluster.witness import ViolationError
from node.core.messages import (
    Compare,
    Found,
    Get,
    Letter,
    Outcome,
    Propose,
    Put,
    Stored,
    Unavailable,
)
from node.core.view import SLOTS, Layout, Shard
from tests.simulation.directed import Held, nothing
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to

VALUE = b"handed round"


def all_slots_of(*owners: str) -> Layout:
    """One shard of these; the others are in the view and own nothing."""
    others = [node for node in NODES if node not in owners]
    return Layout((*owners, *others), (Shard("s1", owners),), bytes(SLOTS))


class Post(Cluster):
    """Holds letters back, for ever or until they are let go."""

    def __init__(self, seed: int) -> None:
        self.holds: Callable[[Node, str, Letter], bool] = nothing
        self.held: list[Held] = []
        super().__init__(seed)

    def send(self, node: Node, target: str, letter: Letter) -> None:
        if self.holds(node, target, letter):
            self.held.append((node, target, letter))
        else:
            super().send(node, target, letter)

    def let_go(self, held: list[Held]) -> None:
        for node, target, letter in held:
            super().send(node, target, letter)

    def wish(self, address: str, layout: Layout) -> None:
        """Propose a view; the story goes on without the answer."""
        self.submit(address, Propose(layout), lambda outcome: None)

    def holds_slots(self, address: str) -> bool:
        driver = self.nodes[address].driver
        return driver is not None and bool(len(driver.replica.keyspace.parts))


def _until_it_has_come_back(seed: int) -> Post:
    """n1 and n2 have everything; a view gives it to n2, so n1 forgets it; the next gives it back to
    n1, which n2 cannot reach.  Since before the first n2 has not been told what n1 has."""
    post = Post(seed)
    post.ask("n1", Propose(all_slots_of("n1", "n2")))
    post.write("n1", VALUE)
    post.wait(5.0)
    post.holds = lambda node, target, letter: (
        (node.address, target) == ("n1", "n2") and isinstance(letter.message, Compare)
    )
    post.wait(5.0)
    post.crash("n4")  # it does not report: no view is retired meanwhile
    post.ask("n3", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    assert not post.holds_slots("n1")
    post.cut({("n2", "n1")})
    post.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    return post


def _all_reports_come(post: Post) -> None:
    """Every node is heard of by every other, over n3 at least; then the two meet."""
    post.start("n4")
    post.wait(10.0)
    post.holds = nothing
    post.heal()
    for address in NODES:
        post.must_show(address, VALUE)


def what_came_back_to_who_had_it_before(seed: int) -> None:
    """n1 had everything two views ago: that is no reason for n2 to leave it to n1 now."""
    _all_reports_come(_until_it_has_come_back(seed))


def a_comparison_of_two_views_ago(seed: int) -> None:
    """What n1 said of itself then reaches n2 only now."""
    post = _until_it_has_come_back(seed)
    compares = [held for held in post.held if isinstance(held[2].message, Compare)]
    post.let_go(compares[:1])
    post.wait(1.0)
    _all_reports_come(post)


def a_write_over_three_views(seed: int) -> None:
    """n2 and n3 have a write, hand it to n1 and n4, forget it, and own its slot again: the client
    that has waited all the while must not be told of their copies."""
    post = Post(seed)
    post.ask("n1", Propose(all_slots_of(*NODES)))
    post.wait(5.0)
    post.cut({("n4", "n1")})  # its acks do not come
    outcomes: list[Outcome] = []
    post.submit("n1", Put(KEYS[0], VALUE, level="all"), outcomes.append)
    post.wait(0.3)
    post.wish("n1", all_slots_of("n1", "n4"))
    post.wait(0.7)
    assert not any(post.holds_slots(address) for address in ("n2", "n3"))
    post.cut({pair for pair in permutations(NODES, 2) if "n1" in pair})
    post.wish("n1", all_slots_of("n1", "n2", "n3"))
    post.wait(2.0)
    [outcome] = outcomes
    assert isinstance(outcome, Stored | Unavailable)
    lost = ("n1", "n4")
    for address in lost:
        post.replace_disk(address)
    post.heal()
    found = post.ask("n2", Get(KEYS[0], wait_s=2.0))
    if outcome.acks > len(lost) and not isinstance(found, Found):
        raise ViolationError("LostWrite", f"{outcome}; {lost} lost their disks: {found}")


def slots_that_nobody_wrote_to(seed: int) -> None:
    """All that n1 and n2 know of their slots is that there is nothing; n3, which owns them next,
    hears it late.  Nobody else can tell, and while n4 is down no view is retired."""
    post = Post(seed)
    post.crash("n4")
    post.holds = lambda node, target, letter: target == "n3" and isinstance(letter.message, Compare)
    post.ask("n3", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    post.holds = nothing
    post.wait(5.0)
    post.write("n3", VALUE)
    for key in KEYS:
        outcome = post.ask("n3", Get(key, wait_s=2.0))
        if isinstance(outcome, Unavailable):
            raise ViolationError("NeverArrives", f"{key} at n3: {outcome}")
    post.must_show("n3", VALUE)
