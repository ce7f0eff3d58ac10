"""The tables of imports: which folders and files may import which.  `rules` applies them."""

import sys

# The core, upwards: a folder or file imports only from the rows below its own, and within itself.
CORE_ROWS = (
    "model",
    "protocol",
    "storage",
    "replication",
    "membership",
    "integrity",
    "requests maintenance",
    "replica",
    "status",
)
CORE_ROW = {name: i for i, row in enumerate(CORE_ROWS) for name in row.split()}

DATA = (
    "msgspec base64 bisect collections contextlib dataclasses enum functools hashlib heapq "
    "itertools math operator random re struct typing zlib"
)
ANY = None

# What a package may import of ours, and of others; the first match counts.
IMPORTS: tuple[tuple[str, str, str | None], ...] = (
    ("node.core", "node.core", DATA),
    ("node.driver", "node.core", "collections typing"),
    (
        "node.api",
        "node.addresses node.api node.config node.core.model node.core.protocol "
        "node.security.scopes node.security.tokens node.setting_types",
        f"{DATA} html json orjson urllib",
    ),
    (
        "node.shell.http",
        "node.shell.http node.door node.driver node.api.access node.api.contract node.api.openapi "
        "node.api.parsing node.core.model node.core.protocol node.core.status node.security",
        ANY,
    ),
    (
        "node.shell.peers",
        "node.shell.peers node.core.model node.core.protocol node.security",
        ANY,
    ),
    ("node.shell.disk", "node.shell.disk node.core.model node.core.protocol", ANY),
    ("node.shell", "node.shell node.core.protocol", ANY),
    ("node.security", "node.security node.addresses node.setting_types", ANY),
    ("node.__main__", "node", ANY),
    (
        "node.config",
        "node.addresses node.api.dialects node.api.entry node.security node.setting_types",
        ANY,
    ),
    ("node.setting_types", "node.addresses", ANY),
    ("node.door", "node.config node.setting_types", ANY),
    ("node", "", ANY),
    ("cluster.checker", "cluster.checker", ANY),
    (
        "cluster.simulator",
        "cluster.simulator cluster.checker node.core node.driver node.api.native.merging",
        ANY,
    ),
    ("cluster.engines", "cluster.engines", ANY),
    ("cluster.deployments", "cluster.deployments cluster.engines", ANY),
    (
        "cluster.cli",
        "cluster.cli cluster.deployments cluster.engines coterie node.api.dialects.listing "
        "node.api.entry node.security",
        ANY,
    ),
    ("cluster.benchmarks", "cluster.benchmarks cluster.engines node.core.model", ANY),
    ("cluster.__main__", "cluster.cli", ANY),
    ("cluster", "", ANY),
    ("coterie", "coterie", "httpx2 " + " ".join(sys.stdlib_module_names)),
    ("examples.stage.messages", "examples.stage node.core", ANY),
    ("examples.stage.simulated", "examples coterie cluster.simulator node.api node.core", ANY),
    ("examples", "examples.stage coterie", ANY),
    ("tests", "tests node cluster coterie examples docs", ANY),
    ("docs", "node cluster", ANY),
)
OURS = "node cluster coterie tests examples docs"
