"""Incremental Prefect 3 workflows: each step is versioned by itself, and each run computes only what it must."""

from prefect_helix.blocks import HelixStorage
from prefect_helix.core.digest import register_digest
from prefect_helix.core.errors import (
    BlobMissingError,
    ConfigurationError,
    CorruptError,
    FileChangedError,
    HelixError,
    NondeterministicTaskError,
    NotFoundError,
    NotStorableError,
    ResultUnavailableError,
    StoreError,
    UndigestibleError,
    VerificationError,
)
from prefect_helix.flows import helix_flow, helix_plan
from prefect_helix.frames import runs_frame
from prefect_helix.metrics import log_metric
from prefect_helix.records import RunRecord, find_run, list_runs, load_result
from prefect_helix.storage.files import File
from prefect_helix.tasks import HelixTask, helix_task

__version__ = "0.1.0"

__all__ = [
    "BlobMissingError",
    "ConfigurationError",
    "CorruptError",
    "File",
    "FileChangedError",
    "HelixError",
    "HelixStorage",
    "HelixTask",
    "NondeterministicTaskError",
    "NotFoundError",
    "NotStorableError",
    "ResultUnavailableError",
    "RunRecord",
    "StoreError",
    "UndigestibleError",
    "VerificationError",
    "find_run",
    "helix_flow",
    "helix_plan",
    "helix_task",
    "list_runs",
    "load_result",
    "log_metric",
    "register_digest",
    "runs_frame",
]
