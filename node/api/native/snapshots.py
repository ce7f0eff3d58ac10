"""POST /v1/snapshot: the values of several keys that are causally consistent with each other.

The node reads all keys, and reads again those that may lack what other values depend on, until none
may.  A value names what it depends on, but not the writes that all replicas had when it was
written.  So it takes two things for one value to be sure of another's dependencies: it was read
with a token that has those that are named, and after the other value had been seen, when all
replicas had the rest.

Example: the snapshot is of an album and of the photo in it.

    round 1   the album is not there yet, and neither is the photo.  Then a client writes the photo,
              and with that token the album
    round 2   both are read again with the token of round 1.  A replica shows the album.  The photo
              was asked for at the same time, at another replica that does not have it yet
    round 3   the album has been seen first in round 2, and the photo was last read then: it is read
              again, with a token that names it.  The read waits for it
    the end   the photo was first seen in round 3, so the album is read once more

A read whose dependencies cannot be reached waits until the time is over, and so does a snapshot of
keys that change faster than they can be read.
"""

from collections.abc import Sequence

import msgspec
import orjson

from node.api.contract import Call, Dialect, Facts, Refused, Reply, Route, Steps, Talk
from node.api.native.answers import envelope, refusal_of
from node.api.native.opaque import token_text
from node.api.native.parameters import about_key, check_query, checked_key, timeout_of, token_in
from node.api.native.problems import dialect, malformed, problem
from node.core.model.dots import Dot
from node.core.model.policy_rules import shown_as
from node.core.model.token import EXACT_MAX, Token
from node.core.protocol.operations import Absent, Found, Get, Outcome
from node.security.scopes import ApiScope

PATH = "/v1/snapshot"
KEYS_MAX = 100
CHANGING = (
    "the keys change faster than they can be read: ask for fewer keys, or with a longer timeout"
)


class SnapshotBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of the request."""

    keys: list[str]


_decode = msgspec.json.Decoder(SnapshotBody).decode


def snapshots() -> Dialect:
    """Return the route of snapshots."""
    return dialect(
        "snapshot",
        Route("POST", PATH, take, ApiScope.READ),
    )


def take(call: Call) -> Reply | Talk:
    check_query(call, ("timeout",))
    keys, facts = _keys_in(call), call.facts()
    token, deadline = token_in(call), facts.now + timeout_of(call)
    if not facts.view.shards:
        return problem(call, "unavailable", "this node has not been told its view yet")
    return Talk(_Snapshot(call, facts, keys, token, deadline).steps())


def _keys_in(call: Call) -> list[str]:
    try:
        keys = _decode(call.body).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(call, f'the body is no {{"keys":[...]}}: {error}') from error
    if not 1 <= len(keys) <= KEYS_MAX:
        raise malformed(call, f"there are {len(keys)} keys; expected 1 to {KEYS_MAX}")
    for key in keys:
        if not key:
            raise malformed(call, "a key is empty: it has 1 to 1024 bytes")
        checked_key(call, key, "a key")
    if len({*keys}) < len(keys):
        raise malformed(call, "a key is there more than once")
    return keys


class _Shown(msgspec.Struct):
    """What a key has shown: since which round it shows this, and in which round it was last
    read."""

    outcome: Found | Absent
    since: int
    read_in: int

    @property
    def versions(self) -> frozenset[Dot]:
        return frozenset(self.outcome.dots)


class _Snapshot:
    """One snapshot on its way."""

    def __init__(
        self, call: Call, facts: Facts, keys: Sequence[str], token: Token, deadline: float
    ) -> None:
        self._call, self._keys, self._given, self._deadline = call, keys, token, deadline
        self._asked = {key: about_key(call, facts, key, token, 0.0) for key in keys}
        self._shown: dict[str, _Shown] = {}
        self._token, self._round = token, 0

    def steps(self) -> Steps:
        """Read, until no key may lack what another one depends on."""
        wanted, left_s = list(self._keys), self._left_s()
        while wanted and left_s > 0:
            self._round += 1
            outcomes = yield [self._get(key, left_s) for key in wanted]
            for key, outcome in zip(wanted, outcomes, strict=True):
                self._note(key, outcome)
            self._token = self._token.within(EXACT_MAX)
            wanted, left_s = self._unsure(), self._left_s()
        return self._refusal() if wanted else self._reply()

    def _left_s(self) -> float:
        return self._deadline - self._call.facts().now

    def _get(self, key: str, left_s: float) -> Get:
        mode = shown_as(self._asked[key].policy)
        return Get(key, mode, self._token, wait_s=left_s, timeout_s=left_s, raw=True)

    def _note(self, key: str, outcome: Outcome) -> None:
        if not isinstance(outcome, Found | Absent):
            raise Refused(refusal_of(self._call, self._given, outcome))
        self._token = self._token.joined(outcome.token)
        new, old = _Shown(outcome, self._round, self._round), self._shown.get(key)
        if old is not None and old.versions == new.versions:
            new.since = old.since
        self._shown[key] = new

    def _unsure(self) -> list[str]:
        """The keys that were not read since another one was first seen as it is."""
        return [
            key
            for key, shown in self._shown.items()
            if any(
                other.since >= shown.read_in for name, other in self._shown.items() if name != key
            )
        ]

    def _refusal(self) -> Reply:
        seen = {"Kv-Token": token_text(self._given)}
        return problem(self._call, "unavailable", CHANGING, seen)

    def _reply(self) -> Reply:
        values = [
            orjson.Fragment(envelope(self._asked[key], self._shown[key].outcome))
            for key in self._keys
        ]
        token, address = token_text(self._token), self._call.facts().address
        headers = {"Kv-Token": token, "Kv-Served-By": address}
        return Reply(200, orjson.dumps({"values": values, "token": token}), headers)
