"""Values: of all kinds, changed in place, and not the same each time."""

from .feature import Feature

FEATURES = [
    Feature(
        "a large data frame goes from task to task",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_task
        def scaled(frame):
            ran("scaled")
            return frame * FACTOR

        @helix_task
        def total(frame):
            ran("total")
            return int(frame["a"].sum())

        @helix_flow
        def main():
            return total(scaled(table(10_000)))

        FACTOR = 2
        """,
        edit=("FACTOR = 2", "FACTOR = 3"),
        ran=("table scaled total", "", "scaled total"),
    ),
    Feature(
        "the flow looks into a large data frame",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_flow
        def main():
            frame = table(ROWS)
            return [isinstance(frame, pd.DataFrame), len(frame), int(frame["a"].max()), list(frame), str(frame.head(1))]

        ROWS = 10_000
        """,
        edit=("ROWS = 10_000", "ROWS = 11_000"),
        ran=("table", "", "table"),
    ),
    Feature(
        "the flow changes a large data frame",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_task
        def total(frame):
            ran("total")
            return int(frame["a"].sum())

        @helix_flow
        def main():
            frame = table(10_000)
            before = total(frame)
            frame["a"] += MORE
            return [before, total(frame), total(table(10_000))]

        MORE = 1
        """,
        edit=("MORE = 1", "MORE = 2"),
        ran=("table total total", "", "total"),
    ),
    Feature(
        "the flow changes a small list",
        """
        @helix_task
        def listed(n):
            ran("listed")
            return list(range(n))

        @helix_task
        def count(items):
            ran("count")
            return len(items)

        @helix_flow
        def main():
            items = listed(3)
            before = count(items)
            items.append(MORE)
            return [before, count(items), listed(3)]

        MORE = 1
        """,
        edit=("MORE = 1", "MORE = 'a'"),
        ran=("listed count count", "", "count"),
    ),
    Feature(
        "a task changes what it is given",
        """
        @helix_task
        def listed(n):
            ran("listed")
            return list(range(n))

        @helix_task
        def extended(items):
            ran("extended")
            items.append(MORE)
            return len(items)

        @helix_task
        def total(items):
            ran("total")
            return sum(items)

        @helix_flow
        def main():
            items = listed(3)
            return [extended(items), total(items)]

        MORE = 10
        """,
        edit=("MORE = 10", "MORE = 20"),
        ran=("listed extended total", "extended", "extended total"),
        says=("extended",),
    ),
    Feature(
        "a result that is another each time",
        """
        import random

        @helix_task
        def drawn():
            ran("drawn")
            return random.SystemRandom().random()

        @helix_task
        def double(x):
            ran("double")
            return FACTOR * x

        @helix_flow
        def main():
            x = drawn()
            return double(x) == FACTOR * x

        FACTOR = 2
        """,
        edit=("FACTOR = 2", "FACTOR = 3"),
        ran=("drawn double", "", "double"),
    ),
    Feature(
        "several results in a tuple",
        """
        import pandas as pd

        @helix_task
        def split(rows):
            ran("split")
            frame = pd.DataFrame({"a": range(rows)})
            return frame[: rows // 4], frame[rows // 4 :], {"rows": rows}

        @helix_task
        def total(frame):
            ran("total")
            return int(frame["a"].sum()) + MORE

        @helix_flow
        def main():
            train, test, about = split(40_000)
            return [total(train), total(test), about["rows"]]

        MORE = 0
        """,
        edit=("MORE = 0", "MORE = 1"),
        ran=("split total total", "", "total total"),
    ),
    Feature(
        "arrays, text and bytes",
        """
        import numpy as np

        @helix_task
        def array(n):
            ran("array")
            return np.arange(n)

        @helix_task
        def text(n):
            ran("text")
            return "ä" * n, b"a" * n

        @helix_task
        def sizes(a, parts):
            ran("sizes")
            return [a.nbytes, len(parts[0]), len(parts[1]), MORE]

        @helix_flow
        def main():
            return sizes(array(20_000), text(100_000))

        MORE = 0
        """,
        edit=("MORE = 0", "MORE = 1"),
        ran=("array text sizes", "", "sizes"),
    ),
    Feature(
        "None, booleans and exceptions as results",
        """
        @helix_task
        def nothing(x):
            ran("nothing")
            return None

        @helix_task
        def error(x):
            ran("error")
            return ValueError(x)

        @helix_flow
        def main():
            return [nothing(1) is None, error(X), bool(nothing.submit(2).result())]

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("nothing error nothing", "", "error"),
        says=("nothing",),
    ),
    Feature(
        "models, dataclasses, enumerations and sets",
        """
        from dataclasses import dataclass
        from enum import Enum

        from pydantic import BaseModel

        class Kind(Enum):
            LOW = 1
            HIGH = 2

        class Model(BaseModel):
            x: int

        @dataclass(frozen=True)
        class Pair:
            a: int
            b: Kind

        @helix_task
        def made(x):
            ran("made")
            return Model(x=x), Pair(x, Kind.HIGH), {x, x + 1}, Kind.LOW

        @helix_task
        def joined(model, pair, numbers, kind):
            ran("joined")
            return f"{model.x} {pair.a} {pair.b.name} {sorted(numbers)} {kind is Kind.LOW}"

        @helix_flow
        def main():
            return joined(*made(X))

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("made joined", "", "made joined"),
    ),
    Feature(
        "objects of a class of the project",
        """
        class Model:
            def __init__(self, weights):
                self.weights = weights

            def predict(self, x):
                return self.weights[-1] * x

        @helix_task
        def fit(n):
            ran("fit")
            return Model(list(range(n)))

        @helix_task
        def score(model):
            ran("score")
            return model.predict(2)

        @helix_flow
        def main():
            return score(fit(5))
        """,
        edit=("self.weights[-1] * x", "self.weights[-1] + x"),
        ran=("fit score", "", "fit score"),
    ),
    Feature(
        "functions and classes as arguments",
        """
        def twice(x):
            return 2 * x

        @helix_task
        def applied(function, x):
            ran("applied")
            return function(x)

        @helix_flow
        def main():
            return [applied(twice, 2), applied(str, 2), applied(lambda x: x + 1, 2)]
        """,
        edit=("return 2 * x", "return 3 * x"),
        ran=("applied applied applied", "", "applied"),
    ),
    Feature(
        "a future that a task gives back",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def outer(x):
            ran("outer")
            return double.submit(x).result()

        @helix_flow
        def main():
            return outer(X)

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("outer double", "", "outer double"),
        differs="what a task does that is spared, other tasks that it calls included, is not done",
    ),
    Feature(
        "a file as an argument and as a result",
        """
        from pathlib import Path

        from prefect_helix import File

        @helix_task
        def written(text):
            ran("written")
            path = Path(__file__).with_name("data.txt")
            path.write_text(text)
            return File(path)

        @helix_task
        def read(source):
            ran("read")
            return Path(source).read_text()

        @helix_flow
        def main():
            return read(written(TEXT))

        TEXT = "one"
        """,
        edit=('TEXT = "one"', 'TEXT = "two"'),
        ran=("written read", "", "written read"),
    ),
    Feature(
        "one object in two arguments",
        """
        @helix_task
        def made(n):
            ran("made")
            return [n]

        @helix_task
        def joined(a, b):
            ran("joined")
            return a + b

        @helix_flow
        def main():
            one = made(N)
            return joined(one, one)

        N = 1
        """,
        edit=("N = 1", "N = 2"),
        ran=("made joined", "", "made joined"),
    ),
]
