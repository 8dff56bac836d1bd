"""What can be wrong with the workspace, its jobs and its artifacts."""

from __future__ import annotations

from interp_lab.errors.base import NotFoundError, OperationError, RequestError, StateError


class UnknownAsset(NotFoundError):
    """There is no packaged file of that name."""

    code = "unknown_asset"


class DamagedAsset(OperationError):
    """A file that came with interp-lab is not what it was."""

    code = "damaged_asset"
    default_remedy = "Install interp-lab again, or restore prompts/ and schemas/ in a checkout."


class UnknownJob(NotFoundError):
    """There is no job of that id in this workspace."""

    code = "unknown_job"
    default_remedy = "Call job_list for the jobs of this workspace."


class UnknownArtifact(NotFoundError):
    """There is no artifact of that id, or no file of that name in it."""

    code = "unknown_artifact"
    default_remedy = "Call artifact_list for the artifacts of this workspace."


class InvalidMachineProfile(RequestError):
    """The file is no machine profile."""

    code = "invalid_machine_profile"
    default_remedy = "Give the artifact id of a profile_env run, or the profile.json of one."


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


class DoesNotFit(StateError):
    """The work needs more disk or memory than this machine has."""

    code = "does_not_fit"
    default_remedy = "Ask for fewer addresses or documents, or a smaller number format."


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
