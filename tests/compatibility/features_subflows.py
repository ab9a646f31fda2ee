"""Flows in flows, flows beside flows, and what flows give back."""

from .feature import Feature

FEATURES = [
    Feature(
        "a subflow is called",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def inner(x):
            return double(x) + 1

        @helix_flow
        def main():
            return double(inner(1))
        """,
        edit=("double(x) + 1", "double(x) + 2"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a subflow takes futures and results of the flow",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def inner(x, y):
            return double(x) + y

        @helix_flow
        def main():
            return inner(double.submit(1), double(3))
        """,
        edit=("double(3)", "double(4)"),
        ran=("double double double", "", "double"),
    ),
    Feature(
        "a subflow takes a large result of the flow",
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
        def inner(frame: pd.DataFrame):
            return [isinstance(frame, pd.DataFrame), total(frame)]

        @helix_flow
        def main():
            return inner(table(ROWS))

        ROWS = 10_000
        """,
        edit=("ROWS = 10_000", "ROWS = 11_000"),
        ran=("table total", "", "table total"),
    ),
    Feature(
        "a subflow reuses what its caller has computed",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_flow
        def inner(rows):
            return len(table(rows))

        @helix_flow
        def main():
            return [len(table(10_000)), inner(ROWS)]

        ROWS = 10_000
        """,
        edit=("ROWS = 10_000", "ROWS = 11_000"),
        ran=("table", "", "table"),
    ),
    Feature(
        "a subflow called in a task",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def inner(x):
            return double(x)

        @helix_task
        def outer(x):
            ran("outer")
            return inner(x) + 1

        @helix_flow
        def main():
            return outer(1)
        """,
        edit=("inner(x) + 1", "inner(x) + 2"),
        ran=("outer double", "", "outer"),
        differs="what a task does that is spared, the flows that it calls included, is not done",
    ),
    Feature(
        "a helix subflow in a plain flow",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def inner(x):
            return double(x)

        @flow
        def main():
            return inner(1) + inner(2)
        """,
        edit=("inner(2)", "inner(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a plain subflow in a helix flow",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @flow
        def inner(x):
            return double(x)

        @helix_flow
        def main():
            return double(inner(1))
        """,
        edit=("inner(1)", "inner(3)"),
        ran=("double double", "", "double double"),
    ),
    Feature(
        "helix tasks in a plain flow",
        """
        ONE = 1

        @helix_task
        def add(x):
            ran("add")
            return x + ONE

        @flow
        def main():
            return add(add.submit(1))
        """,
        edit=("ONE = 1", "ONE = 2"),
        ran=("add add", "", "add add"),
    ),
    Feature(
        "flows share what they have in common",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def one():
            return double(1)

        @helix_flow
        def other():
            return double(1) + 1

        def play(turn):
            return [one(), other()]
        """,
        edit=("double(1) + 1", "double(2) + 1"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow calls itself",
        """
        @helix_task
        def times(x, y):
            ran(f"times{x}")
            return x * y

        @helix_flow
        def factorial(n):
            return 1 if n == 0 else times(n, factorial(n - 1))

        def play(turn):
            return factorial(LAST)

        LAST = 2
        """,
        edit=("LAST = 2", "LAST = 3"),
        ran=("times1 times2", "", "times3"),
    ),
    Feature(
        "a flow is called twice in one process",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def one(x):
            return double(x)

        def play(turn):
            return [one(1), one(1), one(2)]
        """,
        edit=("one(2)", "one(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "two flows run at once in two threads",
        """
        from concurrent.futures import ThreadPoolExecutor
        from contextvars import copy_context

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def one(x):
            return double(double.submit(x))

        def play(turn):
            with ThreadPoolExecutor(2) as threads:
                return [run.result() for run in [threads.submit(copy_context().run, one, x) for x in (1, 5)]]
        """,
        edit=("(1, 5)", "(1, 7)"),
        ran=("double1 double2 double5 double10", "", "double7 double14"),
        concurrent=True,
    ),
    Feature(
        "a subflow that fails is caught",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def inner(x):
            raise ValueError(f"no {double(x)}")

        @helix_flow
        def main():
            state = inner(1, return_state=True)
            try:
                inner(2)
            except ValueError as error:
                return [error, state.is_failed(), double(2)]
        """,
        edit=("inner(1,", "inner(3,"),
        ran=("double double double", "", "double"),
    ),
    Feature(
        "a subflow of a flow that is retried is not run again",
        """
        tries = []

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow(persist_result=True)
        def inner(x):
            ran("inner")
            return double(x)

        @helix_flow(retries=1)
        def main():
            value = inner(1) + inner(2)
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("not yet")
            return value
        """,
        edit=("inner(2)", "inner(3)"),
        ran=("inner double inner double", "inner inner", "inner inner double"),
    ),
    Feature(
        "a flow returns futures",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double.submit(1)

        def play(turn):
            state = main(return_state=True)
            return [main(), state.is_completed(), state.result()]
        """,
        edit=("double.submit(1)", "double.submit(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow returns states",
        """
        @helix_task
        def half(x):
            ran("half")
            if x % 2:
                raise ValueError(f"{x} is odd")
            return x // 2

        @helix_flow
        def main(good):
            return [half(good, return_state=True), half(1, return_state=True)]

        def play(turn):
            state = main(GOOD, return_state=True)
            return [state.type.value, state.message, state.result(raise_on_failure=False)]

        GOOD = 2
        """,
        edit=("GOOD = 2", "GOOD = 4"),
        ran=("half half", "half", "half half"),
    ),
    Feature(
        "a flow returns nothing",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            double(1)
            double.submit(3).wait()
        """,
        edit=("double(1)", "double(2)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a flow returns large objects",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_flow
        def large():
            return {"one": table(ROWS), "two": [table(20_000)]}

        def play(turn):
            made = large()
            return [type(made["one"]) is pd.DataFrame, len(made["one"]), int(made["two"][0]["a"].sum())]

        ROWS = 10_000
        """,
        edit=("ROWS = 10_000", "ROWS = 11_000"),
        ran=("table table", "", "table"),
    ),
    Feature(
        "parameters of a flow are checked and changed by its annotations",
        """
        from pydantic import BaseModel

        class Settings(BaseModel):
            reg: float
            name: str = "a"

        @helix_task
        def fit(settings, n):
            ran("fit")
            return [settings.reg * n, type(n).__name__, settings.name]

        @helix_flow
        def fitted(settings: Settings, n: int):
            return fit(settings, n)

        def play(turn):
            wrong = fitted(settings={"reg": "a"}, n=1, return_state=True)
            return [fitted(settings={"reg": "2"}, n=N), type(wrong.result(raise_on_failure=False)).__name__]

        N = "3"
        """,
        edit=('N = "3"', 'N = "4"'),
        ran=("fit", "", "fit"),
    ),
    Feature(
        "a flow's result is persisted",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_flow(persist_result=True)
        def kept():
            return table(ROWS)

        def play(turn):
            from prefect.client.orchestration import get_client

            state = kept(return_state=True)
            with get_client(sync_client=True) as client:
                recorded = client.read_flow_run(state.state_details.flow_run_id).state.result()
            return [len(recorded), type(recorded).__name__]

        ROWS = 10_000
        """,
        edit=("ROWS = 10_000", "ROWS = 11_000"),
        ran=("table", "", "table"),
    ),
    Feature(
        "a generator flow",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def numbers():
            for x in (1, 2):
                yield double(x)

        def play(turn):
            return list(numbers())
        """,
        edit=("(1, 2)", "(1, 3)"),
        ran=("double double", "", "double"),
    ),
]
