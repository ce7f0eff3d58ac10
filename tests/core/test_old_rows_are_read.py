"""A node starts on the rows of the version before: no name of a field is on the disk.

A node of that version, alone in its view, has written pear twice and plum once, and deleted plum.
"""

from random import Random

from cluster.simulator.memory_store import write_rows
from node.core.model.keys import SLOTS
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.protocol import events
from node.core.protocol.effects import Record
from node.core.protocol.operations import Absent, Found, Get, Outcome, Request
from node.core.replica import Replica, restore
from tests.core.given import MEGABYTE, MemoryRows

ADDRESS = "127.0.0.1:18990"
NOW = 1_796_024_600.0
WRITTEN = b"\x93\xcf\x00\x00\x01\xa2+g"  # a timestamp begins so
ACTOR = b"\xa8WCmK7E.1"
DEPENDS_ON = b"\x95\x80\x80\xc4\x00" + WRITTEN + b";\x88\x00" + ACTOR + b"\x92\x00\xa0"
PLUM = (
    b"\x92\x81\x92" + ACTOR + b"\x04\x95\xc0" + DEPENDS_ON + WRITTEN + b"<\xb0\x00" + ACTOR
    + b"\xc3\xc0\x93\x80\x90\x92\x00\xa0"
)  # fmt: skip
PEAR = (
    b'\x92\x81\x92' + ACTOR + b'\x02\x95\xc4\x08"second"' + DEPENDS_ON + WRITTEN + b"<\x92\x00"
    + ACTOR + b"\xc3\xc0\x93\x80\x90\x92\x00\xa0"
)  # fmt: skip
PARTS = (
    b"\x91\x93\xc4\x0fx\x01\xfb\xff\x7f\x14\x8c\xe4\x10\x00\x00\x1e\xf1\xfe\x10\x93\x81" + ACTOR
    + b"\x01\x80\x92\x00\xa0\x91\x92\x01\xa0"
)  # fmt: skip
VIEWS = (
    b"\x96\x91\x88\xa6number\x01\xa5nodes\x91\xaf127.0.0.1:18990\xa6shards\x91\x92\xa2s1\x91"
    b"\xaf127.0.0.1:18990\xa5owner\xc5\x10\x00" + bytes(SLOTS)
    + b"\xa8proposer\xa0\xa3ids\x90\xa9ancestors\x90\xa9addresses\x90\x92\x01\xa0\x80\x90\xc2"
    b"\x92\x00\xa0"
)  # fmt: skip
ROWS = [
    Record("item", "3e1/plum", PLUM, open=True),
    Record("item", "5ce/pear", PEAR),
    Record("log", "WCmK7E.1/00000000000002", b"pear"),
    Record("log", "WCmK7E.1/00000000000003", b"plum"),
    Record("log", "WCmK7E.1/00000000000004", b"plum"),
    Record("meta", "node", b"-6PpmnxRUtYaYTgW85T__w"),
    Record("meta", "parts", PARTS),
    Record("meta", "views", VIEWS),
]


def asked(replica: Replica, request: Request) -> Outcome:
    [(_, outcome)] = replica.step(NOW + 9, ADDRESS, events.Submit(7, request)).replies
    return outcome


def test_rows_of_the_version_before_are_read() -> None:
    rows = MemoryRows()
    write_rows(rows.tables, ROWS)
    start = Start(first_view((ADDRESS,), 1))
    replica = restore(ADDRESS, start, rows, Options(MEGABYTE), Random(1))
    for second in range(9):
        replica.step(NOW + second, ADDRESS, events.Tick())
    found = asked(replica, Get("pear"))
    assert isinstance(found, Found)
    assert list(found.values) == [b'"second"']
    assert isinstance(asked(replica, Get("plum")), Absent)
    assert replica.keyspace.clock.has(("WCmK7E.1", 4))
    assert replica.views.node_id == "-6PpmnxRUtYaYTgW85T__w"
