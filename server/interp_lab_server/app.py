"""The MCP server: capabilities as tools, jobs and artifacts as resources, prompts, completions and tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import anyio
from mcp.server import MCPServer
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from interp_lab.assets import asset_text
from interp_lab.errors import UnknownCapability
from interp_lab_server.answers import error_result
from interp_lab_server.boundary import Boundary
from interp_lab_server.completion import Completer
from interp_lab_server.job_tasks import JobTasks
from interp_lab_server.outgoing import printable_answers
from interp_lab_server.prompts import as_prompt, prompt_templates
from interp_lab_server.resources import LabResources, belongs_here
from interp_lab_server.subscriptions import Subscriptions
from interp_lab_server.tasks import TasksExtension
from interp_lab_server.tool import lab_tool
from interp_lab_server.watcher import Watcher
from interp_lab_tools.catalogue import find, offered
from interp_lab_tools.lab import Lab
from interp_lab_tools.mending import mending
from interp_lab_tools.versions import release

NAME: Final = "interp-lab"
_HOUR_MS: Final = 3_600_000
CACHE_HINTS: Final[Mapping[CacheableMethod, CacheHint]] = {
    "server/discover": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "tools/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "prompts/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "resources/list": CacheHint(ttl_ms=5_000, scope="private"),
}

LabContext: TypeAlias = Context[Any, Any]
Fixtures = Callable[["LabServer"], None]


class LabServer(MCPServer[None]):
    """One lab, served; the transports only carry it."""

    def __init__(self, lab: Lab) -> None:
        self.boundary = Boundary(lab)
        self.subscriptions = Subscriptions()
        capabilities = offered(lab.toolsets, read_only=lab.read_only)
        self.tasks = TasksExtension([JobTasks(self.boundary, capabilities)])
        self._resources = LabResources(self.boundary)
        self._prompts = {template.name: template for template in prompt_templates()}
        super().__init__(
            NAME,
            title="interp-lab: evidence about what a model represents",
            instructions=asset_text("prompts", "mcp/instructions.txt"),
            version=release(),
            tools=[lab_tool(capability, self.boundary) for capability in capabilities],
            extensions=[self.tasks],
            cache_hints=CACHE_HINTS,
            subscriptions=self.subscriptions.bus,
            middleware=[printable_answers],
            lifespan=_alive,
        )
        for template in self._prompts.values():
            self.add_prompt(as_prompt(template))
        self.completion()(Completer(lab))
        legacy = self._lowlevel_server.add_request_handler
        legacy("resources/subscribe", SubscribeRequestParams, self.subscriptions.subscribe)
        legacy("resources/unsubscribe", UnsubscribeRequestParams, self.subscriptions.unsubscribe)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: LabContext | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Return the result of a call; a tool that is not offered is refused like any other wrong argument."""
        if self._tool_manager.get_tool(name) is None:
            return self._not_offered(name, arguments)
        return await super().call_tool(name, arguments, context)

    async def list_resources(self) -> list[Resource]:
        """Return the overview and the latest reports."""
        return [*await self._resources.listed(), *await super().list_resources()]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """Return the forms of the lab's URIs."""
        return [*self._resources.templates(), *await super().list_resource_templates()]

    async def read_resource(self, uri: Any, context: LabContext | None = None) -> Any:
        """Return the content under a URI."""
        if not belongs_here(str(uri)):
            return await super().read_resource(uri, context)
        content: ReadResourceContents = await self._resources.read(str(uri))
        return [content]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: LabContext | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Return a prompt with its arguments filled in.

        Raises:
            MCPError: invalid params, when there is no such prompt or it needs an argument that was not given.
        """
        if self._prompt_manager.get_prompt(name) is None:
            raise MCPError(INVALID_PARAMS, f"There is no prompt '{name[:80]}'; prompts/list names them.")
        template = self._prompts.get(name)
        if template and (missing := template.missing(arguments or {})):
            raise MCPError(INVALID_PARAMS, f"The prompt needs: {', '.join(missing)}.")
        return await super().get_prompt(name, arguments, context)

    async def speak(self, read: Any, write: Any) -> None:
        """Serve one client over a pair of streams until it closes them."""
        await self._lowlevel_server.run(read, write, self._lowlevel_server.create_initialization_options())

    def _not_offered(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        try:
            known = find(name)
        except UnknownCapability as error:
            return error_result(error, mending(error.code, name, arguments, self.boundary.lab))
        toolsets = ",".join(dict.fromkeys(["core", known.toolset]))
        without = "" if known.effects.readable else " and without --read-only"
        remedy = f"Whoever starts the server can offer it: --toolsets {toolsets}{without}."
        calls = mending(UnknownCapability.code, "", {}, self.boundary.lab)
        return error_result(UnknownCapability(f"This server does not offer '{known.name}'.", remedy=remedy), calls)


@asynccontextmanager
async def _alive(server: MCPServer[None]) -> AsyncGenerator[None]:
    """Keep the queue moving and the subscribers told while the server is up."""
    assert isinstance(server, LabServer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Watcher(server.boundary.lab, server.subscriptions).run)
        yield
        tasks.cancel_scope.cancel()


def build_server(lab: Lab, *, fixtures: Fixtures | None = None) -> LabServer:
    """Return the server of a lab; fixtures add what a test suite expects to find."""
    server = LabServer(lab)
    if fixtures is not None:
        fixtures(server)
    return server
