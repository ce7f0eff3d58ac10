"""The document as one HTML page: made on the server, without scripts, and without a network.

Everything that comes from the document is escaped.  The page allows its own style alone, by the
hash of that.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from itertools import groupby
from urllib.parse import quote

import orjson

from node.api.openapi.page_style import STYLE
from node.api.openapi.parts import Json

CODE = re.compile(r"`([^`]*)`")
HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def page_of(document: Json) -> str:
    """Return the page of this document: its operations by tag, then its schemas."""
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    return "".join(
        (
            "<!doctype html>\n",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>",
            f"<h1>{escape(title)}</h1><p>{_text(info['description'])}</p>",
            "<p>This page shows <a href='/openapi.json'>/openapi.json</a>. Its commands ask the "
            "node whose address is in <code>NODE</code>, for example:</p>",
            "<pre>NODE=http://localhost:8082</pre>\n",
            *_contents(document),
            *_operations(document),
            *_schemas(document["components"]["schemas"]),
            "</body></html>\n",
        )
    )


# ------------------------------------------------------------------ operations
def _operations_in(document: Json) -> list[tuple[str, str, Json]]:
    """List (method, path, operation), by tag; a HEAD is that of its GET and is left out."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "head"
    ]
    tags = [tag["name"] for tag in document["tags"]]
    return sorted(found, key=lambda each: tags.index(each[2]["tags"][0]))


def _contents(document: Json) -> Iterator[str]:
    yield "<nav><ul>"
    for method, path, operation in _operations_in(document):
        words = f"<code>{escape(method)} {escape(path)}</code>: {escape(operation['summary'])}"
        yield f'<li><a href="#{escape(operation["operationId"])}">{words}</a></li>'
    yield "</ul></nav>\n"


def _operations(document: Json) -> Iterator[str]:
    by_tag = groupby(_operations_in(document), key=lambda each: str(each[2]["tags"][0]))
    for tag, operations in by_tag:
        yield f"<h2>{escape(tag)}</h2>\n"
        for method, path, operation in operations:
            name = escape(operation["operationId"])
            yield f'<h3 id="{name}"><b>{escape(method)}</b> {escape(path)}</h3>'
            yield f"<p>{_text(operation['summary'])}.</p>"
            yield f"<pre>{escape(curl_of(method, path, operation))}</pre>\n"
            yield from _parameters(operation)
            yield from _body(operation)
            yield from _answers(operation)


def curl_of(method: str, path: str, operation: Json) -> str:
    """Return a command that makes this request, with the examples of the document."""
    queries = []
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"])))
        elif "example" in parameter:
            queries.append(f"{parameter['name']}={quote(str(parameter['example']))}")
    words = ["curl -i"] if method == "GET" else [f"curl -i -X {method}"]
    words.append(f'"$NODE{path}{"?" if queries else ""}{"&".join(queries)}"')
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in media:
            example = media["example"]
            text = example if isinstance(example, str) else orjson.dumps(example).decode()
            words += [f"-H 'Content-Type: {kind}'", f"-d '{text}'"]
            break
    return " ".join(words)


def _parameters(operation: Json) -> Iterator[str]:
    rows = (
        (
            f"<code>{escape(parameter['name'])}</code>",
            escape(parameter["in"]) + (", required" if parameter.get("required") else ""),
            _schema(parameter["schema"]),
            _text(parameter["description"]),
        )
        for parameter in operation.get("parameters", ())
    )
    yield from _table(("parameter", "in", "values", "meaning"), rows)


def _body(operation: Json) -> Iterator[str]:
    if "requestBody" not in operation:
        return
    body = operation["requestBody"]
    yield f"<p>Body: {_text(body['description'])}</p>\n"
    rows = (
        (f"<code>{escape(kind)}</code>", _schema(media["schema"]))
        for kind, media in body["content"].items()
    )
    yield from _table(("type of the body", "values"), rows)


def _answers(operation: Json) -> Iterator[str]:
    rows = (
        (
            escape(status),
            _text(answer["description"]),
            "<br>".join(map(_content, answer.get("content", {}).items())),
            _headers(answer.get("headers", {})),
        )
        for status, answer in operation["responses"].items()
    )
    yield from _table(("status", "meaning", "body", "headers"), rows)


def _headers(headers: Json) -> str:
    """Name the headers that the answer always has, then those that it may have."""
    always = [name for name, header in headers.items() if header.get("required")]
    perhaps = [name for name in headers if name not in always]
    named = [
        ", ".join(f"<code>{escape(name)}</code>" for name in each) for each in (always, perhaps)
    ]
    return "; perhaps ".join(filter(None, named)) if always else named[1]


def _content(content: tuple[str, Json]) -> str:
    kind, media = content
    return f"<code>{escape(kind)}</code> {_schema(media['schema'])}"


# ------------------------------------------------------------------ schemas
def _schemas(schemas: Json) -> Iterator[str]:
    yield "<h2>Schemas</h2>\n"
    for name, schema in schemas.items():
        yield f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>'
        required = schema.get("required", ())
        rows = (
            (
                f"<code>{escape(field)}</code>",
                _schema(each),
                "" if field in required else "optional",
            )
            for field, each in schema.get("properties", {}).items()
        )
        yield from _table(("field", "values", ""), rows)


def _schema(schema: Json) -> str:
    """Describe a schema in a few words, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "description" in schema:
        return _text(schema["description"])
    if "anyOf" in schema:
        return " or ".join(filter(None, map(_schema, schema["anyOf"])))
    if "allOf" in schema:
        return _schema(schema["allOf"][0])  # the others narrow it down
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_schema(schema.get('items', {})) or 'any'}"
    if kind == "object":
        return _object(schema)
    return escape(kind) + _bounds(schema)


def _object(schema: Json) -> str:
    if "properties" in schema:
        fields = (
            f"<code>{escape(name)}</code>: {_schema(each) or 'any'}"
            for name, each in schema["properties"].items()
        )
        return "{" + ", ".join(fields) + "}"
    values = _schema(schema.get("additionalProperties", {}))
    return f"object of {values}" if values else "object"


def _bounds(schema: Json) -> str:
    """Describe the bounds of a number or a text."""
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    bounds = [] if least is None else [f"from {least:g}"]
    bounds += [] if above is None else [f"above {above:g}"]
    bounds += [f"up to {schema['maximum']:.0f}"] if "maximum" in schema else []
    bounds += [f"<code>{escape(schema['pattern'])}</code>"] if "pattern" in schema else []
    return f" {', '.join(bounds)}" if bounds else ""


# ------------------------------------------------------------------ HTML
def _text(words: str) -> str:
    """Return words as HTML; those in backquotes are code."""
    return CODE.sub(r"<code>\1</code>", escape(words))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Return a table of cells that are HTML; nothing if it has no rows."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if lines:
        yield f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>"
        yield from (f"<tr>{line}</tr>" for line in lines)
        yield "</table>\n"
