"""A play: what a story says and does, in numbered steps."""

from collections.abc import Callable

from examples.stage.cluster import Cluster, NotAsTold
from examples.stage.page import Page
from examples.stage.storyteller import Person

Story = Callable[["Play"], None]


class Play:
    """One story on one cluster."""

    def __init__(self, cluster: Cluster, page: Page) -> None:
        self._cluster, self._page = cluster, page
        self._number = 0
        self.alice, self.bob, self.carol = cluster.nodes

    def person(self, name: str) -> Person:
        """Return a client that has seen nothing yet."""
        return Person(name, self._cluster, self._page)

    def key(self, word: str) -> str:
        return self._cluster.key(word)

    def step(self, sentence: str, *, at_once: bool = False) -> None:
        """Begin the next step, when all that is under way has arrived; or `at_once`."""
        if self._number and not at_once:
            self._cluster.settle()
        self._number += 1
        self._page.sentence(self._number, sentence)
        self._cluster.begin_step()

    def cut_off(self, node: str) -> None:
        """Let nothing pass between this node and the others, if the cluster can do that."""
        reason = self._cluster.cut_off(node)
        if reason:
            self._page.remark(f"(This is left out: {reason})")

    def heal(self) -> None:
        self._cluster.heal()

    def until_level(self) -> None:
        """Wait until all replicas have the same of the key."""
        self._cluster.until_level()

    def remark(self, text: str) -> None:
        """Say what a program does with an answer, below it."""
        self._page.remark(text)

    def check(self, is_so: bool, expected: str) -> None:
        """Raise NotAsTold unless it is so."""
        if not is_so:
            raise NotAsTold(f"expected that {expected}")

    def tell(self, docstring: str, story: Story) -> None:
        """Play the story; its docstring has the title first and what is to be learned last."""
        self._page.title(docstring, self._cluster.legend)
        try:
            story(self)
            self._cluster.settle()
        finally:
            self._cluster.heal()
        self._page.ending(" ".join(docstring.rpartition("\n\n")[2].split()))
