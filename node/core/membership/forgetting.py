"""A node forgets everything, as an operator has asked."""

import msgspec

from node.core.membership.known_views import KnownViews
from node.core.membership.view_history import SavedViews
from node.core.model.view import no_view
from node.core.protocol.step import Step
from node.core.storage.row_scan import Scans
from node.core.storage.slot_cleanup import clear


def forget_all(views: KnownViews, rows: Scans, step: Step) -> None:
    """Remove every row, and end the replica.  The disk keeps which view was forgotten, which are
    retired, and which incarnations were lost."""
    clear(rows, step)
    known = views.history.saved()
    forgot = max(views.view.id, known.forgot)
    nothing = SavedViews(
        [no_view((views.address,))], known.oldest_view, {}, known.lost, False, forgot
    )
    step.record("meta", "views", msgspec.msgpack.encode(nothing))
    step.end_replica("this node has been told to forget everything")
