"""The contract asg3: asg4's exchanges in the older wording, and how a cluster comes to speak it."""

import pytest

from node.__main__ import dialects_of, start_of
from node.api.dialects.listing import BY_NAME
from node.config import read
from node.core.model.placement import first_view
from node.core.model.view import no_view
from node.setting_types import BadSetting
from tests.dialects.exchanges import HERE, played_file
from tests.dialects.nodes import NODES

ALL, WRITTEN = ",".join(NODES), tuple(NODES)


def test_goes_as_written() -> None:
    path = HERE / "asg3.txt"
    assert played_file(path) == path.read_text()


@pytest.mark.parametrize("named", [{}, {"DIALECT": "asg3"}, {"DIALECT": "asg4,dynamo,peers"}])
def test_nodes_that_are_told_no_number_of_shards_begin_an_unsharded_view(
    named: dict[str, str],
) -> None:
    settings = read({"SOCKET_ADDRESS": NODES[0], "VIEW": ALL, **named}, [])
    assert start_of(settings).view == no_view(WRITTEN, unsharded=True)
    alone = read({"SOCKET_ADDRESS": NODES[0], "VIEW": ALL, "SHARD_COUNT": "1", **named}, [])
    is_named = "asg3" in named.get("DIALECT", "")
    assert start_of(alone).view == first_view(WRITTEN, 1, unsharded=is_named)


def test_it_stands_where_asg4_stands_and_has_no_shards() -> None:
    given = {"SOCKET_ADDRESS": NODES[0], "VIEW": ALL, "DIALECT": "asg3,dynamo,peers"}
    names = [dialect.name for dialect in dialects_of(read(given, []))]
    assert names[:3] == ["asg3", "dynamo", "peers"]
    assert "asg3" in BY_NAME
    with pytest.raises(BadSetting, match="SHARD_COUNT='2': expected none, or 1, beside asg3"):
        read({**given, "SHARD_COUNT": "2"}, [])
