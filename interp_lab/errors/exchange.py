"""What can be wrong with a store that comes from another tool, goes to one, or lies on an object store."""

from __future__ import annotations

from interp_lab.errors.base import OperationError, RequestError, StateError


class RaggedRows(RequestError):
    """Rows of one column do not all have the same units."""

    code = "ragged_rows"
    default_remedy = "Write the file again with a value for every unit in every row; a gap is never filled with a zero."


class AbsentFeature(RaggedRows):
    """A record lacks a feature that others have."""

    code = "absent_feature"
    default_remedy = "If the exporter leaves inactive features out, say absent 'zero'; otherwise export every feature."


class SeveralModels(RequestError):
    """The file holds activations of several models."""

    code = "several_models"
    default_remedy = "Name one of them as model."


class DuplicateRows(RequestError):
    """Two rows of the file stand for the same thing."""

    code = "duplicate_rows"
    default_remedy = "Write the file again with every prompt, token or step once."


class RowsNotAligned(RequestError):
    """Two layers of the file do not have the same rows."""

    code = "rows_not_aligned"
    default_remedy = "Import them one at a time, each with layers set to its name."


class ExportUnfit(RequestError):
    """The store cannot be written in that format."""

    code = "export_unfit"
    default_remedy = "Choose columns that the format can hold, or another format."


class RemoteRefused(RequestError):
    """The address of the object store cannot be used."""

    code = "remote_refused"
    default_remedy = "Write SCHEME://BUCKET/FOLDER; credentials come from the environment, never from the address."


class RemoteStoreFailed(OperationError):
    """The object store did not do what was asked."""

    code = "remote_store_failed"
    default_remedy = "Check that the address exists and that the environment has credentials for it, then try again."


class PackageMissing(StateError):
    """A package that this needs is not installed."""

    code = "package_missing"
    default_remedy = "Install the extra that the message names."
