"""How a conversation spells the reports of an explanation."""

from node.core.protocol.inspection import Explained, KeyReport, Lacking
from tests.conversations.names import braces
from tests.conversations.values import Values


class Reports(Values):
    """The words of what nodes say of one key."""

    def report(self, report: KeyReport) -> str:
        """Spell a report without its times."""
        parts = [f"view {self.view(report.view)}"]
        if report.holds:
            held = (f"{self.dot(each.dot)} {each.state}" for each in report.versions)
            parts += [f"holds {braces(held, ', ')} clock {self.clock(report.clock)}"]
        parts += ["in part"] if report.holds and not report.whole else []
        parts += ["damaged"] if report.damaged else []
        parts += [f"keeps {self.dot(each.dot)} for {each.target}" for each in report.hints]
        for each in report.waiting:
            lacks = f" lacks {self.lacking(each.missing)}" if each.missing else ""
            parts.append(f"{each.kind} waits, has {' '.join(each.nodes) or 'none'}{lacks}")
        events = ", ".join(f"{each.what} by {each.source}" for each in report.events)
        return "; ".join([*parts, *([f"events: {events}"] if events else [])])

    def lacking(self, missing: Lacking) -> str:
        entries = (
            f"{entry if entry.startswith('view.') else self.actor(entry)}:{have}/{need}"
            for entry, (have, need) in missing.items()
        )
        return braces(sorted(entries))

    def explained(self, outcome: Explained) -> str:
        """Spell an explanation: which nodes have reported, and what the token wants."""
        parts = [f"reports of {' '.join(sorted(outcome.reports))}"]
        for node, silence in sorted(outcome.silent.items()):
            parts.append(f"{node} {'is silent' if silence.reachable else 'cannot be reached'}")
        for node, missing in sorted(outcome.missing.items()):
            parts += [f"{node} lacks {self.lacking(missing)}"] if missing else []
        return f"Explained: {'; '.join(parts)}"
