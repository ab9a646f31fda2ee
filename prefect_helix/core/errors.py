"""Every error the package raises on purpose.

    HelixError
    ├── ConfigurationError (ValueError)      a setting or an option makes no sense
    ├── UndigestibleError (TypeError)        a value has no digest
    ├── NotStorableError (TypeError)         a value cannot be serialised
    ├── StoreError (OSError)                 the store did not do what it was asked
    │   ├── BlobMissingError                 a blob is not there
    │   │   └── NotKeptError                 nor was it written: it was not worth its room
    │   └── CorruptError                     stored bytes are not what was written
    ├── NondeterministicTaskError            a recomputed result contradicts one already used
    ├── FileChangedError                     a file changed while a run relied on it
    ├── NotFoundError (LookupError)          a run, a step or a tag that is named is not there
    ├── ResultUnavailableError (LookupError) a recorded result cannot be had
    ├── UpstreamFailedError                  a value is asked for whose task failed
    ├── ArgumentChangedError                 an argument was changed before its task could be computed late
    └── VerificationError                    mode "verify" found results that differ

Each carries its facts as fields and says in its message what to do next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class HelixError(Exception):
    """Base of all errors of this package. Pickles with its fields, so that it reaches the flow from any worker."""

    def __reduce__(self) -> tuple[Callable[..., HelixError], tuple[object, ...], dict[str, Any]]:
        return _without_init, (type(self), self.args), vars(self)


def _without_init(cls: type[HelixError], args: tuple[object, ...]) -> HelixError:
    error = cls.__new__(cls)
    error.args = args
    return error


class ConfigurationError(HelixError, ValueError):
    """A setting, option or URL that makes no sense.

    Args:
        setting: Name of the setting, as the user wrote it (``budget``, ``store``).
        value: What was given.
        remedy: One sentence that says what would be accepted.
    """

    def __init__(self, setting: str, value: object, remedy: str) -> None:
        self.setting = setting
        self.value = value
        self.remedy = remedy
        super().__init__(f"{setting}={value!r} cannot be used. {remedy}")


class UndigestibleError(HelixError, TypeError):
    """A value has no digest: its content cannot be told from that of another.

    Args:
        type_name: Qualified name of the type that cannot be digested.
        path: Where it sits in the value (``"[3].lock"``), empty for the value itself.
        cause: Why, in a few words.
    """

    def __init__(self, type_name: str, path: str = "", cause: str = "it has no digest") -> None:
        self.type_name = type_name
        self.path = path
        self.cause = cause
        where = f" at {path}" if path else ""
        super().__init__(
            f"A value of type {type_name}{where} cannot be digested: {cause}. "
            "Register a digest for the type with register_digest()."
        )


class NotStorableError(HelixError, TypeError):
    """A value cannot be serialised, so it cannot be materialized.

    Args:
        type_name: Qualified name of the value's type.
        cause: What the serialiser said.
    """

    def __init__(self, type_name: str, cause: str) -> None:
        self.type_name = type_name
        self.cause = cause
        super().__init__(f"A value of type {type_name} cannot be serialised: {cause}")


class StoreError(HelixError, OSError):
    """The store did not do what it was asked.

    Args:
        url: The store's URL, without secrets.
        operation: What was tried (``write blobs/ab/...``).
        cause: What went wrong.
        remedy: What to do about it.
    """

    def __init__(
        self,
        url: str,
        operation: str,
        cause: str,
        remedy: str = "Check that the store exists and can be read and written.",
    ) -> None:
        self.url = url
        self.operation = operation
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"The store {url} failed to {operation}: {cause}. {remedy}")


class BlobMissingError(StoreError):
    """A blob is not in the store; whatever it held is computed again."""


class NotKeptError(BlobMissingError):
    """A result of this run was not stored after all; it is computed again where it is needed."""


class CorruptError(StoreError):
    """Stored bytes are not what was written; whatever they held is computed again."""


class NondeterministicTaskError(HelixError):
    """A result that was computed again differs from the one that results already used were made from.

    Args:
        task: Name of the task that gave two results for the same inputs.
        used: Names of the tasks whose stored results were already used in this run.
    """

    def __init__(self, task: str, used: Sequence[str]) -> None:
        self.task = task
        self.used = tuple(used)
        super().__init__(
            f"Task {task!r} gave another result than before for the same code and inputs, after stored results "
            f"made from its earlier result had been used ({', '.join(used)}). The run was stopped so that the two "
            f"are not mixed. Seed the task, or declare it with @helix_task(deterministic=False), and run again."
        )


class FileChangedError(HelixError):
    """A file changed while a run still needed the content it had when it was passed.

    Args:
        path: The file.
        task: Name of the task that was to read it.
    """

    def __init__(self, path: str, task: str) -> None:
        self.path = path
        self.task = task
        super().__init__(
            f"The file {path} changed during the run, before task {task!r} could read the content "
            "it was called with. Run the flow again."
        )


class ArgumentChangedError(HelixError):
    """An argument was changed in place after the call, and the task turned out to be needed after all.

    Args:
        task: Name of the task.
        parameter: Name of the parameter.
    """

    def __init__(self, task: str, parameter: str) -> None:
        self.task = task
        self.parameter = parameter
        super().__init__(
            f"Task {task!r} has to be computed after all, but its argument {parameter!r} was changed in place since "
            "the call. Give the task a copy, or have its result kept with @helix_task(materialize='always')."
        )


class NotFoundError(HelixError, LookupError):
    """What was named is not there, or not the only one; the message says what is."""


class ResultUnavailableError(HelixError, LookupError):
    """What a step of a run gave cannot be had any more.

    Args:
        run: Id of the run.
        task: Name of the step.
        cause: Why not, in half a sentence.
        remedy: What to do about it.
    """

    def __init__(self, run: str, task: str, cause: str, remedy: str) -> None:
        self.run = run
        self.task = task
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"The result of {task} in run {run} cannot be loaded: {cause}. {remedy}")


class UpstreamFailedError(HelixError):
    """A value was asked for whose task failed in this run.

    Args:
        task: Name of the task.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"Task {task!r} failed in this run, so its result cannot be used. Its own error says why.")


_TOLD_RESULTS = 20


class VerificationError(HelixError):
    """Mode ``verify`` computed results that differ from the recorded ones.

    Args:
        tasks: Names of the tasks whose results differ.
        differences: How, in the same order.
    """

    def __init__(self, tasks: Sequence[str], differences: Sequence[str] = ()) -> None:
        self.tasks = tuple(tasks)
        self.differences = tuple(differences)
        known = [f"{task} ({how})" for task, how in zip(self.tasks, self.differences, strict=False)]
        told = ", ".join([*known, *self.tasks[len(known) :]][:_TOLD_RESULTS])
        more = f" and {len(self.tasks) - _TOLD_RESULTS} more" if len(self.tasks) > _TOLD_RESULTS else ""
        super().__init__(
            f"Results came out otherwise than recorded: {told}{more}. "
            "Seed their tasks, declare them with @helix_task(deterministic=False), or name what they depend on "
            "with depends_on=; a run with mode='recompute' refreshes the store."
        )
