from __future__ import annotations

import pickle

import pytest

from prefect_helix.core.errors import (
    BlobMissingError,
    ConfigurationError,
    FileChangedError,
    HelixError,
    NondeterministicTaskError,
    NotStorableError,
    UndigestibleError,
    UnhashableArgumentError,
    VerificationError,
)

ERRORS = [
    ConfigurationError("budget", "lots", "Give a size."),
    UndigestibleError("threading.Lock", "[1]"),
    UnhashableArgumentError("fit", "lock", UndigestibleError("threading.Lock")),
    NotStorableError("generator", "no pickle"),
    BlobMissingError("/store", "read a blob", "it is not there"),
    NondeterministicTaskError("split", ["fit"]),
    FileChangedError("a.csv", "scan"),
    VerificationError(["scan"]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_message_and_fields_when_it_is_pickled(error: HelixError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_unhashable_argument_names_the_task_the_parameter_and_the_ways_out() -> None:
    message = str(UnhashableArgumentError("fit", "lock", UndigestibleError("threading.Lock", ".guard")))

    for part in ("'fit'", "'lock'", "threading.Lock", ".guard", "ignore=['lock']", "File(path)", "register_digest()"):
        assert part in message
