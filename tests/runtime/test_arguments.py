"""What a run records of its arguments and results."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.explain import changes
from prefect_helix.runtime.arguments import frozen, immutable, shown


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("reg", 0.1, "0.1"),
        ("columns", ["a", "b"], "['a', 'b']"),
        ("api_key", "abc", "********"),
        ("db_password", "abc", "********"),
        ("frame", pd.DataFrame({"a": [1]}), "<DataFrame [1, 1]>"),
        ("text", "x" * 100, "'" + "x" * 78 + "…"),
    ],
)
def test_an_argument_is_shown_in_short_and_a_secret_not_at_all(name: str, value: object, words: str) -> None:
    assert shown(name, value) == words


def test_the_code_of_an_argument_counts(lab) -> None:
    use = lab.task(lambda config: config.scaled(), name="use")

    def config(factor: int) -> Any:
        @dataclasses.dataclass
        class Config:
            x: int

            def scaled(self) -> int:
                return self.x * factor

        return Config(2)

    def flow() -> int:
        return use(given[-1])

    given = [config(3)]
    assert (lab.run(flow).value, lab.run(flow).bodies) == (6, [])
    given.append(config(4))
    assert dataclasses.asdict(given[0]) == dataclasses.asdict(given[1])
    assert lab.run(flow).value == 8


def test_the_code_of_an_argument_counts_beside_a_result(lab) -> None:
    make = lab.task(lambda: 1, name="make")
    use = lab.task(lambda parts: parts[0] + parts[1].scaled(), name="use")

    def config(factor: int) -> Any:
        class Config:
            def scaled(self) -> int:
                return 2 * factor

        return Config()

    def flow() -> int:
        return use([make.submit(), given[-1]])

    given = [config(3)]
    assert (lab.run(flow).value, lab.run(flow).bodies) == (7, [])
    given.append(config(4))
    run = lab.run(flow)
    assert (run.value, run.bodies) == (9, ["use"])


@pytest.mark.parametrize(
    "held",
    [
        lambda metric: {metric.RMSE: 0.7},
        lambda metric: {metric: 0.7},
        lambda metric: frozenset({metric}),
        lambda metric: [{(frozenset({metric.RMSE}),): None}],
    ],
)
def test_code_in_keys_and_frozen_sets_counts(lab, held: Callable[[Any], object]) -> None:
    def metric(factor: int) -> Any:
        class Metric(enum.Enum):
            RMSE = 1

            def scaled(self) -> int:
                return self.value * factor

        return Metric

    use = lab.task(lambda value: len(value), name="use")

    def flow() -> int:
        return use(held(made))

    made = metric(3)
    assert (lab.run(flow).bodies, lab.run(flow).bodies) == (["use"], [])
    made = metric(4)
    assert lab.run(flow).bodies == ["use"]


@pytest.mark.parametrize(
    ("value", "is_frozen"),
    [
        ({"a": {1, 2}, ("b", frozenset({1.5})): [None]}, True),
        ({object(): 1}, False),
        (frozenset({object()}), False),
    ],
)
def test_parameters_are_frozen_where_all_in_them_is_plain(value: object, is_frozen: bool) -> None:
    assert frozen({"value": value}) == ({"value": value} if is_frozen else None)


def test_a_frozen_set_is_immutable_if_what_is_in_it_is() -> None:
    assert immutable(frozenset({1, ("a", frozenset())}))
    assert not immutable(frozenset({object()}))


def test_numbers_in_a_small_dict_are_the_metrics_of_the_run(lab) -> None:
    first = lab.task(lambda: {"loss": 3.0, "rows": 7}, name="first")
    last = lab.task(lambda before: {"loss": 1.5, "ok": True, "name": "x"}, name="last")

    run = lab.run(lambda: last(first()))

    assert dict(run.lineage.run.metrics) == {"loss": 1.5, "first.loss": 3.0, "rows": 7.0}


def test_numbers_of_any_kind_are_metrics_and_are_recorded_as_plain_ones(lab) -> None:
    given = {
        "float32": np.float32(0.5),
        "float64": np.float64(0.25),
        "int64": np.int64(7),
        "fraction": Fraction(3, 4),
        "truth": np.bool_(True),
        "long": 10**400,
        "array": np.array([1.0]),
    }
    measure = lab.task(lambda: given, name="measure")

    found = lab.run(lambda: measure()).lineage.run.metrics

    assert found == {"float32": 0.5, "float64": 0.25, "int64": 7.0, "fraction": 0.75}
    assert {type(number) for number in found.values()} == {float}


def test_a_reason_names_the_argument_with_its_old_and_new_value(lab) -> None:
    fit = lab.task(lambda reg: reg * 2, name="fit")

    def flow(reg: float) -> float:
        return fit(reg)

    before, after = (lab.run(flow, reg=reg).lineage.traces[0] for reg in (0.1, 0.2))

    assert after.reason == "argument reg changed: 0.1 → 0.2"
    assert [str(change) for change in changes(before, after)] == [after.reason]


def test_of_a_result_that_cannot_be_stored_whole_nothing_is_stored(lab) -> None:
    class Held:
        def __reduce__(self) -> str:
            raise TypeError("not to be pickled")

    make = lab.task(lambda: (pd.DataFrame({"a": range(50_000)}), Held()), name="make")

    run = lab.run(lambda: len(make()[0]))

    assert (run.value, lab.blob_bytes()) == (50_000, 0)
    assert any("cannot be loaded" in warning for warning in run.warnings.values())
