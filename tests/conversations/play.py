"""The commands of a conversation, and how a text is run.

A command is a method `on_<command>` whose docstring is its manual; `name=value` are its options.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.item import Past
from node.core.model.options import Options, Start
from node.core.model.placement import first_view, reshaped, with_member, without
from node.core.model.quorum import AVAILABLE
from node.core.model.tags import ANY_VALUE
from node.core.model.token import Token
from node.core.model.view import Layout, View, no_view
from node.core.protocol.operations import (
    Absent,
    Count,
    Found,
    Get,
    Look,
    Looked,
    Outcome,
    Peek,
    Propose,
    Put,
    Request,
    Stored,
    StoreLocally,
)
from node.core.protocol.watching import ChangesListed
from tests.conversations.looking import Choices, Looking
from tests.conversations.stage import Posted, Stage

CONDITIONS = {"": (None, ()), "new": (None, (ANY_VALUE,)), "present": ((ANY_VALUE,), ())}


@dataclass
class Session:
    """A client that keeps the token of its last answer, and of each key its context."""

    token: Token = field(default_factory=Token)
    contexts: dict[str, Past] = field(default_factory=dict)


class Play(Looking):
    """Plays one conversation."""

    def __init__(self) -> None:
        super().__init__()
        self._stage: Stage | None = None
        self._sessions: dict[str, Session] = {}
        self._kept: dict[str, Posted] = {}
        self._counts = dict.fromkeys("wrnvlec", 0)

    @property
    def stage(self) -> Stage:
        assert self._stage is not None, "the first command is cluster"
        return self._stage

    def token_of(self, session: str) -> Token:
        return self._sessions.setdefault(session, Session()).token

    def perform(self, commands: list[str]) -> list[str]:
        """Run these commands; return what they caused, line by line."""
        for command in commands:
            words = command.split()
            options = dict(word.split("=", 1) for word in words if "=" in word)
            handler: Callable[..., None] = getattr(self, f"on_{words[0]}")
            handler(*(word for word in words[1:] if "=" not in word), **options)
        return self.stage.take_lines() or ["ok"]

    # ---- the cluster
    def on_cluster(self, *words: str, shards: str, members: str, **options: str) -> None:
        """shards= members= [repair=seconds] [hold=seconds] [message=bytes] [siblings=number]
        [asleep] [unsharded]: nodes a1 a2 .. b1 ..; at rest, or asleep; unsharded: begun without a
        number of shards."""
        names = [chr(ord("a") + s) for s in range(int(shards))]
        nodes = [f"{name}{i + 1}" for name in names for i in range(int(members))]
        repair_s, hold_s = float(options.get("repair", "3")), float(options.get("hold", "0"))
        view = first_view(nodes, int(shards), "unsharded" in words)
        told = dict.fromkeys(nodes, Start(view))
        bounds = {
            name: int(options[word])
            for word, name in (("message", "message_bytes_max"), ("siblings", "siblings_max"))
            if word in options
        }
        self._stage = Stage(told, Options(repair_every_s=repair_s, hold_s=hold_s, **bounds))
        if "asleep" not in words:
            for node in nodes:
                self.stage.start(node)
            self.stage.wait(2.5, self.stage.deliver_all)
            self.stage.take_lines()
            self.stage.say(f"{' '.join(nodes)} at rest")

    def on_add(self, node: str, *known: str) -> None:
        """node known ..: a machine that knows these and no view, and will ask to be let in."""
        self.stage.add(node, Start(no_view((*known, node)), join=True))

    def on_start(self, *nodes: str) -> None:
        """node ...: start them for the first time, or again."""
        for node in nodes:
            self.stage.start(node)

    on_restart = on_start

    def on_crash(self, node: str) -> None:
        """node: the process ends, with what was not durable; its peers notice."""
        self.stage.crash(node)

    def on_wipe(self, node: str) -> None:
        """node: crash it if it runs, and lose its disk."""
        if self.stage.nodes[node].driver:
            self.stage.crash(node)
        self.stage.nodes[node].disk.tables.clear()
        self.stage.nodes[node].incarnations += 1

    def on_copy(self, node: str) -> None:
        """node: keep a copy of its disk."""
        self.stage.keep(node)

    def on_putback(self, node: str) -> None:
        """node: crash it if it runs; its disk is as the copy."""
        self.stage.put_back(node)

    def on_disk(self, node: str, kind: str) -> None:
        """node slow|fast: a slow disk is durable only on sync; a fast one at once."""
        self.stage.nodes[node].disk.slow = kind == "slow"

    def on_corrupt(self, *words: str) -> None:
        """node key ..: the disk changes the rows of these keys; their node may run."""
        for key in words[1:]:
            self.stage.corrupt(words[0], key)

    def on_sync(self, node: str) -> None:
        """node: all it has written is durable now."""
        if not self.stage.sync(node):
            self.stage.say("nothing to sync")

    # ---- links
    def on_cut(self, *words: str) -> None:
        """a1 .. | a2 ..: nothing passes between the sides; links break and both sides notice."""
        for one, other in self._across(words):
            self.stage.cuts.add((one, other))
        for one, other in self._across(words):
            self.stage.link_down(one, other)

    def on_mute(self, *words: str) -> None:
        """a1 .. | a2 ..: nothing passes, and no node sees a link break."""
        self.stage.cuts.update(self._across(words))

    def on_heal(self) -> None:
        """All cuts end; links open again."""
        cuts = sorted(self.stage.cuts)
        self.stage.cuts.clear()
        for one, other in cuts:
            if one < other:
                self.stage.link_up(one, other)

    def _across(self, words: tuple[str, ...]) -> list[tuple[str, str]]:
        bar = words.index("|")
        left, right = words[:bar], words[bar + 1 :]
        pairs = [(one, other) for one in left for other in right]
        return pairs + [(other, one) for one, other in pairs]

    def on_hear(self, *kinds: str) -> None:
        """kind ...: show this chatter from now on (Beat, Compare, News, Views); none: hide all."""
        self.stage.heard = set(kinds)

    def on_hold(self, *kinds: str) -> None:
        """kind ...: chatter of these kinds waits to be delivered from now on; none: it flows."""
        self.stage.held = set(kinds)

    def on_lose(self, *kinds: str, to: str = "") -> None:
        """kind ... [to=node]: chatter of these kinds is lost from now on; none: nothing is."""
        self.stage.losing = to, set(kinds)

    # ---- messages
    def _matching(self, words: tuple[str, ...]) -> list[Posted]:
        """The messages on their way that `a1->*` and a kind, where given, name; oldest first."""
        link = next((word for word in words if "->" in word), "*->*")
        source, target = link.split("->")
        kinds = [word for word in words if "->" not in word]
        return [
            envelope
            for envelope in self.stage.queue
            if source in ("*", envelope.source)
            and target in ("*", envelope.target)
            and (not kinds or type(envelope.message).__name__ in kinds)
        ]

    def on_deliver(self, *words: str, kept: str = "") -> None:
        """[from->to] [Kind] [kept=name]: these messages; without words all, until none is left."""
        if kept:
            self.stage.deliver(self._kept.pop(kept))
        elif not words:
            self.stage.deliver_all()
        for envelope in self._matching(words) if words else ():
            self.stage.queue.remove(envelope)
            self.stage.deliver(envelope)

    def on_drop(self, *words: str) -> None:
        """[from->to] [Kind]: these messages are lost."""
        for envelope in self._matching(words):
            self.stage.queue.remove(envelope)
            kind = self.stage.words.kind(envelope.message)
            self.stage.say(f"{envelope.source} -> {envelope.target} {kind} (lost)")

    def on_duplicate(self, *words: str) -> None:
        """[from->to] [Kind]: these messages will arrive twice."""
        self.stage.queue.extend(self._matching(words))

    def on_keep(self, *words: str, name: str) -> None:
        """[from->to] [Kind] name=: put a copy of this message aside, for `deliver kept=name`."""
        [self._kept[name]] = self._matching(words)

    # ---- time
    def on_wait(self, seconds: str) -> None:
        """seconds: time passes, requests and repair on their way stay where they are."""
        self.stage.wait(float(seconds), lambda: None)

    def on_run(self, seconds: str) -> None:
        """seconds: time passes and every message is delivered as soon as it is sent."""
        self.stage.wait(float(seconds), self.stage.deliver_all)

    # ---- clients
    def on_put(self, node: str, key: str, value: str, **options: str) -> None:
        """node key value [by=session] [mode=] [level=] [refuse=key|shard] [clock=kept] [after=all]
        [if=new|present] [as=name] [hinted=yes]: a write; the value may be `1000*x`."""
        times, star, text = value.partition("*")
        self._write(node, key, (text * int(times) if star else value).encode(), options)

    def on_delete(self, node: str, key: str, **options: str) -> None:
        """node key [by=] [mode=] [level=] [refuse=] [present=yes]: a delete."""
        self._write(node, key, None, options)

    def _write(self, node: str, key: str, value: bytes | None, options: Choices) -> None:
        session = self._sessions.setdefault(options.get("by", ""), Session())
        mode = Mode(options.get("mode", "lww"))
        seen = session.contexts.get(key, Past()) if mode is Mode.SIBLINGS else Past()
        unmet = Scope(options["refuse"]) if "refuse" in options else None
        tag = *CONDITIONS[options.get("if", "")], Mode.SIBLINGS if "if" in options else None
        refuse_when = RefuseWhen(unmet, "present" in options, *tag)
        asked = options.get("level", AVAILABLE), refuse_when, "clock" in options, "after" in options
        name, hinted = options.get("as", ""), "hinted" in options
        put = Put(key, value, mode, session.token, seen, *asked, identity=name, hinted=hinted)
        self.submit("w", node, key, put, options)

    def on_get(self, node: str, key: str, **options: str) -> None:
        """node key [by=] [mode=] [scope=] [copies=] [wait=seconds] [mend=yes] [check=yes]: read."""
        session = self._sessions.setdefault(options.get("by", ""), Session())
        mode, scope = Mode(options.get("mode", "lww")), Scope(options.get("scope", "key"))
        asked = int(options.get("copies", "1")), float(options.get("wait", "0")), "mend" in options
        get = Get(key, mode, session.token, scope, *asked, check="check" in options)
        self.submit("r", node, key, get, options)

    def on_peek(self, node: str, key: str) -> None:
        """node key: what the node's own replica holds."""
        self.submit("r", node, key, Peek(key), {})

    def on_plant(self, node: str, key: str, value: str, *clock: str, new: str = "") -> None:
        """node key value [a1:2 ..] [new=only]: a write on its own replica, with a vector clock."""
        entries = dict(entry.split(":") for entry in clock)
        named = {self.stage.words.actor_at(at): int(n) for at, n in entries.items()}
        self.submit("w", node, key, StoreLocally(key, value.encode(), named, bool(new)), {})

    def on_count(self, node: str, shard: str) -> None:
        """node shard: how many keys does the shard hold?"""
        self.submit("n", node, "", Count(shard), {})

    def on_look(self, node: str) -> None:
        """node: what does it show without a token, and what does it hold back?"""
        self.submit("l", node, "", Look(limit=100), {})

    def _looked(self, outcome: Looked) -> str:
        words = self.stage.words
        shown = " ".join(f'{key}="{value.decode()}"' for key, value in outcome.items.items())
        early = (
            f'{e.key}="{(e.value or b"").decode()}" of {words.dot(e.dot)}' for e in outcome.early
        )
        return f"shows {words.vector(outcome.clock)} {{{shown}}}; holds {{{', '.join(early)}}}"

    def on_view(self, node: str, *lost: str, **wanted: str) -> None:
        """node shards=n | add=node to=shard | drop=node [lost ..]: another view; `lost` nodes
        are given up."""
        view = self.stage.driver(node).replica.view
        self.submit("v", node, "", Propose(_layout(view, **wanted), view.id, lost), {})

    def submit(self, kind: str, node: str, key: str, operation: Request, options: Choices) -> None:
        stage, driver = self.stage, self.stage.driver(node)
        self._counts[kind] += 1
        name = f"{kind}{self._counts[kind]}"
        stage.words.name_key(key)
        stage.name_request(driver, name)

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, ChangesListed):
                self.hear_changes(outcome)
            said = self._looked(outcome) if isinstance(outcome, Looked) else ""
            stage.say(f"{name} at {node}: {said or stage.words.outcome(outcome)}")
            self._learn(options.get("by"), key, outcome)

        with stage.scene(f"{name} at {node}"):
            driver.submit(operation, done)

    def _learn(self, by: str | None, key: str, outcome: Outcome) -> None:
        """Let a session keep the token and the context of its answers."""
        if by is not None and isinstance(outcome, Stored | Found | Absent):
            self._sessions[by].token = outcome.token
            self._sessions[by].contexts[key] = outcome.context


def _layout(now: View, *, shards: str = "", add: str = "", to: str = "", drop: str = "") -> Layout:
    """Return the layout that a request for another view asks for."""
    if add:
        return with_member(now, to, add)
    if drop:
        return without(now, drop)
    return reshaped(now, now.nodes, int(shards))


def played(text: str) -> str:
    """Return the text with what its commands cause now; comments stay."""
    play, out = Play(), []
    for paragraph in text.strip().split("\n\n"):
        asked, bar, _ = f"{paragraph}\n".partition("----\n")
        commands = [line for line in asked.splitlines() if line and not line.startswith("#")]
        lines = play.perform(commands) if bar or commands else []
        caused = "".join(f"{line}\n" for line in lines)
        out.append(f"{asked}----\n{caused}" if commands else asked)
    return "\n".join(out)
