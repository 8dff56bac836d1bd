"""Requests, paths and files that cannot be used as they are."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class InvalidRequest(RequestError):
    """The arguments do not fit the request schema."""

    code = "invalid_request"
    default_remedy = "Correct what is named; the input schema says what each field takes."


class WrongArtifact(InvalidRequest):
    """The artifact is of another kind than what is asked for."""

    code = "wrong_artifact"
    default_remedy = "Name an artifact of the kind that is wanted; lab_overview with sections ['artifacts'] lists them."

    def __init__(self, what: str | None = None, *, artifact: str = "", kinds: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.artifact = artifact
        self.kinds = kinds
        """Any of these would do."""


class UnknownCapability(RequestError):
    """There is no capability of that name."""

    code = "unknown_capability"
    default_remedy = "Call lab_overview for the capabilities of this server."


class PathOutsideWorkspace(RequestError):
    """The path leads outside the workspace."""

    code = "path_outside_workspace"
    default_remedy = "Use a path relative to the workspace folder, without links that leave it."


class InvalidPath(RequestError):
    """The path is not one that can be used here."""

    code = "invalid_path"
    default_remedy = "Use a plain relative path to a regular file in the workspace."


class InvalidSetting(RequestError):
    """A setting of the server has a value that it cannot have."""

    code = "invalid_setting"
    default_remedy = "Correct the option or INTERP_LAB_ variable that is named, then start again."


class InvalidName(RequestError):
    """The name of an artifact's file is not a plain portable file name."""

    code = "invalid_name"
    default_remedy = "Use 1 to 100 ASCII letters, digits, '.', '_' or '-', starting with a letter or digit."


class MalformedFile(RequestError):
    """The file is not what its format promises."""

    code = "malformed_file"
    default_remedy = "Write the file again with a tool that keeps to the format."


class FileTooLarge(RequestError):
    """The file is larger than can be read safely in one piece."""

    code = "file_too_large"
    default_remedy = "Split the file, or raise the limit if the operator allows it."


class RequestKeyConflict(RequestError):
    """The request key was already used for a different request."""

    code = "request_key_conflict"
    default_remedy = "Use a new request_key, or send exactly the request that the key was first used with."


class NoSuchSlot(RequestError):
    """This machine has no slot of the kind that the job needs."""

    code = "no_such_slot"
    default_remedy = "Run on the CPU (device 'cpu'), or start the server with INTERP_LAB_GPU_SLOTS set."


class InvalidCursor(RequestError):
    """The cursor was not given out by this list."""

    code = "invalid_cursor"
    default_remedy = "Leave the cursor out for the first page, then pass next_cursor on unchanged."


class NotText(RequestError):
    """The file is not one that can be shown as text."""

    code = "not_text"
    default_remedy = "Call artifact_read without a name for the files that there are."


class PointerNotFound(RequestError):
    """The JSON Pointer leads to nothing."""

    code = "pointer_not_found"
    default_remedy = "Read the file without a pointer first."


class UnsafeAddress(RequestError):
    """The server would be reachable from other machines without a token of the operator's choice."""

    code = "unsafe_address"
    default_remedy = "Bind 127.0.0.1, or name one address and give --token-file or INTERP_LAB_TOKEN."


class UnsafeToken(RequestError):
    """The bearer token can be read or guessed by others."""

    code = "unsafe_token"
    default_remedy = "Use a regular file of mode 0600 that holds at least 32 characters, or let the server make one."
