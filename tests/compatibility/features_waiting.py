"""Waiting: what is only waited for, and the functions that take futures."""

from .feature import Feature

FEATURES = [
    Feature(
        "a direct call waits for a future",
        """
        WORD = "a"

        @helix_task
        def first():
            ran("first")
            return WORD

        @helix_task
        def second(x):
            ran("second")
            return x

        @helix_flow
        def main():
            return second(1, wait_for=[first.submit()])
        """,
        edit=('WORD = "a"', 'WORD = "b"'),
        ran=("first second", "", "first second"),
    ),
    Feature(
        "a submitted call waits for futures and states",
        """
        WORD = "a"

        @helix_task
        def first(x):
            ran(f"first{x}")
            return WORD * x

        @helix_task
        def second(x):
            ran("second")
            return x

        @helix_flow
        def main():
            state = first(1, return_state=True)
            return second.submit(1, wait_for=[state, first.submit(2)]).result()
        """,
        edit=("second(x):", "second(x, more=0):"),
        ran=("first1 first2 second", "", "second"),
    ),
    Feature(
        "a map waits for futures",
        """
        @helix_task
        def first(x):
            ran(f"first{x}")
            return x

        @helix_task
        def second(x):
            ran(f"second{x}")
            return x

        @helix_flow
        def main():
            return second.map([1, 2], wait_for=first.map([1, 2])).result()
        """,
        edit=("first.map([1, 2])", "first.map([1, 3])"),
        ran=("first1 first2 second1 second2", "", "first3 second1 second2"),
        concurrent=True,
    ),
    Feature(
        "a chain of calls that wait for one another",
        """
        @helix_task
        def step(x):
            ran(f"step{x}")
            return x

        @helix_flow
        def main():
            future = step.submit(1)
            for n in (2, 3):
                future = step.submit(n, wait_for=[future])
            return future.result()
        """,
        edit=("step.submit(1)", "step.submit(0)"),
        ran=("step1 step2 step3", "", "step0 step2 step3"),
    ),
    Feature(
        "a call waits for a plain task",
        """
        @task
        def plain():
            ran("plain")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return [add(1, wait_for=[plain.submit()]), add.submit(2, wait_for=[plain.submit()]).result()]
        """,
        edit=("x + 1", "x + 2"),
        ran=("plain add plain add", "plain plain", "plain add plain add"),
    ),
    Feature(
        "a plain task waits for a helix task",
        """
        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @task
        def plain(x):
            ran("plain")
            return x

        @helix_flow
        def main():
            return [plain(1, wait_for=[add.submit(1)]), plain.submit(2, wait_for=[add.submit(2)]).result()]
        """,
        edit=("x + 1", "x + 2"),
        ran=("add plain add plain", "plain plain", "add plain add plain"),
    ),
    Feature(
        "what waits for a failed task does not run",
        """
        @helix_task
        def boom():
            ran("boom")
            raise ValueError("no")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            state = add.submit(1, wait_for=[boom.submit()], return_state=True)
            return [state.is_pending(), state.name, add(2)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom add", "boom", "boom add"),
    ),
    Feature(
        "as_completed gives futures as they end",
        """
        from prefect.futures import as_completed

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return sorted(future.result() for future in as_completed([double.submit(n) for n in range(3)]))
        """,
        edit=("range(3)", "range(4)"),
        ran=("double double double", "", "double"),
    ),
    Feature(
        "wait gives those done and those not done",
        """
        from prefect.futures import wait

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            done, not_done = wait([double.submit(n) for n in range(3)])
            return [sorted(future.result() for future in done), len(not_done)]
        """,
        edit=("2 * x", "3 * x"),
        ran=("double double double", "", "double double double"),
    ),
    Feature(
        "futures are resolved to results",
        """
        from prefect.futures import resolve_futures_to_results

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return resolve_futures_to_results({"a": double.submit(1), "b": [double.submit(2)]})
        """,
        edit=("double.submit(2)", "double.submit(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "futures are resolved to states",
        """
        from prefect.futures import resolve_futures_to_states

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            states = resolve_futures_to_states([double.submit(1), double.submit(2)])
            return [(state.is_completed(), state.result()) for state in states]
        """,
        edit=("double.submit(2)", "double.submit(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "futures call back when they are done",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            told, called = threading.Event(), []

            def tell(future):
                called.append(future.task_run_id is not None)
                told.set()

            future = double.submit(1)
            future.add_done_callback(tell)
            future.wait()
            return [told.wait(30), called, future.result()]
        """,
        edit=("2 * x", "3 * x"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a future's state is asked for before anybody waits",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            future = double.submit(1)
            before = future.state.type.value in ("PENDING", "RUNNING", "COMPLETED")
            future.wait()
            state = future.state
            return [before, state.type.value, state.state_details.task_run_id == future.task_run_id]
        """,
        edit=("double.submit(1)", "double.submit(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a future's result is had more than once",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            future = double.submit(1)
            return [future.result(), future.result(timeout=30), future.state.is_completed(), future.wait(timeout=30)]
        """,
        edit=("double.submit(1)", "double.submit(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a list of futures waits for all",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            futures = double.map([1, 2])
            futures.wait()
            return [future.state.type.value for future in futures] + futures.result(timeout=30)
        """,
        edit=("[1, 2]", "[1, 3]"),
        ran=("double double", "", "double"),
    ),
]
