"""Calls about the cluster, for threads and for asyncio: policies, and why a key shows what it
shows.
"""

from collections.abc import Mapping
from typing import Any

from coterie import calls, policies
from coterie.policies import Policy
from coterie.task_calls import TaskCalls
from coterie.thread_calls import ThreadCalls


class ClusterCalls(ThreadCalls):
    """Policies, explanations, and what tokens and contexts say."""

    # -------------------------------------------------------------- policies
    def policies(self, *, timeout: float | None = None) -> list[Policy]:
        """Return all policies, as the node knows them.  Raises Unavailable."""
        return self._call(policies.policies(), timeout)

    def set_policy(self, policy: Policy, *, timeout: float | None = None) -> list[Policy]:
        """Set the policy of a prefix, in place of the one that it had; return all of them.

        A node that has not heard of it yet goes by the old one for a moment.  Raises BadRequest,
        Unavailable.
        """
        return self._call(policies.set_policy(policy), timeout)

    def remove_policy(self, prefix: str, *, timeout: float | None = None) -> list[Policy]:
        """Remove the policy of a prefix, if there is one; return the others.

        Raises Unavailable.
        """
        return self._call(policies.remove_policy(prefix), timeout)

    # -------------------------------------------------------------- why
    def explain(self, key: str, *, timeout: float | None = None) -> Mapping[str, Any]:
        """Return what all nodes have of a key, and which of them cover what this session has seen.

        It is the document of `GET /v1/explain/{key}` (docs/api.md).  Raises Unavailable,
        BadRequest (the token is of another cluster).
        """
        return self._call(calls.explain(key), timeout)

    def decode_token(
        self, token: str | None = None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Return what a token says, or that of this session, as `GET /v1/tokens/decode` does.

        Raises BadRequest if it is no token of this cluster, Unavailable.
        """
        text = self.token if token is None else token
        return self._call(calls.decode("/v1/tokens/decode", token=text), timeout)

    def decode_context(
        self, context: str, *, key: str | None = None, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Return what a context has seen, as `GET /v1/contexts/decode` does.

        Raises BadRequest if it is no context of this cluster, or with `key` one of another key;
        Unavailable.
        """
        return self._call(calls.decode("/v1/contexts/decode", context=context, key=key), timeout)


class AsyncClusterCalls(TaskCalls):
    """Policies, explanations, and what tokens and contexts say, as `ClusterCalls`."""

    # -------------------------------------------------------------- policies
    async def policies(self, *, timeout: float | None = None) -> list[Policy]:
        """As `Session.policies`."""
        return await self._call(policies.policies(), timeout)

    async def set_policy(self, policy: Policy, *, timeout: float | None = None) -> list[Policy]:
        """As `Session.set_policy`."""
        return await self._call(policies.set_policy(policy), timeout)

    async def remove_policy(self, prefix: str, *, timeout: float | None = None) -> list[Policy]:
        """As `Session.remove_policy`."""
        return await self._call(policies.remove_policy(prefix), timeout)

    # -------------------------------------------------------------- why
    async def explain(self, key: str, *, timeout: float | None = None) -> Mapping[str, Any]:
        """As `Session.explain`."""
        return await self._call(calls.explain(key), timeout)

    async def decode_token(
        self, token: str | None = None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """As `Session.decode_token`."""
        text = self.token if token is None else token
        return await self._call(calls.decode("/v1/tokens/decode", token=text), timeout)

    async def decode_context(
        self, context: str, *, key: str | None = None, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """As `Session.decode_context`."""
        call = calls.decode("/v1/contexts/decode", context=context, key=key)
        return await self._call(call, timeout)
