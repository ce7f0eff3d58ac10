"""The yardstick of `make bench`: the smallest aiohttp + uvloop program with the same requests.

It parses the same JSON, keeps a dict, and answers with the same bodies; it has no disk, no replicas
and no causality.  Nothing on this stack can beat it, so the ratio to it is our own cost.
"""

import sys

import orjson
import uvloop
from aiohttp import web

TOKEN = b'{"v":1,"t":{},"h":[1763665676123,0,"Zz90pQ.1"]}'


def application() -> web.Application:
    values: dict[str, bytes] = {}

    async def get(request: web.Request) -> web.Response:
        value = values.get(request.match_info["key"])
        if value is None:
            return web.Response(status=404, body=b'{"error":"Key does not exist"}')
        body = b'{"result":"found","value":' + value + b',"causal-metadata":' + TOKEN + b"}"
        return web.Response(body=body, content_type="application/json")

    async def put(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        values[request.match_info["key"]] = orjson.dumps(body["value"])
        answer = b'{"result":"replaced","causal-metadata":' + TOKEN + b"}"
        return web.Response(body=answer, content_type="application/json")

    app = web.Application()
    app.router.add_get("/kvs/{key}", get)
    app.router.add_put("/kvs/{key}", put)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
