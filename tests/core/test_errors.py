from __future__ import annotations

import pickle

import pytest

from prefect_helix.core.errors import (
    BlobMissingError,
    ConfigurationError,
    FileChangedError,
    HelixError,
    NondeterministicTaskError,
    NotFoundError,
    NotStorableError,
    ResultUnavailableError,
    UndigestibleError,
    VerificationError,
)

ERRORS = [
    ConfigurationError("budget", "lots", "Give a size."),
    UndigestibleError("threading.Lock", "[1]"),
    NotStorableError("generator", "no pickle"),
    BlobMissingError("/store", "read a blob", "it is not there"),
    NondeterministicTaskError("split", ["fit"]),
    FileChangedError("a.csv", "scan"),
    NotFoundError("There is no run."),
    ResultUnavailableError("9f8e", "fit", "it was not kept", "Run the flow again."),
    VerificationError(["scan"], ["recorded 1, now 2"]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_message_and_fields_when_it_is_pickled(error: HelixError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("tasks", "differences", "told"),
    [
        (["scan"], ["recorded 1, now 2"], "scan (recorded 1, now 2)."),
        (["scan", "fit"], [], "scan, fit."),
        ([f"fit{n}" for n in range(21)], [], "fit18, fit19 and 1 more."),
    ],
)
def test_results_that_came_out_otherwise_are_named_however_many_there_are(
    tasks: list[str], differences: list[str], told: str
) -> None:
    message = str(VerificationError(tasks, differences))

    assert message.startswith(f"Results came out otherwise than recorded: {tasks[0]}")
    assert told in message
