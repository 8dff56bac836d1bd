"""The last look at every answer, whoever wrote it: nothing leaves that could break a connection or a terminal."""

from __future__ import annotations

from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ErrorData
from pydantic import BaseModel

from interp_lab_server.sanitize import clean, clean_text


async def printable_answers(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Return what the rest of the chain returns, cleaned; a refusal is raised again, cleaned."""
    try:
        result = await call_next(ctx)
    except MCPError as refusal:
        error = refusal.error
        data = None if error.data is None else clean(error.data)
        raise MCPError.from_error_data(
            ErrorData(code=error.code, message=clean_text(error.message), data=data)
        ) from refusal
    body: object = (
        result.model_dump(by_alias=True, mode="json", exclude_none=True) if isinstance(result, BaseModel) else result
    )
    return None if body is None else cast("dict[str, Any]", clean(body))
