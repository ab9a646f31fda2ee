"""Calls of tasks: direct and submitted ones, their arguments, and what kinds of functions are called."""

from .feature import Feature

FEATURES = [
    Feature(
        "a direct call gives the result",
        """
        FACTOR = 2

        @helix_task
        def double(x):
            ran("double")
            return FACTOR * x

        @helix_task
        def add(x, y):
            ran("add")
            return x + y

        @helix_flow
        def main():
            return add(double(3), 1)
        """,
        edit=("FACTOR = 2", "FACTOR = 3"),
        ran=("double add", "", "double add"),
    ),
    Feature(
        "a submitted call gives a future",
        """
        ONE = 1

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def add(x, y):
            ran("add")
            return x + y + ONE

        @helix_flow
        def main():
            return add.submit(double.submit(3), 1).result()
        """,
        edit=("ONE = 1", "ONE = 2"),
        ran=("double add", "", "add"),
    ),
    Feature(
        "return_state gives a state",
        """
        def one():
            return 1

        @helix_task
        def add(x):
            ran("add")
            return x + one()

        @helix_flow
        def main():
            called, submitted = add(3, return_state=True), add.submit(4, return_state=True)
            return [called.is_completed(), called.result(), submitted.is_completed(), submitted.result(), add(called)]
        """,
        edit=("return 1", "return 2"),
        ran=("add add add", "", "add add add"),
    ),
    Feature(
        "default arguments are filled in",
        """
        @helix_task
        def power(base, exponent=2):
            ran("power")
            return base**exponent

        @helix_flow
        def main():
            return [power(3), power(3, 2), power(base=3, exponent=2), power(exponent=3, base=3)]
        """,
        edit=("exponent=2):", "exponent=4):"),
        ran=("power power", "", "power power power"),
    ),
    Feature(
        "positional-only and keyword-only arguments",
        """
        @helix_task
        def between(low, /, x, *, high):
            ran("between")
            return low < x < high

        @helix_flow
        def main():
            return [between(1, 2, high=3), between.submit(1, x=4, high=3).result()]
        """,
        edit=("low < x < high", "low <= x <= high"),
        ran=("between between", "", "between between"),
    ),
    Feature(
        "any number of arguments",
        """
        @helix_task
        def total(*numbers, **named):
            ran("total")
            return sum(numbers) + sum(named.values())

        @helix_flow
        def main():
            return [total(1, 2), total(1, a=2, b=3), total(*[total.submit(1, 2)], c=total(1))]
        """,
        edit=("total(1, a=2, b=3)", "total(1, a=2, b=4)"),
        ran=("total total total total", "", "total"),
    ),
    Feature(
        "a call with wrong arguments fails as in Python",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        def tried(call):
            try:
                return call()
            except Exception as error:
                return error

        @helix_flow
        def main():
            return [double(1), tried(lambda: double()), tried(lambda: double.submit(1, 2)), tried(lambda: double(y=1))]
        """,
        edit=("2 * x", "3 * x"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a method is a task",
        """
        class Model:
            def __init__(self, factor):
                self.factor = factor

            @helix_task
            def predict(self, x):
                ran("predict")
                return self.factor * x

        @helix_flow
        def main():
            return [Model(2).predict(1), Model(3).predict.submit(5).result()]
        """,
        edit=("Model(3)", "Model(4)"),
        ran=("predict predict", "", "predict"),
    ),
    Feature(
        "static methods and class methods are tasks",
        """
        class Scaled:
            factor = 2

            @staticmethod
            @helix_task
            def one(x):
                ran("one")
                return x + 1

            @classmethod
            @helix_task
            def all(cls, x):
                ran("all")
                return cls.factor * x

        @helix_flow
        def main():
            return [Scaled.one(1), Scaled.all(2), Scaled.all.submit(3).result()]
        """,
        edit=("factor = 2", "factor = 3"),
        ran=("one all all", "", "all all"),
    ),
    Feature(
        "with_options of a class method or a static method is one",
        """
        class Scaled:
            factor = 2

            @staticmethod
            @helix_task
            def one(x):
                ran("one")
                return x + 1

            @classmethod
            @helix_task
            def all(cls, x):
                ran("all")
                return cls.factor * x

        @helix_flow
        def main():
            one, all = Scaled.one.with_options(name="next one"), Scaled.all.with_options(retries=1)
            return [one(1), all(2), one.name, all.retries]
        """,
        edit=("factor = 2", "factor = 3"),
        ran=("one all", "", "all"),
    ),
    Feature(
        "a task called in another task runs with it",
        """
        @helix_task
        def inner(x):
            ran("inner")
            return x + 1

        @helix_task
        def outer(x):
            ran("outer")
            return 10 * inner(x)

        @helix_flow
        def main():
            return [outer(1), inner(1)]
        """,
        edit=("10 * inner", "20 * inner"),
        ran=("outer inner inner", "", "outer inner"),
        differs="what a task does that is spared, other tasks that it calls included, is not done",
    ),
    Feature(
        "a task called outside of a flow is a plain task",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        def play(turn):
            return [double(2), double.fn(3), double(4, return_state=True), double.with_options(retries=1)(5)]
        """,
        edit=("2 * x", "3 * x"),
        ran=("double double double double", "double double double double", "double double double double"),
    ),
    Feature(
        "futures in nested containers",
        """
        @helix_task
        def made(x):
            ran("made")
            return x + 1

        @helix_task
        def count(parts):
            ran("count")
            return [sorted(parts["deep"]), parts["tuple"][0], parts["state"]]

        @helix_flow
        def main():
            one, two, three = made.submit(1), made.submit(2), made(3, return_state=True)
            return count({"deep": [one, two], "tuple": (one,), "state": three})
        """,
        edit=("made.submit(2)", "made.submit(9)"),
        ran=("made made made count", "", "made count"),
        concurrent=True,
    ),
    Feature(
        "futures of plain tasks given to helix tasks",
        """
        @task
        def plain(x):
            ran("plain")
            return x

        @helix_task
        def add(x, y=1):
            ran("add")
            return x + y

        @helix_flow
        def main():
            future = plain.submit(3)
            state = plain(4, return_state=True)
            return [add(future), add.submit(state).result(), add([future], [plain.submit(5)])]
        """,
        edit=("y=1", "y=2"),
        ran=("plain plain add add plain add", "plain plain plain", "plain plain add add plain add"),
        concurrent=True,
    ),
    Feature(
        "futures of helix tasks given to plain tasks",
        """
        @helix_task
        def add(x, y=1):
            ran("add")
            return x + y

        @task
        def plain(x):
            ran("plain")
            return x

        @helix_flow
        def main():
            future = add.submit(3)
            return [plain(future), plain.submit([future]).result(), plain.submit(add(4, return_state=True)).result()]
        """,
        edit=("y=1", "y=2"),
        ran=("add plain plain add plain", "plain plain plain", "add plain plain add plain"),
        concurrent=True,
    ),
    Feature(
        "results of helix tasks given to plain tasks",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_task
        def named(x, y=1):
            ran("named")
            return [[f"{x}{i}" for i in range(y)], f"one of {x}"]

        @task
        def plain(x):
            ran("plain")
            return len(x)

        @helix_flow
        def main():
            frame, part = table(10_000), named(1)
            state, future = named(2, return_state=True), named.submit(3)
            return [plain(frame), plain(part), plain(part[0]), plain(state.result()), plain(future.result())]
        """,
        edit=("y=1", "y=2"),
        ran=(
            "table named named named plain plain plain plain plain",
            "plain plain plain plain plain",
            "named named named plain plain plain plain plain",
        ),
        concurrent=True,
    ),
    Feature(
        "what is quoted is not looked into",
        """
        from prefect.utilities.annotations import quote

        @helix_task
        def made(x):
            ran("made")
            return x

        @helix_task
        def kinds(parts):
            ran("kinds")
            return [isinstance(part, int) for part in parts]

        @helix_flow
        def main():
            return [kinds(quote([1, 2])), kinds.submit(quote([made(1), "a"])).result()]
        """,
        edit=("[1, 2]", "[1, 'b']"),
        ran=("kinds made kinds", "", "kinds"),
    ),
    Feature(
        "what is opaque is taken as it is",
        """
        from prefect.utilities.annotations import opaque

        @helix_task
        def total(parts):
            ran("total")
            return sum(parts)

        @helix_flow
        def main():
            return [total(opaque([1, 2])), total.submit(opaque((3, 4))).result()]
        """,
        edit=("(3, 4)", "(3, 5)"),
        ran=("total total", "", "total"),
    ),
    Feature(
        "with_options makes another task of the same function",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        again = double.with_options(name="twice", retries=1, tags=["a"])

        @helix_flow
        def main():
            return [double(2), again(3), again.name, again.retries, double.retries]
        """,
        edit=("again(3)", "again(4)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a delayed call is left to task workers",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            future = double.delay(double(1))
            return [type(future).__name__, future.state.type.value]
        """,
        edit=("2 * x", "3 * x"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a generator task is a plain task",
        """
        END = 3

        @helix_task
        def numbers():
            ran("numbers")
            yield from range(END)

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return [double(x) for x in list(numbers())]
        """,
        edit=("END = 3", "END = 4"),
        ran=("numbers double double double", "numbers", "numbers double"),
    ),
    Feature(
        "what is called between the steps of a generator task is planned",
        """
        END = 3

        @helix_task
        def numbers():
            ran("numbers")
            yield from range(END)

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return [double(x) for x in numbers()]
        """,
        edit=("END = 3", "END = 2"),
        ran=("numbers double double double", "numbers", "numbers"),
    ),
    Feature(
        "a callable object and a partial are tasks",
        """
        import functools

        class Times:
            __name__ = "times"

            def __init__(self, factor):
                self.factor = factor

            def __call__(self, x):
                ran("times")
                return self.factor * x

        times = helix_task(Times(3), name="times")

        @helix_flow
        def main():
            return times(2)
        """,
        edit=("Times(3)", "Times(4)"),
        ran=("times", "", "times"),
    ),
]
