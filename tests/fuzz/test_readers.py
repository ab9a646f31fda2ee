"""Whatever bytes a store holds, no reader executes them, hangs, takes memory for what they claim, or breaks.

To try much more than every day: ``HELIX_ATTACK=1 python -m pytest tests/fuzz``.
"""

from __future__ import annotations

import ast
import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import prefect_helix
from tests.fuzz import canary
from tests.fuzz.sample import Sample, fill
from tests.fuzz.targets import TARGETS, Target

ATTACK = os.environ.get("HELIX_ATTACK") == "1"
EXAMPLES = 1_000 if ATTACK else 30
PATIENCE_S = 20
"""Processor time of one example: what takes so long hangs."""

BYTES_PER_BYTE = 150
"""Python's objects are so much larger than their JSON."""

PACKAGE = Path(prefect_helix.__file__).parent
PARSERS = {
    "decompress", "frombytes", "inflated", "iter_unpack", "loads", "decompressed", "parse_line", "parse_run",
    "parse_segment", "parse_trace", "read_bytes", "unpack", "unpack_from",
}  # fmt: skip
"""Names of what makes something of bytes."""

NOT_OF_A_STORE = {
    "runtime.arguments:isolated": "a copy of a live value, encoded in this process",
    "cli.plan:_parameters": "what somebody types",
    "core.fingerprint.distributions:_record": "what the installer wrote of a package",
    "core.fingerprint.modules:_bytes": "code that is imported",
    "core.fingerprint.stored:stored_code": "what Python itself would run, from beside the source",
    "runtime.imports:_content_of": "code that is imported",
    "storage.local:_kind_of_mount": "what the kernel tells of the disks",
    "storage.watched:_Watch._scan": "what the kernel answers",
}

pytestmark = [
    pytest.mark.timeout(7_200 if ATTACK else 300),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # it would hide what failed
]


def parsing() -> Iterator[str]:
    """Yield the functions of the package that make something of bytes: module, class and name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield from (f"{module}:{name}" for name in _parsing(ast.parse(path.read_text()), ""))


def _parsing(scope: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.ClassDef):
            yield from _parsing(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            called = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
            attributes = {one.attr for one in called if isinstance(one, ast.Attribute)}
            names = {one.id for one in called if isinstance(one, ast.Name)}
            if (attributes | names) & PARSERS or "decode" in names:  # not that of bytes
                yield f"{prefix}{node.name}"


def test_every_function_that_parses_is_in_the_table() -> None:
    found, covered = {*parsing()}, {name for target in TARGETS for name in target.covers}
    assert found - covered - NOT_OF_A_STORE.keys() == set(), "add a row to TARGETS for it"
    assert covered | NOT_OF_A_STORE.keys() == found, "there is no such reader any more"


class Hung(BaseException):
    """A reader does not come to an end."""


@contextmanager
def patience() -> Iterator[None]:
    def give_up(signal_number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def most_bytes(read: Callable[[], object]) -> int:
    """Return the most memory that the process took at a time while it read."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def least_bytes(read: Callable[[], object], limit_bytes: int) -> int:
    """Return the most memory that it took, of three times the least if that is more than the limit.

    Other threads of the process take some now and then.
    """
    taken_bytes = most_bytes(read)
    for _ in range(2):
        if taken_bytes > limit_bytes:
            taken_bytes = min(taken_bytes, most_bytes(read))
    return taken_bytes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return fill(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_neither_executes_nor_hangs_nor_swells_nor_breaks(sample: Sample, target: Target) -> None:
    read = target.read(sample)
    weigh = len if target.name != "a budget" else lambda _: 0

    @settings(
        max_examples=max(3, int(EXAMPLES * target.share)),
        derandomize=not ATTACK,
        database=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(target.given(sample))
    def attack(data: Any) -> None:
        size_bytes = weigh(data[1] if isinstance(data, tuple) else data)
        canary.SUNG.clear()

        def attempt() -> None:
            with suppress(*target.raises):
                read(data)

        limit_bytes = target.constant_bytes + BYTES_PER_BYTE * size_bytes
        with patience():
            taken_bytes = least_bytes(attempt, limit_bytes)
        assert taken_bytes <= limit_bytes, f"it took {taken_bytes / 1e6:.0f} MB"
        assert not canary.SUNG, "stored bytes were executed"

    attack()
