"""How a conversation spells what a watch asks, and what it is told."""

from node.core.model.dots import Dot
from node.core.model.item import Version
from node.core.protocol.watching import (
    ChangePage,
    ChangesListed,
    FetchChanges,
    KeyChange,
    Untraceable,
)
from tests.conversations.names import braces
from tests.conversations.reports import Reports
from tests.conversations.values import text_of


class Changes(Reports):
    """The words of changes."""

    def fetch_changes(self, fetch: FetchChanges) -> str:
        known = "nothing" if fetch.clock is None else self.clock(fetch.clock)
        behind = f" from {fetch.next_key}" if fetch.next_key else ""
        return f"{self.request(fetch.request)} since {known}{behind}"

    def change_page(self, page: ChangePage) -> str:
        if not page.slots:
            return f"{self.request(page.request)} holds nothing of it"
        found = []
        for dot, key in page.dots.items():
            version = page.items[key].versions.get(dot) or page.replaced.get(dot)
            gone = " (replaced)" if dot in page.replaced else ""
            found.append(self._written_as(dot, key, version) + gone)
        how = " by its rows" if page.scanned else ""
        more = ", more to come" if page.has_more else ""
        told = f" {braces(found, ', ')}" if found else ""
        return f"{self.request(page.request)}{told} up to {self.clock(page.clock)}{how}{more}"

    def changes(self, outcome: ChangesListed | Untraceable) -> str:
        """Spell an answer with what each change depends on."""
        if isinstance(outcome, Untraceable):
            return f"Untraceable: {outcome.reason}"
        return f"Changes {braces(map(self._change, outcome.changes), ', ')}"

    def _change(self, change: KeyChange) -> str:
        causes = [
            f"{'up to ' if cause.is_floor else ''}{self.dot((cause.actor, cause.n))}"
            for cause in change.causes
        ]
        after = f" after {braces(causes)}" if causes else ""
        return self._written_as(change.dot, change.key, change.version) + after

    def _written_as(self, dot: Dot, key: str, version: Version | None) -> str:
        if version is None:
            return f"{key}={self.dot(dot)} overwritten"
        value = "deleted" if version.value is None else text_of(version.value)
        return f"{key}={self.dot(dot)} {value}"
