"""A session without I/O: what both kinds of session do with a call.

Each method returns the steps of a conversation; a `Session` lets a thread take them, an
`AsyncSession` a task.  What an answer shows is learned before the call returns or raises.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from coterie import calls
from coterie.calls import Call, Context, OnMiss, ReadLevel, Seen, WriteLevel, WriteOptions
from coterie.errors import Absent, CoterieError, Unavailable
from coterie.resolvers import Resolver
from coterie.retries import World, conversation
from coterie.seen import SeenBySession
from coterie.steps import Pause, Steps
from coterie.values import Value, Written, encoded, kind_of

T = TypeVar("T")
Job: TypeAlias = Callable[[float], Steps[T]]  # from a deadline to the steps of a call

TIMEOUT_S_MAX = 300.0  # nodes remember the name of a write for twice as long
CONTEXTS_MAX = 1000  # of a session: the keys that it has used last
REQUESTS_MAX = 32  # of a session, at the same time: each may leave a token, which are all sent
ROUNDS_MAX = 8  # of an update that meets others; siblings that are left then stay


class Unset:
    """The default of an update that has none."""


UNSET = Unset()


@dataclass(slots=True)
class Edit:
    """A value that is being changed: set `value`, or change it in place.

    `read` is what there was (None: no value), `meta` goes with what is written, and `written` is
    what the last write did, once the block has ended.
    """

    key: str
    value: Any
    read: Value | None
    meta: dict[str, str]
    context: str
    written: Written | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How an update reads and writes."""

    resolve: Resolver | None
    default: object
    r: ReadLevel | None
    on_miss: OnMiss | None
    w: WriteLevel | None
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the calls of a client say if their arguments do not."""

    w: WriteLevel | None = None
    r: ReadLevel | None = None
    timeout: float = 20.0
    on_miss: OnMiss | None = None


@dataclass(slots=True)
class SessionCore:
    """What one session has seen, and how its calls go."""

    world: World
    defaults: Defaults
    token: str = ""
    seen: SeenBySession = field(init=False)

    def __post_init__(self) -> None:
        self.timeout_s(None)
        self.seen = SeenBySession(self.token, CONTEXTS_MAX)

    def timeout_s(self, timeout: float | None) -> float:
        """Return how long a call may take; raises ValueError."""
        chosen = self.defaults.timeout if timeout is None else timeout
        if not 0 < chosen <= TIMEOUT_S_MAX:
            raise ValueError(
                f"timeout is {chosen}; expected seconds above 0, up to {TIMEOUT_S_MAX}"
            )
        return chosen

    def busy(self) -> CoterieError:
        """Return the error of a call that was not begun before its deadline."""
        return Unavailable(f"{REQUESTS_MAX} calls of this session are under way; make another one")

    def w(self, given: WriteLevel | None) -> WriteLevel | None:
        return self.defaults.w if given is None else given

    def r(self, given: ReadLevel | None) -> ReadLevel | None:
        return self.defaults.r if given is None else given

    def on_miss(self, given: OnMiss | None) -> OnMiss | None:
        return self.defaults.on_miss if given is None else given

    def write_options(
        self,
        key: str,
        w: WriteLevel | None = None,
        context: Context | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteOptions:
        """Return what a write says; it has its name from here on.

        Raises ValueError for an empty name.
        """
        if idempotency_key == "":
            raise ValueError("idempotency_key is empty; expected 1 to 128 characters, or None")
        return WriteOptions(
            name=idempotency_key or self.drawn_name(),
            is_drawn=not idempotency_key,
            w=self.w(w),
            context=self.context_in(key, context),
            if_match=if_match,
            if_none_match=if_none_match,
        )

    def drawn_name(self) -> str:
        """Return a new name for a write."""
        return f"{self.world.random.getrandbits(128):032x}"

    def context_in(self, key: str, context: Context | None) -> str | None:
        """Return what a write of the key replaces."""
        return self.seen.context_of(key) if isinstance(context, Seen) else context

    def learn_contexts(self, contexts: Mapping[str, str]) -> None:
        """Keep what an answer about many keys has shown of each."""
        for key, context in contexts.items():
            self.seen.learn_context(key, context)

    # -------------------------------------------------------------- conversations
    def talk(self, call: Call[T], deadline: float) -> Steps[T]:
        """Make one call; learn what its answer shows."""
        tokens = self.seen.tokens()
        answer, meaning = yield from conversation(call, tokens, deadline, self.world)
        if "kv-token" in answer.headers:
            self.seen.learn_token(tokens, answer.headers["kv-token"])
        if call.is_of_all and "kv-context" in answer.headers:
            self.seen.learn_context(call.key, answer.headers["kv-context"])
        if isinstance(meaning, CoterieError):
            raise meaning
        return meaning

    def begin(self, key: str, update: Update, deadline: float) -> Steps[Edit]:
        """Read the value that is to be changed; an absent key has the default of the update."""
        try:
            read = yield from self.talk(self._read(key, update), deadline)
        except Absent as absent:
            if update.default is UNSET:
                raise
            return Edit(key, copy.deepcopy(update.default), None, {}, absent.context)
        return Edit(key, read.value, read, dict(read.meta), read.context)

    def end(self, edit: Edit, update: Update, deadline: float) -> Steps[Written]:
        """Write the changed value over what was read; with a resolver, merge what stands beside."""
        content_type = _content_type_of(edit)
        edit.written = yield from self._write(edit, edit.value, content_type, update, deadline)
        for number in range(ROUNDS_MAX):
            if update.resolve is None or edit.written.siblings == 1:
                break
            if number:
                yield Pause(self.world.patience.pause_s * self.world.random.uniform(0.0, 2.0))
            merged = yield from self.talk(self._read(edit.key, update), deadline)
            if merged.siblings == 1:
                break
            edit.context = merged.context
            edit.written = yield from self._write(edit, merged.value, None, update, deadline)
        return edit.written

    def _read(self, key: str, update: Update) -> Call[Value]:
        r, on_miss = self.r(update.r), self.on_miss(update.on_miss)
        return calls.get(key, r=r, on_miss=on_miss, resolve=update.resolve)

    def _write(
        self, edit: Edit, value: object, content_type: str | None, update: Update, deadline: float
    ) -> Steps[Written]:
        options = self.write_options(edit.key, update.w, edit.context)
        call = calls.put(
            edit.key,
            value,
            options,
            ttl=update.ttl,
            meta=edit.meta,
            content_type=content_type,
        )
        return (yield from self.talk(call, deadline))


def _content_type_of(edit: Edit) -> str | None:
    """Return the type that the value had, if the changed value is of that kind, too."""
    if edit.read is None:
        return None
    usual = encoded(edit.value)[1]
    same = (
        kind_of(edit.read.content_type) == kind_of(usual)
        or (isinstance(edit.value, str) and kind_of(edit.read.content_type).startswith("text/"))
        or (isinstance(edit.value, bytes) and isinstance(edit.read.value, bytes))
    )
    return edit.read.content_type if same else None
