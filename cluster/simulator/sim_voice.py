"""What simulated nodes tell their operators: notes, which a trial judges, and that a node ends."""


class GaveUpError(Exception):
    """A node ended by itself, as it does when it has lost a write; no run gives it a reason to."""

    kind = "GaveUp"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{self.kind}: {reason}")


class SimVoice:
    """Collects what the nodes tell operators; no node may give up."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def give_up(self, reason: str) -> None:
        raise GaveUpError(reason)
