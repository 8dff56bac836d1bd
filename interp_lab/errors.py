"""The designed vocabulary of failure: what was wrong, what would work, a stable code.

LabError
├── RequestError            the caller can mend it; exit code 2
│   ├── InvalidRequest
│   └── …one class per distinct mistake
├── NotFoundError           a handle that names nothing
├── StateError              right request, wrong moment
└── OperationError          the machine or the work failed

A class docstring is its default message, so the error index in docs/errors.md and the text a user reads cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple


class FieldProblem(NamedTuple):
    """One wrong field of a request: where it is and what is wrong with it."""

    field: str
    problem: str


class LabError(Exception):
    """Something in interp-lab failed."""

    code: ClassVar[str] = "lab_error"
    exit_code: ClassVar[int] = 1
    default_remedy: ClassVar[str] = "Read the job log, then report this with the code above."

    def __init__(
        self, what: str | None = None, *, remedy: str | None = None, fields: tuple[FieldProblem, ...] = ()
    ) -> None:
        self.what = what or (type(self).__doc__ or "").strip().splitlines()[0]
        self.remedy = remedy or self.default_remedy
        self.fields = fields
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.code}: {self.what} {self.remedy}"


class RequestError(LabError):
    """The request cannot be carried out as it stands."""

    code = "request_error"
    exit_code = 2
    default_remedy = "Correct the request and send it again."


class InvalidRequest(RequestError):
    """The arguments do not fit the request schema."""

    code = "invalid_request"
    default_remedy = "Compare the arguments with the input schema; every wrong field is listed."


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


class UnknownHookPoint(RequestError):
    """There is no hook point of that name."""

    code = "unknown_hook_point"
    default_remedy = "Use a name of the hook-point table, for example resid_post.0, or module:PATH for any module."


class InvalidAddress(RequestError):
    """The text does not name a place in a model."""

    code = "invalid_address"
    default_remedy = "Write POINT.LAYER (resid_post.10), embed, logits, or module:PATH with an optional @in or @out."


class HookPointUnavailable(RequestError):
    """The model has no such place, or this software does not know where it is in this architecture."""

    code = "hook_point_unavailable"
    default_remedy = "Choose one of the available hook points, or name the module itself with module:PATH."


class LayerOutOfRange(RequestError):
    """The model has no layer of that number."""

    code = "layer_out_of_range"
    default_remedy = "Choose a layer inside the valid range; layers count from 0."


class UnknownModel(RequestError):
    """There is no model of that name here."""

    code = "unknown_model"
    default_remedy = "Use builtin:NAME, a model directory inside the workspace, or a hub id such as owner/name."


class InvalidModel(RequestError):
    """The directory does not hold a model that can be loaded."""

    code = "invalid_model"
    default_remedy = "Use a directory in Hugging Face format: config.json, tokenizer files and *.safetensors."


class UnsafeWeights(RequestError):
    """The model has its weights only in a format that can run code when it is read."""

    code = "unsafe_weights"
    default_remedy = "Convert the weights to safetensors on a machine that trusts their source, then use that copy."


class CorruptWeights(RequestError):
    """A weight file is not what its header says."""

    code = "corrupt_weights"
    default_remedy = "Fetch the file again from its source; it cannot be read safely as it is."


class RemoteCodeNotAllowed(RequestError):
    """The model needs its own code to be run, which the operator of this server has not allowed."""

    code = "remote_code_not_allowed"
    default_remedy = "Use a model that transformers supports itself, or ask the operator to allow remote code."


class UnsupportedModel(RequestError):
    """The architecture has no block list that can be found, so no layer can be named."""

    code = "unsupported_model"
    default_remedy = "Use a decoder-only or encoder-only language model."


class PromptTooLong(RequestError):
    """A prompt has more tokens than the model can read."""

    code = "prompt_too_long"
    default_remedy = "Shorten or drop the prompts named above; nothing is cut silently."


class PromptNotPoolable(RequestError):
    """A prompt has no token that the pooling may read."""

    code = "prompt_not_poolable"
    default_remedy = "Give every prompt text of its own and, for span pooling, a span that covers at least one token."


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


class NonFiniteInput(RequestError):
    """A number is NaN or infinite."""

    code = "non_finite_input"
    default_remedy = "Find what produced that value, or drop the row and say so; it is never silently replaced."


class ShapeMismatch(RequestError):
    """Arrays that belong together differ in length or dimension."""

    code = "shape_mismatch"
    default_remedy = "Give one label, one group and one row of values per prompt, in the same order."


class LabelsUnusable(RequestError):
    """The labels do not split the rows into positives and negatives."""

    code = "labels_unusable"
    default_remedy = (
        "Give at least two positive and two negative prompts from different groups, with explicit thresholds."
    )


class TooFewGroups(RequestError):
    """There are too few independent prompt groups for this statistic."""

    code = "too_few_groups"
    default_remedy = "Add prompts from new templates or pairs: rows inside one group do not add independent evidence."


class GroupsLeak(RequestError):
    """The same text stands in two groups that would count as independent."""

    code = "groups_leak"
    default_remedy = "Group the prompts by near-duplicate text first; identical texts must share one group."


class SplitImpossible(RequestError):
    """The groups cannot be split so that each part has positives and negatives."""

    code = "split_impossible"
    default_remedy = "Add independent groups of the label that is short, at least two for each part of the split."


class DiscoveryRowsReused(RequestError):
    """A claim would be graded on rows that were used to discover it."""

    code = "discovery_rows_reused"
    default_remedy = "Grade it on the confirm rows of the same split, or on new prompts."


class InvalidPrompts(RequestError):
    """The prompt set cannot be used as it is."""

    code = "invalid_prompts"
    default_remedy = "Correct the rows that are named; each row needs at least text and score."


class OneSidedPrompts(InvalidPrompts):
    """The prompt set has no positives, or no negatives."""

    code = "one_sided_prompts"
    default_remedy = "Give prompts on both sides of the threshold, hard negatives included, or move the threshold."


class DuplicatePromptIds(InvalidPrompts):
    """Two prompts have the same id."""

    code = "duplicate_prompt_ids"
    default_remedy = "Give every prompt an id of its own, or leave ids out."


class EmptyPrompt(InvalidPrompts):
    """A prompt has no visible text."""

    code = "empty_prompt"
    default_remedy = "Drop the prompts that are named, or give them text."


class UnknownDataset(RequestError):
    """There is no dataset of that name in the box."""

    code = "unknown_dataset"
    default_remedy = "Call lab_overview for the datasets in the box, or name a JSON Lines file of the workspace."


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


class NotFoundError(LabError):
    """Nothing has that name."""

    code = "not_found"
    exit_code = 2
    default_remedy = "Call lab_overview to list what exists."


class UnknownAsset(NotFoundError):
    """There is no packaged file of that name."""

    code = "unknown_asset"


class UnknownJob(NotFoundError):
    """There is no job of that id in this workspace."""

    code = "unknown_job"
    default_remedy = "Call job_list for the jobs of this workspace."


class UnknownArtifact(NotFoundError):
    """There is no artifact of that id, or no file of that name in it."""

    code = "unknown_artifact"
    default_remedy = "Call artifact_list for the artifacts of this workspace."


class StateError(LabError):
    """The request is right but the lab is not in a state to do it."""

    code = "state_error"
    default_remedy = "Look at the current state first, then try again."


class QueueFull(StateError):
    """As many jobs are waiting as this workspace allows."""

    code = "queue_full"
    default_remedy = "Wait for jobs to end (job_wait) or cancel some (job_cancel), then submit again."


class QuotaExceeded(StateError):
    """The workspace's artifacts use all the space that the operator allows."""

    code = "quota_exceeded"
    default_remedy = "Raise INTERP_LAB_QUOTA_BYTES, or go on in a new workspace."


class WorkspaceUnusable(StateError):
    """The workspace folder cannot hold the lab's records."""

    code = "workspace_unusable"
    default_remedy = "Check that the folder exists, is on a local disk and can be written by this user."


class NetworkFileSystem(StateError):
    """The catalogue would lie on a network file system, where file locks cannot be trusted."""

    code = "network_file_system"
    default_remedy = "Keep the workspace and put only the catalogue on a local disk: --catalog-dir /local/folder."


class CatalogTooNew(StateError):
    """The workspace was written by a newer interp-lab; it was not touched."""

    code = "catalog_too_new"
    default_remedy = "Upgrade interp-lab, or use another workspace."


class ArtifactTooNew(StateError):
    """The artifact was written by a newer interp-lab."""

    code = "artifact_too_new"
    default_remedy = "Upgrade interp-lab to read it."


class OperationError(LabError):
    """The work was started and failed."""

    code = "operation_failed"


class NgramOrderUnfit(RequestError):
    """An n-gram model of this order cannot be counted here."""

    code = "ngram_order_unfit"
    default_remedy = "Lower the order or the vocabulary, or give more tokens."


class CheckpointMismatch(RequestError):
    """The checkpoint in this folder belongs to another recipe or another text."""

    code = "checkpoint_mismatch"
    default_remedy = "Remove the folder, or give another work folder."


class ImpossibleWorld(RequestError):
    """A world cannot be built with these dials."""

    code = "impossible_world"
    default_remedy = "Use a wider model, fewer decoys, or dials inside the ranges that the message names."


class InvalidWorld(RequestError):
    """The folder does not hold a world with known truth."""

    code = "invalid_world"
    default_remedy = "Make one with: python -m interp_lab.worlds KIND --seed N --out DIR."


class DeviceUnavailable(RequestError):
    """There is no such device on this machine."""

    code = "device_unavailable"
    default_remedy = "Use device 'auto' or 'cpu', or call profile_env to see what there is."


class WorldNotVerified(OperationError):
    """An intervention on the finished world did not show what its construction implies."""

    code = "world_not_verified"
    default_remedy = "Use less noise, a larger effect or another seed; nothing was written."


class SealBroken(OperationError):
    """The sealed truth of a world is not what was sealed, or a file of the world is not what was written."""

    code = "seal_broken"
    default_remedy = "Make the world again from its kind, seed and dials."


class DamagedAsset(OperationError):
    """A file that came with interp-lab is not what it was."""

    code = "damaged_asset"
    default_remedy = "Install interp-lab again, or restore prompts/ and schemas/ in a checkout."


class HubUnreachable(OperationError):
    """The model is not on this machine and could not be fetched from the hub."""

    code = "hub_unreachable"
    default_remedy = "Check the id and the network, or put the model directory into the workspace and name that."


class IncompleteWeights(OperationError):
    """The checkpoint lacks weights that the architecture needs, so some would be random."""

    code = "incomplete_weights"
    default_remedy = "Use a complete checkpoint; results from random weights would look real."


class NonFiniteActivations(OperationError):
    """The model produced NaN or infinite activations."""

    code = "non_finite_activations"
    default_remedy = "Load the model in float32 or bfloat16, or drop the prompt named above."


class CatalogCorrupt(OperationError):
    """The job catalogue is damaged."""

    code = "catalog_corrupt"
    default_remedy = "Close every server of this workspace and start one: it rebuilds the catalogue from the job files."


class CatalogBusy(OperationError):
    """Another process kept the job catalogue locked for too long."""

    code = "catalog_busy"
    default_remedy = "Try again; if it persists, look for a stopped process that uses this workspace."


class ArtifactCorrupt(OperationError):
    """The artifact's bytes are not those that were published; it is not served."""

    code = "artifact_corrupt"
    default_remedy = "Send the request that made it again with a new request_key."


class JobFilesCorrupt(OperationError):
    """A file of the job is not what was recorded when it was written."""

    code = "job_files_corrupt"
    default_remedy = "Send the request again with a new request_key."


class DiskFull(OperationError):
    """The disk is full."""

    code = "disk_full"
    default_remedy = "Free disk space, then submit the same request again: it goes on from its last checkpoint."


class OutOfMemory(OperationError):
    """The work needed more memory than there is."""

    code = "out_of_memory"
    default_remedy = "Use a smaller batch, fewer addresses or prompts, or a smaller model."


class WorkerKilled(OperationError):
    """The worker process was killed or crashed too often."""

    code = "worker_killed"
    default_remedy = "Read log_tail; if memory ran out, use a smaller batch or model, then submit the request again."


class WorkerCannotStart(OperationError):
    """The worker process ends before it starts to work."""

    code = "worker_cannot_start"
    default_remedy = "Read log_tail and run 'interp-lab doctor'; check INTERP_LAB_WORKER_PYTHON."


class UnexpectedFailure(OperationError):
    """The work ended with an error that interp-lab does not know."""

    code = "unexpected_failure"
    default_remedy = "The traceback is in log_tail; report it with the request that led to it."


def all_errors() -> Iterator[type[LabError]]:
    """Yield every error class, parents before children, in the order of definition."""
    pending: list[type[LabError]] = [LabError]
    while pending:
        current = pending.pop(0)
        yield current
        pending.extend(current.__subclasses__())
