"""Both kinds of client ask why."""

import pytest

from coterie import NOTHING, BadRequest, Client, Unexpected
from coterie.answers import document_in
from coterie.steps import Answer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]


def test_an_explanation_names_the_versions_and_what_the_session_has_seen(
    kv: Client, key: str
) -> None:
    kv.put(key, "Ann", context=NOTHING, w="all")
    kv.put(key, "Bob", context=NOTHING, w="all")
    document = kv.explain(key)
    assert (document["key"], len(document["versions"]), len(document["owners"])) == (key, 2, 3)
    assert [each["covers_token"] for each in document["replicas"]] == [True] * 3
    assert document["unreached"] == []


def test_tokens_and_contexts_are_decoded(kv: Client, key: str) -> None:
    wrote = kv.put(key, "Ann")
    said = kv.decode_token()
    assert said == kv.decode_token(kv.token)
    [write] = said["writes"]
    assert kv.decode_context(wrote.context, key=key)["writes"][-1]["n"] == write["n"]
    with pytest.raises(BadRequest, match="of another key"):
        kv.decode_context(wrote.context, key="another")
    with pytest.raises(BadRequest, match="is not a token"):
        kv.decode_token("abc")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_an_answer_that_is_no_document_is_none_of_a_node(body: bytes) -> None:
    with pytest.raises(Unexpected, match="no JSON object"):
        document_in(Answer(200, {}, body))
