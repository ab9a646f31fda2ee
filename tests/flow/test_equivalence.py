"""When a result stands for a call: each rule by the case that made it, on real Prefect, each run in a new process.

Every story says which task bodies run, and every result is compared with that of mode ``off``.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

from .stories import Step, Story, Told, check, tell

pytestmark = pytest.mark.timeout(600)  # all stories are told while the first test waits


STORIES = [
    Story(
        "a child of data that is too old is not served for new data",
        """
        @helix_task(max_age=timedelta(0))
        def fetch():
            RAN.info("fetch")
            return frame(float(Path(HERE, "data").read_text()))

        @helix_task
        def child(df):
            RAN.info("child")
            return float(df["x"].sum())

        @helix_flow
        def main():
            return child(fetch())
        """,
        Step("fetch child", lambda at: at.write("data", "1")),
        Step("fetch child", lambda at: at.write("data", "2")),
        Step("fetch"),
        Step("fetch", lambda at: at.write("data", "1")),
    ),
    Story(
        "a child of a future that is too old is not served for new data",
        """
        @helix_task(max_age=timedelta(0))
        def fetch():
            RAN.info("fetch")
            return frame(float(Path(HERE, "data").read_text()))

        @helix_task
        def child(df):
            RAN.info("child")
            return float(df["x"].sum())

        @helix_flow
        def main():
            return child.submit(fetch.submit()).result()
        """,
        Step("fetch child", lambda at: at.write("data", "1")),
        Step("fetch child", lambda at: at.write("data", "2")),
        Step("fetch"),
    ),
    Story(
        "a model is never scored on its training rows",
        """
        @helix_task
        def split(rows):
            RAN.info("split")
            df = pd.DataFrame({"id": np.arange(rows), "x": 1.0})
            df["trains"] = np.random.default_rng().random(rows) < 0.5
            return df

        @helix_task
        def fit(rows):
            RAN.info("fit")
            return rows["id"][rows["trains"]]

        @helix_task
        def evaluate(model, rows):
            RAN.info("evaluate")
            return int(rows["id"][~rows["trains"]].isin(model).sum())

        @helix_flow
        def main():
            rows = split(40_000)
            model = fit(rows)
            assert len(model) > 10_000  # the flow has looked at the model before the rows are needed
            return evaluate(model, rows)
        """,
        Step("split fit evaluate"),
        Step(
            "split fit evaluate",
            lambda at: (at.evict("split"), at.edit(".sum())", ".sum() + 0)")),
            says="split gave another result than before",
        ),
        Step("evaluate", lambda at: at.edit(".sum() + 0)", ".sum() * 1)")),
    ),
    Story(
        "a model is never scored on its training rows where these come in parts",
        """
        @helix_task
        def split(rows):
            RAN.info("split")
            df = pd.DataFrame({"id": np.arange(rows), "x": 1.0})
            train = np.random.default_rng().random(rows) < 0.5
            return df[train], df[~train]

        @helix_task
        def fit(train):
            RAN.info("fit")
            return train["id"] * 1

        @helix_task
        def evaluate(model, test):
            RAN.info("evaluate")
            return int(test["id"].isin(model).sum())

        @helix_flow
        def main():
            train, test = split(40_000)
            return evaluate(fit(train), test)
        """,
        Step("split fit evaluate"),
        Step("split fit evaluate", lambda at: (at.evict("split"), at.edit(".sum())", ".sum() + 0)"))),
        Step("evaluate", lambda at: at.edit(".sum() + 0)", ".sum() * 1)")),
    ),
    Story(
        "of two outcomes under one signature a child belongs to its own",
        """
        @helix_task
        def draw():
            RAN.info("draw")
            return frame(float(Path(HERE, "data").read_text()))

        @helix_task
        def child(df):
            RAN.info("child")
            return float(df["x"].iloc[0])

        @helix_flow
        def main():
            return child(draw())
        """,
        Step("draw child", lambda at: at.write("data", "1")),
        Step(
            "draw child",
            lambda at: (at.write("data", "2"), at.evict("draw"), at.edit("iloc[0])", "iloc[0] + 0)")),
        ),
        # The first version of the child has a result, but of the first outcome; what is stored is the second.
        Step("child", lambda at: at.edit("iloc[0] + 0)", "iloc[0])")),
    ),
    Story(
        "a handle that looks the same is not taken for the same data",
        """
        class Dataset:
            def __init__(self, path):
                self.path = path
            def __reduce__(self):
                return Dataset, (self.path,)

        @helix_task
        def open_dataset(source):
            RAN.info("open_dataset")
            return Dataset(source.path)

        @helix_task
        def read(dataset):
            RAN.info("read")
            return Path(dataset.path).read_text()

        @helix_flow
        def main():
            return read(open_dataset(File(f"{HERE}/data")))
        """,
        Step("open_dataset read", lambda at: at.write("data", "1")),
        Step(""),
        Step("open_dataset read", lambda at: at.write("data", "2")),
    ),
    Story(
        "a handle in a container or a future is not taken for the same data",
        """
        class Dataset:
            def __init__(self, path):
                self.path = path

        @helix_task
        def open_datasets(source):
            RAN.info("open_datasets")
            return {"train": Dataset(source.path), "rows": 3}

        @helix_task
        def read(datasets):
            RAN.info("read")
            return Path(datasets["train"].path).read_text()

        @helix_flow
        def direct():
            return read(open_datasets(File(f"{HERE}/data")))

        @helix_flow
        def submitted():
            return read.submit(open_datasets.submit(File(f"{HERE}/more"))).result()

        def main():
            return [direct(), submitted()]
        """,
        Step("open_datasets read open_datasets read", lambda at: (at.write("data", "1"), at.write("more", "3"))),
        Step(""),
        Step("open_datasets read", lambda at: at.write("data", "2")),
        Step("open_datasets read", lambda at: at.write("more", "4")),
    ),
    Story(
        "a handle taken out of a container is not taken for the same data",
        """
        class Dataset:
            def __init__(self, path):
                self.path = path

        @helix_task
        def open_datasets(source):
            RAN.info("open_datasets")
            return {"train": Dataset(source.path), "rows": 3}

        @helix_task
        def read(dataset):
            RAN.info("read")
            return Path(dataset.path).read_text()

        @helix_flow
        def main():
            return read(open_datasets(File(f"{HERE}/data"))["train"])
        """,
        Step("open_datasets read", lambda at: at.write("data", "1")),
        Step(""),
        Step("open_datasets read", lambda at: at.write("data", "2")),
    ),
    Story(
        "what waits for a step that computes is computed along a chain of nothing",
        """
        @helix_task
        def prepare():
            RAN.info("prepare")
            Path(HERE, "number").write_text("1")

        @helix_task
        def between():
            RAN.info("between")

        @helix_task
        def use():
            RAN.info("use")
            return Path(HERE, "number").read_text()

        @helix_flow
        def main():
            prepared = prepare.submit()
            return use.submit(wait_for=[between.submit(wait_for=[prepared])]).result()
        """,
        Step("prepare between use", says="prepare returned None"),
        Step(""),
        Step("prepare between use", lambda at: at.edit('write_text("1")', 'write_text("2")')),
    ),
    Story(
        "what waits for a step that is computed every time is computed every time",
        """
        @helix_task(deterministic=False)
        def prepare():
            RAN.info("prepare")
            Path(HERE, "number").write_text(Path(HERE, "data").read_text())

        @helix_task
        def use():
            RAN.info("use")
            return Path(HERE, "number").read_text()

        @helix_flow
        def main():
            return use.submit(wait_for=[prepare.submit()]).result()
        """,
        Step("prepare use", lambda at: at.write("data", "1")),
        Step("prepare use", lambda at: at.write("data", "2")),
    ),
    Story(
        "a stored object of a class of the script that changed does not bring its old method back",
        """
        class Model:
            def __init__(self, weights):
                self.weights = weights
            def predict(self, x):
                return float(self.weights[-1]) + x

        @helix_task
        def fit():
            RAN.info("fit")
            return Model(np.arange(20_000.0))

        @helix_task
        def score(model, x):
            RAN.info("score")
            return model.predict(x)

        @helix_flow
        def main():
            return score(fit(), 1)

        if __name__ == "__main__":
            result = main()
        """,
        Step("fit score"),
        Step("score", lambda at: at.edit("predict(x)\n", "predict(x) + 0\n")),
        Step("fit score", lambda at: at.edit("[-1]) + x", "[-1]) * 10 + x")),
        Step("score", lambda at: at.edit("predict(x) + 0\n", "predict(x) - 0\n")),
    ),
    Story(
        "a stored object whose class changed is not served although the version of its task stands",
        """
        class Model:
            def __init__(self, weights):
                self.weights = weights
            def predict(self, x):
                return float(self.weights[-1]) + x

        @helix_task(code_version="1")
        def fit():
            RAN.info("fit")
            return Model(np.arange(20_000.0))

        @helix_task
        def score(model, x):
            RAN.info("score")
            return model.predict(x)

        @helix_flow
        def main():
            return score(fit(), 1)

        if __name__ == "__main__":
            result = main()
        """,
        Step("fit score"),
        Step("score", lambda at: at.edit("predict(x)\n", "predict(x) + 0\n")),
        Step("fit score", lambda at: at.edit("[-1]) + x", "[-1]) * 10 + x")),
        Step("score", lambda at: at.edit("predict(x) + 0\n", "predict(x) - 0\n")),
    ),
    Story(
        "memory order survives the store and counts",
        """
        @helix_task
        def make():
            RAN.info("make")
            return np.asfortranarray(np.random.default_rng(0).normal(size=(331, 173)))

        @helix_task
        def total(numbers):
            RAN.info("total")
            in_memory_order = numbers.ravel(order="K")
            return float(np.add.accumulate(in_memory_order)[-1]).hex()

        @helix_flow
        def main():
            return total(make())
        """,
        Step("make total"),
        Step("total", lambda at: at.edit("[-1]).hex()", "[-1]).hex().lower()")),
        Step("make total", lambda at: at.edit("asfortranarray", "ascontiguousarray")),
    ),
    Story(
        "a local variable that a query reads by its name counts",
        """
        @helix_task
        def above(limit):
            RAN.info("above")
            x = limit
            y = 7
            return len(pd.DataFrame({"a": range(10)}).query("a > @x")) + 0 * y

        @helix_flow
        def main():
            return above(3)
        """,
        Step("above"),
        Step("above", lambda at: (at.edit("x = limit", "Y = limit"), at.edit("y = 7", "x = 7"), at.edit("* y", "* Y"))),
    ),
    Story(
        "a memo is no input but the code that fills it is",
        """
        MEMO = {}

        def double(number):
            if number not in MEMO:
                MEMO[number] = number * 2
            return MEMO[number]

        @helix_task
        def use(number):
            RAN.info("use")
            return double(number)

        @helix_flow
        def doubled(number):
            return use(number)

        def main():
            return [doubled(1), doubled(2), doubled(1)]
        """,
        Step("use use", says="MEMO is written by the code that reads it"),
        Step(""),
        Step("use use", lambda at: at.edit("number * 2", "number * 3")),
        Step("use use", lambda at: at.edit("MEMO = {}", "MEMO = {1: 100}")),
    ),
    Story(
        "a call that failed stands for nothing",
        """
        @helix_task
        def fragile():
            RAN.info("fragile")
            return int(Path(HERE, "data").read_text())

        @helix_task
        def child(number):
            RAN.info("child")
            return number + 1

        @helix_flow
        def flow():
            return child(fragile())

        def main():
            try:
                return flow()
            except ValueError:
                return "failed"
        """,
        Step("fragile", lambda at: at.write("data", "none")),
        Step("fragile"),
        Step("fragile child", lambda at: at.write("data", "1")),
        Step(""),
    ),
    Story(
        "an edit without effect on the result costs one step",
        """
        @helix_task
        def scan(factor):
            RAN.info("scan")
            return frame(factor)

        @helix_task
        def total(df):
            RAN.info("total")
            return float(df["x"].sum())

        @helix_task
        def clean(df):
            RAN.info("clean")
            return df.dropna()

        @helix_task
        def fit(df):
            RAN.info("fit")
            return float(df["x"].mean())

        @helix_flow
        def main():
            return [fit(clean(scan(1))), total.submit(scan.submit(2)).result()]
        """,
        Step("scan clean fit scan total"),
        Step("scan scan", lambda at: at.edit("frame(factor)", "frame(factor + 0)")),
        Step("clean", lambda at: at.edit("df.dropna()", "df[df['x'] > 0]")),
        Step("scan clean fit scan total", lambda at: at.edit("frame(factor + 0)", "frame(factor + 1)")),
    ),
    Story(
        "a small value comes back as what it is",
        """
        @helix_task
        def count(limit):
            RAN.info("count")
            return limit // 10

        @helix_task
        def square(number):
            RAN.info("square")
            return number**2

        @helix_flow
        def flow(limit):
            number = count(limit)
            return [square(number), square(number + 1), square({"a": number}["a"])]

        def main():
            return [flow(30), flow(31), flow(40)]
        """,
        # Three numbers are squared in the first run, whose last call is its first. In the second, 31 // 10 is 3 again.
        Step("count square square count count square"),
        Step("count count count", lambda at: at.edit("limit // 10", "int(limit / 10)")),
    ),
    Story(
        "a random step is computed when it is needed and its children are spared where it gives the same",
        """
        @helix_task(deterministic=False)
        def sample():
            RAN.info("sample")
            return frame(float(Path(HERE, "data").read_text()))

        @helix_task
        def mean(df):
            RAN.info("mean")
            return float(df["x"].mean())

        @helix_task
        def report(mean):
            RAN.info("report")
            return f"{mean:.1f}"

        @helix_flow
        def main():
            return report.submit(mean.submit(sample.submit())).result()
        """,
        Step("sample mean report", lambda at: at.write("data", "1")),
        Step("sample"),
        Step("sample mean report", lambda at: at.write("data", "2")),
        Step("sample", lambda at: at.write("data", "1")),
    ),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("equivalence")


@pytest.fixture(scope="module")
def told(root: Path, prefect_server: str) -> Mapping[str, Sequence[Told]]:
    return tell(STORIES, root, prefect_server)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_result_stands_for_just_the_calls_it_should(story: Story, told: Mapping[str, Sequence[Told]]) -> None:
    check(story, told[story.name])


def test_the_sums_in_the_two_memory_orders_differ(told: Mapping[str, Sequence[Told]]) -> None:
    results = [one.result for one in told["memory order survives the store and counts"]]
    assert results[0] == results[1] != results[2]


def test_no_training_row_is_among_the_test_rows(told: Mapping[str, Sequence[Told]]) -> None:
    assert [one.result for one in told["a model is never scored on its training rows"]] == [0, 0, 0]


def test_the_lineage_keeps_the_edge_of_a_small_object_and_the_platform(
    root: Path, told: Mapping[str, Sequence[Told]]
) -> None:
    stores = root / "stores" / "story_a_handle_that_looks_the_same_is_not_taken_for_the_same_data"
    first = Catalog(open_store(stores)).read().lineages[0]
    opened, read = first.traces
    assert [parent.signature for parent in read.parents] == [opened.signature]
    assert first.run.versions["platform"] == platform.platform()
