"""A capability as an MCP tool: its schemas, its annotations, and a run that leaves validation to its request."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import ConfigDict, Field

from interp_lab_server.boundary import Boundary
from interp_lab_server.schema import input_schema, output_schema
from interp_lab_tools.capability import Effects, InlineCapability, JobCapability

DESCRIPTION_CHARS_MAX = 2048
"""Where at least one host cuts a description."""


class LabTool(Tool):
    """One capability behind the boundary: arguments are checked once, by its request, and never coerced here."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    boundary: Boundary = Field(exclude=True)

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002 - the SDK's signature
    ) -> CallToolResult:
        """Return the result of calling the capability."""
        return await self.boundary.call(self.name, arguments, context)


def lab_tool(capability: InlineCapability | JobCapability, boundary: Boundary) -> LabTool:
    """Return the tool that offers a capability."""
    return LabTool(
        fn=boundary.call,
        name=capability.name,
        title=capability.title,
        description=capability.guidance,
        parameters=_with_example(input_schema(capability.request), capability),
        fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=output_schema(capability.output)),
        is_async=True,
        context_kwarg=None,
        annotations=tool_annotations(capability.title, capability.effects, writes_nothing=boundary.lab.read_only),
        boundary=boundary,
    )


def tool_annotations(title: str, effects: Effects, *, writes_nothing: bool = False) -> ToolAnnotations:
    """Return what a host may assume about a call; of a server that writes nothing, whatever is asked."""
    return ToolAnnotations(
        title=title,
        read_only_hint=effects.read_only or writes_nothing,
        destructive_hint=effects.destructive,
        idempotent_hint=effects.idempotent,
        open_world_hint=effects.open_world,
    )


def _with_example(schema: dict[str, Any], capability: InlineCapability | JobCapability) -> dict[str, Any]:
    return {**schema, "examples": [dict(capability.example)]}
