"""Who wants to hear of a changed resource, in both protocol eras."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

MAX_SUBSCRIPTIONS = 1024
"""Handshake-era subscriptions held at once; the oldest gives way, since a closed connection does not say goodbye."""

_log = logging.getLogger(__name__)
_Key = tuple[int, str]
_Context = ServerRequestContext[Any, Any]


class Subscriptions:
    """The listeners of one server: the bus of the current protocol, and the sessions of the one before it."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self._legacy: OrderedDict[_Key, tuple[object, ServerSession]] = OrderedDict()

    async def subscribe(self, ctx: _Context, params: SubscribeRequestParams) -> EmptyResult:
        """Serve resources/subscribe."""
        connection = ctx.session.client_params
        self._legacy[id(connection), params.uri] = (connection, ctx.session)
        if len(self._legacy) > MAX_SUBSCRIPTIONS:
            self._legacy.popitem(last=False)
        return EmptyResult()

    async def unsubscribe(self, ctx: _Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Serve resources/unsubscribe; one that was never made is no error."""
        self._legacy.pop((id(ctx.session.client_params), params.uri), None)
        return EmptyResult()

    async def updated(self, uri: str) -> None:
        """Tell everyone who listens to the resource that it changed."""
        await self.bus.publish(ResourceUpdated(uri=uri))
        for key, (_, session) in list(self._legacy.items()):
            if key[1] == uri:
                await self._send(key, session)

    async def listed(self) -> None:
        """Tell listeners that there are other resources than before."""
        await self.bus.publish(ResourcesListChanged())

    async def _send(self, key: _Key, session: ServerSession) -> None:
        try:
            await session.send_resource_updated(key[1])
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, MCPError):
            _log.debug("a subscriber is gone")
            self._legacy.pop(key, None)
