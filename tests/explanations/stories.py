"""What happens at a site, and what its nodes say of it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.cli.explained import explained
from node.api.contract import Reply
from tests.explanations.site import Site

HERE = Path(__file__).parent
Story = Callable[[], Iterator[str]]
NUMBERED = (
    (re.compile(r'"id": "([\w-]{16})"'), "id"),
    (re.compile(r'"actor": "([\w-]+\.1)"'), "actor"),
    (re.compile(r'cluster: "([\w-]{6,})"'), "cluster"),
)


PADDED = re.compile(r'\b((?:id|actor|cluster)\d+) +"')  # in a table the spaces stay


def lines_of(document: Mapping[str, Any]) -> str:
    """Return a document with a line for each field, and for each entry of a list of objects."""
    lines = []
    for name, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{name}:", *(f"  {json.dumps(each)}" for each in value)]
        else:
            lines.append(f"{name}: {json.dumps(value)}")
    return "\n".join(lines)


def drawn(title: str, site: Site, node: str, token: str = "") -> str:
    """Return an explanation as JSON, and as the command draws it."""
    document = site.explain(node, token)
    return f"# {title}\n\n{lines_of(document)}\n\n{explained(document, site.names)}"


def a_cut_and_its_end() -> Iterator[str]:
    """bob is cut off, and both sides write."""
    site = Site()
    site.put("a1", "green")
    yield drawn("All owners have the value.", site, "b1")
    site.do("cut a2 | a1 b1 b2", "run 2")
    wrote = site.put("b2", "ripe")
    site.put("a2", "sour", Kv_Context="none")
    site.do("run 1")
    yield drawn("bob is cut off: asked at alice.", site, "a1", wrote["token"])
    site.begin(
        "a2", "GET", "/v1/kv/pear", headers={"Kv-Token": wrote["token"]}, query={"timeout": "9"}
    )
    site.do("run 1")
    yield drawn("The same, asked at bob, where a read waits.", site, "a2", wrote["token"])
    site.do("heal", "run 6")
    yield drawn("After the heal.", site, "a2", wrote["token"])
    site.ask("a1", "DELETE", "/v1/kv/pear")
    yield drawn("The value is deleted.", site, "b1")


def what_replicas_lack() -> Iterator[str]:
    """Messages between alice and bob are lost, and carol reaches both."""
    site = Site()
    site.do("mute a1 | a2")
    first = site.put("a1", "green", Kv_Context="none")
    site.put("a1", "ripe", Kv_Context=first["context"])
    site.do("put a1 melon sweet")
    yield drawn("bob lacks writes of alice, to this key and to another one.", site, "b1")
    site.do("heal", "run 1")
    last = site.put("a1", "brown")
    site.do("mute a2 | a1 b1 b2")
    yield drawn("bob does not answer, though there is a link.", site, "b1", last["token"])


def what_texts_say() -> Iterator[str]:
    """Tokens and contexts are decoded, and refused."""
    site = Site()
    wrote, second = site.put("a1", "green"), site.put("b1", "ripe")
    other = Site()
    other.do("wipe a1", "wipe a2", "wipe b1", "wipe b2", "start a1 a2 b1 b2", "run 5")
    foreign = other.put("b1", "foreign")
    for title, kind, query in (
        ("The token of a write.", "token", {"token": wrote["token"]}),
        ("Two tokens are joined.", "token", {"token": f"{wrote['token']},{second['token']}"}),
        ("A token of another cluster.", "token", {"token": foreign["token"]}),
        ("No token at all.", "token", {"token": "abc"}),
        ("No text.", "token", {}),
        ("The context of a write.", "context", {"context": wrote["context"], "key": "pear"}),
        ("The context of another key.", "context", {"context": wrote["context"], "key": "fig"}),
        ("A context of another cluster.", "context", {"context": foreign["context"]}),
        ("A context that was changed.", "context", {"context": wrote["context"][:-1] + "A"}),
        ("A context of nothing.", "context", {"context": "none"}),
    ):
        yield answered(title, site.ask("b1", "GET", f"/v1/{kind}s/decode", query=query))
    headers = {"Kv-Token": foreign["token"]}
    yield answered(
        "An explanation with a token of another cluster.",
        site.ask("b1", "GET", "/v1/explain/pear", headers=headers),
    )


def answered(title: str, reply: Reply) -> str:
    """Return the status of an answer, and its body."""
    return f"# {title}\n\n{reply.status}\n{lines_of(json.loads(reply.body))}"


STORIES: dict[str, Story] = {
    "cut": a_cut_and_its_end,
    "lacks": what_replicas_lack,
    "decode": what_texts_say,
}


def told(story: Story) -> str:
    """Return the text of a story; actors, ids and names of clusters are numbered in it."""
    text = "\n\n\n".join(story()) + "\n"
    for pattern, name in NUMBERED:
        for number, found in enumerate(dict.fromkeys(pattern.findall(text)), 1):
            text = text.replace(found, f"{name}{number}".ljust(len(found)))
    return PADDED.sub(r'\1"', text)
