"""Which handler a request belongs to: the patterns of all dialects, compiled once.

The router first looks a path up whole, then among the patterns of its first segment, those with the
longest literal beginning first.  It decodes nothing on the way and runs no expression.  Two owners
of one route are a mistake in the settings: the table refuses them when it is made.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from node.api.contract import Dialect, Handler, Reword
from node.security.scopes import ApiScope

NOTHING: Mapping[str, str] = {}


class Endpoint(msgspec.Struct, eq=False):
    """One method of one pattern, and its counts."""

    owner: str
    method: str
    pattern: str
    handler: Handler | None = None  # None: counts requests that have no route
    reword: Reword = lambda call, reply: reply
    reword_early: Reword = lambda call, reply: reply
    reads_lines: bool = False
    scope: ApiScope | None = None
    seconds_sum: float = 0.0
    codes: dict[int, int] = msgspec.field(default_factory=dict)

    def count(self, code: int, seconds: float) -> None:
        """Count one request, in plain numbers: labelled counters cost several times as much."""
        self.seconds_sum += seconds
        self.codes[code] = self.codes.get(code, 0) + 1


class Pattern:
    """A path with placeholders; each is a whole segment, and the last one ends the pattern."""

    def __init__(self, text: str) -> None:
        self.methods: dict[str, Endpoint] = {}
        literals, names = _parts(text)
        self.prefix = literals[0]
        self._inner = tuple(zip(names[:-1], literals[1:-1], strict=True))
        self._last = names[-1]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the placeholders as they stand in the path; None when the path does not match."""
        if not path.startswith(self.prefix):
            return None
        position, found = len(self.prefix), {}
        for name, literal in self._inner:
            end = path.find("/", position)
            if end <= position or not path.startswith(literal, end):
                return None
            found[name] = path[position:end]
            position = end + len(literal)
        rest = path[position:]
        if not rest:
            return None
        found[self._last] = rest
        return found


class Table:
    """All routes.  Raises ValueError, naming both dialects, when two of them claim one route."""

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._shapes: dict[tuple[str, str], Endpoint] = {}  # by method and shape of the path
        for dialect in dialects:
            for r in dialect.routes:
                how = dialect.reword, dialect.reword_early, r.reads_lines, r.scope
                self._add(Endpoint(dialect.name, r.method, r.pattern, r.handler, *how))
        self._answer_head()
        self._whole: dict[str, dict[str, Endpoint]] = {}
        self._patterns: dict[str, list[Pattern]] = {}
        self._compile()

    def _add(self, new: Endpoint) -> None:
        shape = _shape(new.pattern)
        old = self._shapes.setdefault((new.method, shape), new)
        if old is not new:
            raise ValueError(
                f"the dialects {old.owner} and {new.owner} both claim {new.method} {new.pattern}: "
                "name only one of them in DIALECT"
            )

    def _answer_head(self) -> None:
        """Add HEAD wherever there is GET, as HTTP wants; the server leaves the body out."""
        for (method, shape), endpoint in list(self._shapes.items()):
            if method == "GET":
                head = replace(endpoint, method="HEAD", codes={})
                self._shapes.setdefault(("HEAD", shape), head)

    def _compile(self) -> None:
        patterns: dict[str, Pattern] = {}
        for endpoint in self._shapes.values():
            if "{" not in endpoint.pattern:
                self._whole.setdefault(endpoint.pattern, {})[endpoint.method] = endpoint
            else:
                pattern = patterns.setdefault(endpoint.pattern, Pattern(endpoint.pattern))
                pattern.methods[endpoint.method] = endpoint
        longest_first = sorted(patterns.values(), key=lambda p: len(p.prefix), reverse=True)
        segments = {_first_segment(pattern.prefix) for pattern in longest_first} | {""}
        for segment in segments:  # a pattern that begins with a placeholder is for all
            self._patterns[segment] = [
                p for p in longest_first if _first_segment(p.prefix) in (segment, "")
            ]

    def endpoints(self) -> Iterable[Endpoint]:
        return self._shapes.values()

    def at(self, method: str, pattern: str) -> Endpoint:
        return self._shapes[method, _shape(pattern)]

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """Return the most specific endpoint of this path that has this method."""
        whole = self._whole.get(path)
        if whole is not None and method in whole:
            return whole[method], NOTHING
        for pattern in self._candidates(path):
            endpoint = pattern.methods.get(method)
            if endpoint is not None:
                placeholders = pattern.match(path)
                if placeholders is not None:
                    return endpoint, placeholders
        return None

    def methods_of(self, path: str) -> list[str]:
        """Return the methods that this path has; none for a path without a route."""
        methods = set(self._whole.get(path, ()))
        for pattern in self._candidates(path):
            if pattern.match(path) is not None:
                methods.update(pattern.methods)
        return sorted(methods)

    def _candidates(self, path: str) -> list[Pattern]:
        return self._patterns.get(path[1 : path.find("/", 1)]) or self._patterns[""]


def decoded(placeholders: Mapping[str, str]) -> Mapping[str, str] | None:
    """Decode the percent signs of placeholders; None when they are not UTF-8 text."""
    for text in placeholders.values():
        if "%" in text:
            break
    else:
        return placeholders
    try:
        return {name: unquote(text, errors="strict") for name, text in placeholders.items()}
    except UnicodeDecodeError:
        return None


def _first_segment(prefix: str) -> str:
    return prefix[1 : prefix.find("/", 1)] if prefix.count("/") > 1 else ""


def _shape(pattern: str) -> str:
    """Drop the names of placeholders: two patterns of one shape match the same paths."""
    if "{" not in pattern:
        return pattern
    literals, _ = _parts(pattern)
    return "{}".join(literals)


def _parts(pattern: str) -> tuple[list[str], list[str]]:
    """Split `/a/{x}/b/{y}` into ["/a/", "/b/", ""] and ["x", "y"]."""
    literals, names = [], []
    rest = pattern
    while "{" in rest:
        literal, _, rest = rest.partition("{")
        name, closed, rest = rest.partition("}")
        if not (closed and name.isidentifier() and literal.endswith("/")):
            raise ValueError(f"route {pattern}: a placeholder is a whole segment, {{name}}")
        literals.append(literal)
        names.append(name)
    if rest:
        raise ValueError(f"route {pattern}: the last placeholder takes the rest of the path")
    return [*literals, rest], names
