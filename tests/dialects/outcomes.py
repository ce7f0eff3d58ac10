"""The outcomes that the exchanges script: what the core answers, by name."""

from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Adopted,
    Counted,
    Early,
    Forgotten,
    Found,
    Listed,
    Looked,
    Mismatch,
    Outcome,
    Outdated,
    Overfull,
    Rejected,
    Reused,
    Stored,
    Unavailable,
    Unmet,
)
from tests.dialects.nodes import NEXT, NODES

SEEN = Token({}, {("AAAAAA.1", 7): 6 << 24}, b"", (1700000000000, 0, "AAAAAA.1"))
DOT = ("AAAAAA.1", 7)
HOME = "10.10.0.3:8090"
BOTH = (HOME, NODES[0])
CLOCK = {"AAAAAA.1": 7}
LATER = {"AAAAAA.1": 7, "BBBBBB.1": 2}
BESIDE = {"CCCCCC.1": 4}
BOTH_DOTS = (DOT, ("CCCCCC.1", 4))
CONTEXT = Past({"AAAAAA.1": 7, "CCCCCC.1": 4})
WRITTEN_AT = (1700000000000, 0, "AAAAAA.1")

ACTORS = {"BBBBBB.1": "10.10.0.2:8090", "AAAAAA.1": "10.10.0.3:8090", "CCCCCC.1": "10.10.0.4:8090"}
SHOWN = {"BBBBBB.1": 4, "AAAAAA.1": 6}
PRESENT = {node: actor for actor, node in ACTORS.items()}
EARLY = Early("plum", b'"blue"', DOT, Token({"BBBBBB.1": 5}), {"BBBBBB.1": (4, 5)})
OTHER = Early("fig", None, ("DDDDDD.0", 3), SEEN, {"AAAAAA.1": (6, 7)})

OUTCOMES: dict[str, Outcome] = {
    "created": Stored(SEEN, Past(), DOT, replaced=False, acks=2, copies=3, home=HOME),
    "replaced": Stored(SEEN, Past(), DOT, replaced=True, acks=1, copies=3, home=HOME),
    "found": Found((b'{"any":["JSON",1.50,null]}',), (DOT,), (DOT,), SEEN, Past(), HOME),
    "found kept": Found(
        (b'{"v":1}\n{"any":["JSON",1.50,null]}',), (DOT,), (DOT,), SEEN, Past(), HOME
    ),
    "found text": Found((b'"tea"',), (DOT,), (DOT,), SEEN, Past(), HOME),
    "on two": Stored(SEEN, Past(), DOT, True, 2, 3, HOME, BOTH, LATER),
    "kept here": Stored(SEEN, Past(), DOT, True, 1, 3, NODES[0], (NODES[0],), LATER),
    "clocked": Found((b'"tea"',), (DOT,), (DOT,), SEEN, Past(), HOME, (CLOCK,)),
    "siblings": Found((b'"tea"', b'["rye"]'), (DOT,), (DOT,), SEEN, Past(), HOME, (LATER, BESIDE)),
    "superseded": Found(
        (b'"old"', b'"tea"', b'"again"'), (DOT,), (DOT,), SEEN, Past(), HOME, (CLOCK, LATER, LATER)
    ),
    "absent": Absent((), SEEN, Past(), HOME),
    "one value": Found(
        (b"tea",),
        (DOT,),
        (DOT,),
        SEEN,
        CONTEXT,
        HOME,
        (),
        (Labels("text/plain", {"Cup": "big"}),),
        (WRITTEN_AT,),
        expires=(1700000100500,),
    ),
    "one stale value": Found(
        (b'{"a":1}',),
        (DOT,),
        (DOT,),
        SEEN,
        CONTEXT,
        HOME,
        (),
        (None,),
        (WRITTEN_AT,),
        2,
        {"BBBBBB.1": (0, 4)},
        (0,),
    ),
    "three values": Found(
        (b"tea", b'["rye"]', b"\xff"),
        (*BOTH_DOTS, ("BBBBBB.1", 2)),
        BOTH_DOTS,
        SEEN,
        CONTEXT,
        HOME,
        (),
        (Labels("text/plain"), None, Labels("image/x")),
        (WRITTEN_AT,) * 3,
        2,
        expires=(0, 1700000100500, 0),
    ),
    "two arrays": Found(
        (b'["rye", 1.0]', b'["tea","rye"]'),
        BOTH_DOTS,
        BOTH_DOTS,
        SEEN,
        CONTEXT,
        HOME,
        (),
        (None, None),
        (WRITTEN_AT,) * 2,
        2,
        expires=(0, 0),
    ),
    "two numbers": Found(
        (b"1e2", b"99.50"),
        BOTH_DOTS,
        BOTH_DOTS,
        SEEN,
        CONTEXT,
        HOME,
        (),
        (None, None),
        (WRITTEN_AT,) * 2,
        expires=(0, 0),
    ),
    "written": Stored(SEEN, CONTEXT, DOT, False, 2, 3, HOME, BOTH, None, (DOT,)),
    "written over": Stored(SEEN, CONTEXT, DOT, True, 2, 3, HOME, BOTH, None, (DOT,)),
    "another tag": Mismatch("AbCd", SEEN, CONTEXT, HOME),
    "no value": Mismatch("", SEEN, CONTEXT, HOME),
    "reused": Reused("this name was used for another write"),
    "full": Overfull("the key would have 101 concurrent values; the limit is 100"),
    "unmet": Unmet({"BBBBBB.1": (0, 4), "AAAAAA.1": (3, 7)}),
    "unmet of an odd name": Unmet({"a\r\nSet-Cookie: b": (0, 1)}),
    "not written": Unavailable("no replica of shard s1 can be reached", definite=True),
    "no view": Unavailable("this node has not been told its view yet", definite=True),
    "undecided": Unavailable("the home did not answer in time", definite=False),
    "one acknowledged": Unavailable(
        "level 2 was not reached in time: 1 of 3 replicas acknowledged",
        definite=False,
        acks=1,
        nodes=(HOME,),
    ),
    "one answered": Unavailable("too few replicas of the key's shard answered", True, 0, (HOME,)),
    "counted": Counted(17),
    "listed": Listed("s1", {"pear": (b'"tea"',), "ant": (b'"one"', b'"two"')}, SEEN),
    "looked": Looked(
        ACTORS, SHOWN, {"pear": b'"tea"', "a/b": b"[1.50]"}, None, [EARLY, OTHER], PRESENT
    ),
    "looked more": Looked(ACTORS, {**SHOWN, "DDDDDD.0": 2}, {"a b": b"1"}, "a b", [], PRESENT),
    "looked at nothing": Looked({}, {}, {}, None, []),
    "another cluster": Rejected("this token is of another cluster: begin a new session"),
    "forgotten": Forgotten(),
    "adopted": Adopted(NEXT),
    "outdated": Outdated(NEXT),
}
