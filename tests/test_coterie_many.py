"""Commands about many keys, beyond docs/command.md: the lines of a bulk, and what is printed."""

import json

import pytest

from cluster.cli.client_session import Asked
from cluster.cli.many_commands import ListOptions, Operations, done_document, keys
from cluster.engines.topology import Trouble
from coterie import Absent, Delete, Done, Get, Put, Unavailable

ASKED = Asked(("http://127.0.0.1:1",), {}, None, 0.1)


def test_lines_are_operations() -> None:
    lines = [
        b'{"op":"put","key":"a","value":null}\n',
        b"\n",
        b'{"op":"put","key":"b","value_base64":"AP8=","context":"none"}\n',
        b'{"op":"get","key":"c"}\n',
        b'{"op":"delete","key":"d","context":"seen"}',
    ]
    assert list(Operations(lines, "p/")) == [
        Put("p/a", None),
        Put("p/b", b"\x00\xff", "none"),
        Get("p/c"),
        Delete("p/d", "seen"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{",
        b'{"op":"put","key":"k"}',
        b'{"op":"get","key":"k","value":1}',
        b'{"op":"get","key":"k","context":"none"}',
        b'{"op":"get","key":7}',
        b'{"op":"take","key":"k"}',
        b'{"op":"get"}',
        b'{"op":"get","key":"k","w":"all"}',
        b'{"op":"put","key":"k","value_base64":"?"}',
        b'{"op":"delete","key":"k","context":7}',
        b'{"op":"put","key":"\xff","value":1}',
    ],
)
def test_a_line_that_is_no_operation_is_told_with_its_number(line: bytes) -> None:
    read = b'{"op":"get","key":"a"}'
    operations = Operations([read, line, read], "")
    assert list(operations) == [Get("a")]
    assert operations.trouble is not None
    assert "line 2 is no operation: the lines before it were carried out" in str(operations.trouble)
    assert operations.trouble.code == 2


def test_counts_need_a_delimiter() -> None:
    with pytest.raises(Trouble, match="give a --delimiter") as trouble:
        keys(ASKED, ListOptions("", "", None, counts=True, partial=False), as_json=False)
    assert trouble.value.code == 2


def test_a_list_that_no_node_answers_is_unavailable() -> None:
    with pytest.raises(Trouble, match="no node answered in time") as trouble:
        keys(ASKED, ListOptions("", "", None, counts=False, partial=False), as_json=False)
    assert trouble.value.code == 5


def test_what_came_of_an_operation_is_a_document() -> None:
    said = done_document(Done(Get("k"), error=Absent("gone")))
    assert said == {
        "op": "get",
        "key": "k",
        "error": "Absent",
        "detail": "gone",
        "definite": True,
    }
    doubt = done_document(Done(Put("k", 1), error=Unavailable("away", definite=False)))
    assert (doubt["op"], doubt["definite"]) == ("put", False)
    assert json.dumps(doubt)
