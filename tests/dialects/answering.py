"""Turns refusals into replies, as the server does, for tests that call handlers directly."""

from node.api.contract import (
    Ask,
    Call,
    Dialect,
    Handler,
    Reaction,
    Refused,
    Reply,
    Reword,
    Steps,
    Talk,
)
from node.core.protocol.operations import Outcome


def answering(handler: Handler, reword: Reword) -> Handler:
    """Wrap a handler: a refusal becomes the reply that a client would get."""

    def answered(call: Call) -> Reaction:
        try:
            said = handler(call)
        except Refused as refusal:
            return reword(call, refusal.reply)
        if isinstance(said, Ask):
            return Ask(said.request, lambda outcome: _said(said, outcome, call, reword))
        return Talk(_talked(said.steps, call, reword)) if isinstance(said, Talk) else said

    return answered


def _said(ask: Ask, outcome: Outcome, call: Call, reword: Reword) -> Reply:
    try:
        return ask.say(outcome)
    except Refused as refusal:
        return reword(call, refusal.reply)


def _talked(steps: Steps, call: Call, reword: Reword) -> Steps:
    try:
        return (yield from steps)
    except Refused as refusal:
        return reword(call, refusal.reply)


def handlers_of(dialect: Dialect) -> dict[tuple[str, str], Handler]:
    """Return the handlers of a contract, by method and pattern."""
    return {
        (route.method, route.pattern): answering(route.handler, dialect.reword)
        for route in dialect.routes
    }
