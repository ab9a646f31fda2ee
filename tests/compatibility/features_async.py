"""Async tasks and flows."""

from .feature import Feature

FEATURES = [
    Feature(
        "an async task is awaited in an async flow",
        """
        ONE = 1

        @helix_task
        async def add(x):
            await asyncio.sleep(0)
            ran("add")
            return x + ONE

        @helix_flow
        async def main():
            return await add(await add(1))
        """,
        edit=("ONE = 1", "ONE = 2"),
        ran=("add add", "", "add add"),
    ),
    Feature(
        "async tasks are gathered",
        """
        @helix_task
        async def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        async def main():
            return await asyncio.gather(*[double(x) for x in (1, 2, 3)])
        """,
        edit=("(1, 2, 3)", "(1, 5, 3)"),
        ran=("double1 double2 double3", "", "double5"),
        concurrent=True,
    ),
    Feature(
        "async tasks run in a task group of Python's own",
        """
        @helix_task
        async def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        async def main():
            made = [asyncio.create_task(double(x)) for x in (1, 2)]
            done, _ = await asyncio.wait(made)
            return sorted(one.result() for one in done)
        """,
        edit=("(1, 2)", "(1, 5)"),
        ran=("double1 double2", "", "double5"),
        concurrent=True,
    ),
    Feature(
        "sync tasks are called in an async flow",
        """
        @helix_task
        def add(x, y=1):
            ran("add")
            return x + y

        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        async def main():
            return await double(add(1))
        """,
        edit=("y=1", "y=2"),
        ran=("add double", "", "add double"),
    ),
    Feature(
        "async tasks are submitted in an async flow",
        """
        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def add(x, y):
            ran("add")
            return x + y

        @helix_flow
        async def main():
            return add.submit(double.submit(1), 1).result()
        """,
        edit=("2 * x", "3 * x"),
        ran=("double add", "", "double add"),
    ),
    Feature(
        "large results of async tasks",
        """
        import pandas as pd

        @helix_task
        async def table(rows):
            ran("table")
            return pd.DataFrame({"a": range(rows)})

        @helix_task
        async def total(frame):
            ran("total")
            return int(frame["a"].sum()) + MORE

        @helix_flow
        async def main():
            frame = await table(10_000)
            return [await total(frame), total.submit(await table(11_000)).result(), len(frame)]

        MORE = 0
        """,
        edit=("MORE = 0", "MORE = 1"),
        ran=("table total table total", "", "total total"),
    ),
    Feature(
        "async tasks are submitted in a sync flow",
        """
        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double.submit(double.submit(1)).result()
        """,
        edit=("double.submit(1)", "double.submit(3)"),
        ran=("double double", "", "double double"),
    ),
    Feature(
        "async tasks are mapped",
        """
        @helix_task
        async def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        async def main():
            return double.map([1, 2]).result()
        """,
        edit=("[1, 2]", "[1, 3]"),
        ran=("double1 double2", "", "double3"),
        concurrent=True,
    ),
    Feature(
        "an async task gives a state",
        """
        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        async def main():
            state = await double(1, return_state=True)
            return [state.is_completed(), await state.aresult(), await double(state)]
        """,
        edit=("double(1,", "double(3,"),
        ran=("double double", "", "double double"),
    ),
    Feature(
        "an async task that fails is caught",
        """
        @helix_task
        async def boom(x):
            ran("boom")
            raise ValueError(f"no {x}")

        @helix_task
        async def add(x):
            ran("add")
            return x + 1

        @helix_flow
        async def main():
            try:
                await boom(1)
            except ValueError as error:
                return [error, await add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom add", "boom", "boom add"),
    ),
    Feature(
        "an async task waits for futures",
        """
        @helix_task
        def first(x):
            ran("first")
            return x

        @helix_task
        async def second(x):
            ran("second")
            return x

        @helix_flow
        async def main():
            return await second(1, wait_for=[first.submit(1)])
        """,
        edit=("first.submit(1)", "first.submit(2)"),
        ran=("first second", "", "first second"),
    ),
    Feature(
        "an async task is retried",
        """
        tries = []

        @helix_task(retries=2)
        async def flaky():
            ran("flaky")
            tries.append(1)
            if len(tries) < 3:
                raise ValueError("not yet")
            return "well"

        @helix_flow
        async def main():
            return await flaky()
        """,
        edit=('"well"', '"very well"'),
        ran=("flaky flaky flaky", "", "flaky flaky flaky"),
        says=("tries",),
    ),
    Feature(
        "an async generator task is a plain task",
        """
        END = 2

        @helix_task
        async def numbers():
            ran("numbers")
            for n in range(END):
                yield n

        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        async def main():
            return [await double(n) for n in [n async for n in numbers()]]
        """,
        edit=("END = 2", "END = 3"),
        ran=("numbers double double", "numbers", "numbers double"),
    ),
    Feature(
        "async subflows",
        """
        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        async def inner(x):
            return await double(x)

        @helix_flow
        async def main():
            return await inner(1) + await inner(2)
        """,
        edit=("inner(2)", "inner(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "two flows are gathered",
        """
        @helix_task
        async def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        async def one(x):
            return await double(x)

        async def play(turn):
            return await asyncio.gather(one(1), one(2))
        """,
        edit=("one(2)", "one(3)"),
        ran=("double1 double2", "", "double3"),
        concurrent=True,
    ),
    Feature(
        "an async task called in a sync flow gives a coroutine",
        """
        @helix_task
        async def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return asyncio.run(double(1))
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "an async method is a task",
        """
        class Model:
            def __init__(self, factor):
                self.factor = factor

            @helix_task
            async def predict(self, x):
                ran("predict")
                return self.factor * x

        @helix_flow
        async def main():
            return [await Model(2).predict(1), await Model(3).predict(1)]
        """,
        edit=("Model(3)", "Model(4)"),
        ran=("predict predict", "", "predict"),
    ),
]
