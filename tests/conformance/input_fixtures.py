"""Tools and a prompt that ask their client for something: live requests of one era, several rounds of the other."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageResult,
    ElicitResult,
    EmptyResult,
    InputRequiredResult,
    ListRootsResult,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
)
from pydantic import Field

from interp_lab_server.app import LabServer

Answer = str | InputRequiredResult
_SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def register(server: LabServer) -> None:
    """Add all of them to a server, and the log-level request of the handshake era."""
    for tool in (
        test_sampling,
        test_elicitation,
        test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums,
        test_missing_capability,
        test_streaming_elicitation,
        test_input_required_result_elicitation,
        test_input_required_result_sampling,
        test_input_required_result_list_roots,
        test_input_required_result_request_state,
        test_input_required_result_tampered_state,
        test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round,
        test_input_required_result_capabilities,
        json_schema_2020_12_tool,
        routed_by_header,
    ):
        server.add_tool(tool, structured_output=False)
    server._tool_manager.get_tool("json_schema_2020_12_tool").parameters = _SCHEMA_2020
    server.prompt()(test_input_required_result_prompt)
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)


async def _set_level(ctx: Any, params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


def json_schema_2020_12_tool() -> str:
    """Publish a schema with the wider vocabulary of JSON Schema 2020-12."""
    return "ok"


def routed_by_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Take an argument that is mirrored in a request header."""
    return region


async def test_sampling(prompt: str, ctx: Context) -> str:
    """Ask the client's model."""
    _need_channel(ctx)
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    result = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {result.content.text}"


async def test_elicitation(message: str, ctx: Context) -> str:
    """Ask the client's user."""
    text = {"type": "string", "description": "User's response"}
    schema = _object(username=text, email={**text, "description": "User's email address"})
    return f"User response: {await _elicit(ctx, message, schema)}"


async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Ask the client's user, with a default for every primitive type."""
    schema = _object(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return f"Elicitation completed: {await _elicit(ctx, 'Check the defaults', schema)}"


async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Ask the client's user, with every kind of choice."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{i}", "title": f"Option {i}"} for i in (1, 2, 3)]
    schema = _object(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return f"Elicitation completed: {await _elicit(ctx, 'Choose', schema)}"


def test_missing_capability(ctx: Context) -> str:
    """Refuse a client that cannot sample."""
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client must be able to sample.", data)
    return "The client can sample."


def test_streaming_elicitation(ctx: Context) -> Answer:
    """Ask for a name."""
    return _ask_name(ctx)


def test_input_required_result_elicitation(ctx: Context) -> Answer:
    """Ask for a name, then greet."""
    return _ask_name(ctx)


def test_input_required_result_sampling(ctx: Context) -> Answer:
    """Ask the client's model for a capital."""
    answer = _given(ctx, "capital_question", CreateMessageResult)
    return answer.content.text if answer else _asked(capital_question=_sample("What is the capital of France?", 100))


def test_input_required_result_list_roots(ctx: Context) -> Answer:
    """Ask for the client's roots."""
    answer = _given(ctx, "client_roots", ListRootsResult)
    roots = {"method": "roots/list", "params": {}}
    return f"Roots: {[str(r.uri) for r in answer.roots]}" if answer else _asked(client_roots=roots)


def test_input_required_result_request_state(ctx: Context) -> Answer:
    """Ask for a confirmation, with state."""
    return _confirm_with_state(ctx)


def test_input_required_result_tampered_state(ctx: Context) -> Answer:
    """Ask for a confirmation, with state that must come back untouched."""
    return _confirm_with_state(ctx)


def test_input_required_result_multiple_inputs(ctx: Context) -> Answer:
    """Ask for three things at once."""
    wanted = {
        "user_name": _form("What is your name?", name={"type": "string"}),
        "greeting": _sample("Generate a greeting", 50),
        "client_roots": {"method": "roots/list", "params": {}},
    }
    if set(wanted) <= set(ctx.input_responses or {}):
        return "All three were given."
    return _asked("three", **wanted)


def test_input_required_result_multi_round(ctx: Context) -> Answer:
    """Ask for a name, then for a colour."""
    if _given(ctx, "step2", ElicitResult) and ctx.request_state == "second":
        return "Both were given."
    if _given(ctx, "step1", ElicitResult) and ctx.request_state == "first":
        return _asked("second", step2=_form("Step 2: What is your favorite color?", color={"type": "string"}))
    return _asked("first", step1=_form("Step 1: What is your name?", name={"type": "string"}))


def test_input_required_result_capabilities(ctx: Context) -> Answer:
    """Ask only for what the client can do."""
    can = ctx.client_capabilities
    wanted: dict[str, Any] = {}
    if can and can.sampling is not None:
        wanted["question"] = _sample("Say something", 20)
    if can and can.elicitation is not None:
        wanted["name"] = _form("What is your name?", name={"type": "string"})
    return _asked(**wanted) if wanted and not ctx.input_responses else "Nothing to ask."


def test_input_required_result_prompt(ctx: Context) -> Answer:
    """A prompt that asks for its context."""
    answer = _given(ctx, "user_context", ElicitResult)
    question = _form("What context should the prompt use?", context={"type": "string"})
    return f"Use this context: {answer.content}" if answer else _asked(user_context=question)


def _ask_name(ctx: Context) -> Answer:
    answer = _given(ctx, "user_name", ElicitResult)
    question = _form("What is your name?", name={"type": "string"})
    return f"Hello, {(answer.content or {}).get('name')}!" if answer else _asked(user_name=question)


def _confirm_with_state(ctx: Context) -> Answer:
    answer = _given(ctx, "confirm", ElicitResult)
    if answer is None:
        return _asked("confirming", confirm=_form("Please confirm", ok={"type": "boolean"}))
    if ctx.request_state != "confirming":
        raise MCPError(INVALID_PARAMS, "The request state is not the one that was given.")
    return "state-ok"


def _given(ctx: Context, key: str, kind: type[Any]) -> Any:
    answer = (ctx.input_responses or {}).get(key)
    return answer if isinstance(answer, kind) else None


def _asked(state: str | None = None, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult.model_validate({"inputRequests": requests, "requestState": state})


def _form(message: str, **properties: Any) -> dict[str, Any]:
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": _object(**properties)}}


def _sample(text: str, max_tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": {"type": "text", "text": text}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": max_tokens}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


async def _elicit(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    _need_channel(ctx)
    result = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={result.action}, content={result.content}"


def _need_channel(ctx: Context) -> None:
    if not ctx.session.can_send_request:
        raise ToolError("The client takes no requests on this connection.")
