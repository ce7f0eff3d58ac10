"""Which clients may ask what: a bearer token against the scope of a route.  (RFC 6750.)

Every route has a scope (`node.security.scopes`); a route that declares none is closed.  The server
asks before a handler, whatever contract the route is of.  A handler of many operations asks again
for each (`must_have`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from node.api.contract import Call, Refused, Reply
from node.api.native.problems import problem
from node.api.repeated_names import all_of
from node.security.scopes import ALL, NONE, ApiScope, Scopes
from node.security.tokens import ApiTokens

AUTHORIZATION = "Authorization"
BEARER = "bearer "
REALM = 'Bearer realm="coterie"'


class Client(NamedTuple):
    """A caller, as its token says; `wrong` is what is wrong with its credentials."""

    name: str = ""
    scopes: Scopes = NONE
    wrong: str = ""


UNKNOWN = Client()


class Access:
    """Judges callers by the tokens that are valid."""

    def __init__(self, tokens: ApiTokens) -> None:
        self._tokens = tokens

    def client(self, headers: Mapping[str, str]) -> Client:
        """Return who calls, as far as the headers prove it."""
        said = all_of(headers, AUTHORIZATION)
        if not said:
            return UNKNOWN
        if len(said) > 1 or said[0][: len(BEARER)].lower() != BEARER:
            return Client(wrong="the header Authorization is not one Bearer token")
        token = self._tokens.find(said[0][len(BEARER) :].strip())
        if token is None:
            return Client(wrong="the token is not valid here")
        return Client(token.name, token.scopes)


def refusal(call: Call, client: Client, scope: ApiScope | None) -> Reply | None:
    """Return why the client may not use a route of this scope; None: it may."""
    if (
        scope is ApiScope.OPEN
        or scope in client.scopes
        or (scope is ApiScope.EACH and client.scopes)
    ):
        return None
    if client.scopes:
        return _forbidden(call, scope)
    if client.wrong:
        headers = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
        return problem(call, "unauthorized", client.wrong, headers)
    words = "this node wants the header Authorization: Bearer TOKEN"
    return problem(call, "unauthorized", words, {"WWW-Authenticate": REALM})


def must_have(call: Call, scope: ApiScope) -> None:
    """Raise Refused if the token of this call lacks the scope."""
    if scope not in call.scopes:
        raise Refused(_forbidden(call, scope))


def _forbidden(call: Call, scope: ApiScope | None) -> Reply:
    if scope not in ALL:
        return problem(call, "forbidden", "no token opens this path")
    asked = f'{REALM}, error="insufficient_scope", scope="{scope.value}"'
    words = f"the token has not the scope {scope.value}"
    return problem(call, "forbidden", words, {"WWW-Authenticate": asked})
