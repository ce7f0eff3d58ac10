"""What a node counts, in the text format that Prometheus reads.

Endpoints count requests in plain numbers; these become metric families only at a scrape, which
reads all other numbers from their owners.  No label ever holds a key, so routes, codes and peers
bound the number of series.
"""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from node.api.contract import Call, Reply
from node.shell.http.router import Endpoint

Stats = Mapping[str, Any]

# (name, its meaning, where `status` has the number)
STATUS_GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coterie_view_number", "The number of the view this node works in.", ("view", "number")),
    ("coterie_settled", "1: the last view change is over.", ("settled",)),
    ("coterie_keys", "Live keys this node holds.", ("store", "keys")),
    ("coterie_parked_reads", "Our clients' reads that are under way.", ("waiting", "reads")),
    ("coterie_pending_writes", "Our clients' writes that are under way.", ("waiting", "writes")),
)
STATUS_COUNTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coterie_repair_objects", "Objects pulled by repair.", ("repair", "pulled_items")),
    ("coterie_scrub_passes", "Times all rows were read again.", ("store", "scrub", "passes")),
    ("coterie_rot_found", "Rows damaged, missing or old.", ("store", "scrub", "found")),
    ("coterie_rot_repaired", "Such rows made whole again.", ("store", "scrub", "repaired")),
)
STORE_COUNTERS = (
    ("coterie_store_commits", "Commits: each one fsync, for all that waited.", "commits"),
    ("coterie_store_rows", "Rows written.", "rows"),
    ("coterie_store_commit_seconds", "Time that commits have taken.", "seconds"),
)
LINK_DIRECTIONS = (("sent", "frames_out"), ("received", "frames_in"))


class Watches(Protocol):
    """What is counted of watches."""

    open: int
    events: int


class Metrics(Collector):
    """All metric families of one node; a scrape asks the owner of each number.

    `links` has, for each present peer, up, frames_out, frames_in and dropped.
    """

    def __init__(
        self,
        status: Callable[[], Stats],
        links: Callable[[], Mapping[str, Stats]],
        store: Callable[[], Stats],
    ) -> None:
        self.crashes, self.is_ready = 0, False
        self.feeds: Watches | None = None
        self.endpoints: Sequence[Endpoint] = ()
        self._status, self._links, self._store = status, links, store
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def reply(self, call: Call) -> Reply:
        """Answer GET /metrics."""
        self.is_ready = call.facts().ready
        return Reply(200, generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("coterie_build", "What runs here.", value=build())
        yield from self._requests()
        status, store = self._status(), self._store()
        yield GaugeMetricFamily("coterie_ready", "1: /readyz says ok.", value=int(self.is_ready))
        yield _membership(status["shard"])
        for name, text, path in STATUS_GAUGES:
            yield GaugeMetricFamily(name, text, value=_at(status, path))
        for name, text, path in STATUS_COUNTERS:
            yield CounterMetricFamily(name, text, value=_at(status, path))
        for name, text, key in STORE_COUNTERS:
            if key in store:
                yield CounterMetricFamily(name, text, value=store[key])
        yield from _hints(status["hints"])
        if self.feeds is not None:
            yield GaugeMetricFamily("coterie_watches", "Open watches.", value=self.feeds.open)
            yield CounterMetricFamily(
                "coterie_watch_events", "Events sent to watches.", value=self.feeds.events
            )
        yield from self._peers()

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "coterie_http_requests", "Answered requests.", labels=("route", "method", "code")
        )
        seconds = SummaryMetricFamily(
            "coterie_http_request_seconds", "Time to answer.", labels=("route", "method")
        )
        for endpoint in self.endpoints:
            labels = (endpoint.pattern, endpoint.method)
            for code, count in endpoint.codes.items():
                requests.add_metric((*labels, str(code)), count)
            if endpoint.codes:
                count = sum(endpoint.codes.values())
                seconds.add_metric(labels, count_value=count, sum_value=endpoint.seconds_sum)
        yield requests
        yield seconds
        yield CounterMetricFamily(
            "coterie_http_crashes", "Handlers that raised: mistakes of ours.", value=self.crashes
        )

    def _peers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("coterie_peer_up", "1: the link is open.", labels=("peer",))
        frames = CounterMetricFamily(
            "coterie_link_frames", "Messages of links.", labels=("peer", "direction")
        )
        dropped = CounterMetricFamily(
            "coterie_link_dropped", "Messages that could not be sent.", labels=("peer",)
        )
        for peer, stats in self._links().items():
            up.add_metric((peer,), int(stats["up"]))
            dropped.add_metric((peer,), stats["dropped"])
            for direction, key in LINK_DIRECTIONS:
                frames.add_metric((peer, direction), stats[key])
        yield from (up, frames, dropped)


def _membership(shard: str | None) -> Metric:
    """Tell the shard of this node, so that the nodes of each can be counted."""
    member = GaugeMetricFamily(
        "coterie_shard_member", "1: this node is a member of the shard.", labels=("shard",)
    )
    if shard is not None:
        member.add_metric((shard,), 1)
    return member


def _hints(hints: Stats) -> Iterator[Metric]:
    """Tell the writes kept for owners of other shards; the view bounds the number of these."""
    kept = GaugeMetricFamily(
        "coterie_hints", "Writes kept for an owner that cannot be reached.", labels=("peer",)
    )
    for target, number in hints["for"].items():
        kept.add_metric((target,), number)
    yield kept
    yield GaugeMetricFamily(
        "coterie_hint_age_seconds",
        "How long the oldest of them has been kept.",
        value=hints["oldest_s_ago"] or 0.0,
    )
    yield CounterMetricFamily(
        "coterie_hints_no_room", "Writes not kept: too many for one owner.", value=hints["no_room"]
    )


def _at(status: Stats, path: Sequence[str]) -> float:
    """Return the number at this path of the status."""
    found: Any = status
    for name in path:
        found = found[name]
    return float(found)


def build() -> dict[str, str]:
    """Return version and interpreter; a checkout that is not installed has no version."""
    try:
        release = version("coterie")
    except PackageNotFoundError:
        release = "unknown"
    return {"version": release, "python": platform.python_version()}
