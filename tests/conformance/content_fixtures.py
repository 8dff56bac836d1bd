"""Tools, resources and prompts with the fixed names and answers that the official conformance suite asks for."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from interp_lab_server.app import LabServer

STEP_S = 0.05


def _png() -> bytes:
    """Return one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def _wav() -> bytes:
    """Return one silent sample."""
    body = (
        b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 1) + b"\x80\x00"
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


PNG = base64.b64encode(_png()).decode()
WAV = base64.b64encode(_wav()).decode()


def register(server: LabServer) -> None:
    """Add all of them to a server."""
    for tool in (
        test_simple_text,
        test_image_content,
        test_audio_content,
        test_embedded_resource,
        test_multiple_content_types,
        test_tool_with_logging,
        test_logging_tool,
        test_tool_with_progress,
        test_error_handling,
        test_reconnection,
        test_trigger_tool_change,
        test_trigger_prompt_change,
        greet,
    ):
        server.add_tool(tool, structured_output=False)
    _resources(server)
    _prompts(server)


def test_simple_text() -> str:
    """Return a simple text."""
    return "This is a simple text response for testing."


def test_image_content() -> ImageContent:
    """Return an image."""
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def test_audio_content() -> AudioContent:
    """Return a sound."""
    return AudioContent(type="audio", data=WAV, mime_type="audio/wav")


def test_embedded_resource() -> EmbeddedResource:
    """Return a resource."""
    return _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")


def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Return a text, an image and a resource."""
    data = json.dumps({"test": "data", "value": 123})
    return [
        TextContent(type="text", text="Multiple content types test:"),
        ImageContent(type="image", data=PNG, mime_type="image/png"),
        _embedded("test://mixed-content-resource", "application/json", data),
    ]


async def test_tool_with_logging(ctx: Context) -> str:
    """Send three log messages."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(text)
        await anyio.sleep(STEP_S)
    return "Logged three times."


async def test_logging_tool(ctx: Context) -> str:
    """Send a log message to a client that asked for them."""
    await ctx.info("A log message")
    return "Logged."


async def test_tool_with_progress(ctx: Context) -> str:
    """Report progress three times."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(STEP_S)
    return "Reported three times."


def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_reconnection(ctx: Context) -> str:
    """Close the stream and answer on the next."""
    await ctx.close_sse_stream()
    await anyio.sleep(2 * STEP_S)
    return "Reconnected."


async def test_trigger_tool_change(ctx: Context) -> str:
    """Tell listeners that the tools changed."""
    await ctx.notify_tools_changed()
    return "Told."


async def test_trigger_prompt_change(ctx: Context) -> str:
    """Tell listeners that the prompts changed."""
    await ctx.notify_prompts_changed()
    return "Told."


def greet(name: str) -> str:
    """Greet somebody, at once."""
    return f"Hello, {name}!"


def _resources(server: LabServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text that never changes."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """An image that never changes."""
        return base64.b64decode(PNG)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the suite's name
        """Data for an id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """A text that may be watched."""
        return "Watched."


def _prompts(server: LabServer) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """A prompt without arguments."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """A prompt with two arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        """A prompt that holds a resource."""
        resource = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """A prompt that holds an image."""
        image = ImageContent(type="image", data=PNG, mime_type="image/png")
        return [UserMessage(image), UserMessage("Please analyze the image above.")]


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=contents)
