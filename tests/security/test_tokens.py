"""The bearer tokens of clients: what a node keeps of them, and which file it takes."""

from pathlib import Path

import pytest

from node.config import read
from node.security.scopes import ALL, ApiScope, scopes_in
from node.security.tokens import TOKEN, ApiTokens, new_token, tokens_in
from node.setting_types import BadSetting

OURS = {"SOCKET_ADDRESS": "10.10.0.2:8090"}
HASH = "0" * 64


def test_a_token_is_found_by_its_text_alone() -> None:
    made = [new_token(scopes_in("read,write"), f"client-{number}") for number in range(20)]
    tokens = ApiTokens(tokens_in("\n".join(["# a comment", "", *(line for _, line in made)])))
    for text, line in made:
        assert TOKEN.fullmatch(text)
        assert text.split("_", 2)[2] not in line
        found = tokens.find(text)
        assert found is not None
        assert found.name == line.split()[3]
        assert found.scopes == {ApiScope.READ, ApiScope.WRITE}
        for wrong in (text[:-1], f"{text}x", text[:-1] + ("A" if text[-1] != "A" else "B"), ""):
            assert tokens.find(wrong) is None
    first, second = (text.split("_", 2) for text, _ in made[:2])
    assert tokens.find("_".join([*first[:2], second[2]])) is None


def test_tokens_that_are_taken_out_count_no_more() -> None:
    (old, old_line), (new, new_line) = (new_token(ALL, name) for name in ("old", "new"))
    tokens = ApiTokens(tokens_in(old_line))
    tokens.renew(tokens_in(f"{old_line}\n{new_line}"))
    assert tokens.find(old) is not None
    tokens.renew(tokens_in(new_line))
    assert (tokens.find(old), tokens.find(new) is None) == (None, False)


def test_a_token_has_a_scope_and_a_name() -> None:
    for scopes, name in ((frozenset[ApiScope](), "shop"), (ALL, ""), (ALL, "a b"), (ALL, "a\nb")):
        with pytest.raises(ValueError, match="a token has a scope"):
            new_token(scopes, name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no token"),
        ("# nothing\n", "it has no token"),
        ("coterie_abcdefghij_secret", "line 1 is no"),
        (f"abcdefghij read {HASH}", "line 1 is no"),
        (f"abcdefghij read {HASH[1:]} shop", "line 1 is no"),
        (f"\nabcdefghij root {HASH} shop", "line 2 has scopes other than"),
        (f"abcdefghij peers {HASH} shop", "line 1 has scopes other than"),
        (f"abcdefghij read {HASH} shop\nabcdefghij write {HASH} shop", "line 2 has the id"),
    ],
)
def test_a_file_that_is_no_good_is_refused_and_not_shown(
    text: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(BadSetting, match=why) as refusal:
        read({**OURS, "API_TOKENS_FILE": str(path)}, [])
    assert "secret" not in str(refusal.value)
    assert HASH[1:] not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("missing", "binary", "."):
        with pytest.raises(BadSetting, match="API_TOKENS_FILE"):
            read({**OURS, "API_TOKENS_FILE": str(tmp_path / name)}, [])
