"""What a flow's body does with results, and what happens where tasks and flows do not end well."""

from .feature import Feature

FEATURES = [
    Feature(
        "branches on results",
        """
        @helix_task
        def even(x):
            ran("even")
            return x % 2 == 0

        @helix_task
        def half(x):
            ran("half")
            return x // 2

        @helix_task
        def triple(x):
            ran("triple")
            return 3 * x

        @helix_flow
        def main():
            return half(X) if even(X) else triple(X)

        X = 4
        """,
        edit=("X = 4", "X = 5"),
        ran=("even half", "", "even triple"),
    ),
    Feature(
        "loops until a result is reached",
        """
        @helix_task
        def halved(x):
            ran(f"halved{x}")
            return x // 2

        @helix_flow
        def main():
            x, steps = 8, 0
            while x > END:
                x, steps = halved(x), steps + 1
            return steps

        END = 2
        """,
        edit=("END = 2", "END = 1"),
        ran=("halved8 halved4", "", "halved2"),
    ),
    Feature(
        "an early return",
        """
        @helix_task
        def found(x):
            ran(f"found{x}")
            return x == WANTED

        @helix_flow
        def main():
            for x in range(3):
                if found(x):
                    return x
            return None

        WANTED = 1
        """,
        edit=("WANTED = 1", "WANTED = 0"),
        ran=("found0 found1", "", "found0"),
    ),
    Feature(
        "results in comprehensions, formats and comparisons",
        """
        @helix_task
        def listed(n):
            ran("listed")
            return [{"n": i} for i in range(n)]

        @helix_flow
        def main():
            rows = listed(N)
            match rows[0]:
                case {"n": first}:
                    return [f"{first} of {len(rows)}", [row["n"] for row in rows if row["n"] > 0], rows == listed(N)]

        N = 3
        """,
        edit=("N = 3", "N = 4"),
        ran=("listed", "", "listed"),
    ),
    Feature(
        "a task that fails makes the flow fail",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def boom(x):
            ran("boom")
            raise ValueError(f"no {x}")

        @helix_flow
        def main():
            return boom(double(1))
        """,
        edit=("double(1)", "double(2)"),
        ran=("double boom", "boom", "double boom"),
    ),
    Feature(
        "an exception is caught in the flow",
        """
        class OwnError(Exception):
            def __init__(self, code):
                super().__init__(f"code {code}")
                self.code = code

        @helix_task
        def boom(x):
            ran("boom")
            raise OwnError(x)

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            try:
                boom(7)
            except OwnError as error:
                return double(error.code)
        """,
        edit=("boom(7)", "boom(8)"),
        ran=("boom double", "boom", "boom double"),
    ),
    Feature(
        "a failure is allowed",
        """
        from prefect import allow_failure

        @helix_task
        def boom(x):
            ran("boom")
            raise ValueError(f"no {x}")

        @helix_task
        def told(error):
            ran("told")
            return f"{type(error).__name__}: {error}"

        @helix_flow
        def main():
            return [told(allow_failure(boom.submit(X))), told.submit(allow_failure(boom.submit(X))).result()]

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("boom told boom", "boom boom", "boom told boom"),
    ),
    Feature(
        "a failure that does not come again",
        """
        import os

        from prefect import allow_failure

        @helix_task
        def loaded():
            ran("loaded")
            if os.environ.get("COMPATIBILITY_FAILS"):
                raise OSError("not there")
            return 3

        @helix_task
        def told(found):
            ran("told")
            return str(found)

        @helix_flow
        def main():
            return told(allow_failure(loaded.submit()))

        def play(turn):
            os.environ["COMPATIBILITY_FAILS"] = "" if turn == "edited" else "yes"
            return main()

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("loaded told", "loaded", "loaded told"),
        says=("loaded() uses os.environ",),
    ),
    Feature(
        "a task that takes a failed one does not run",
        """
        @helix_task
        def boom(x):
            ran("boom")
            raise ValueError(f"no {x}")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            state = add.submit(boom.submit(1), return_state=True)
            called = add(boom.submit(2), return_state=True)
            return [state.type.value, state.name, called.type.value, called.name, add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom boom add", "boom boom", "boom boom add"),
    ),
    Feature(
        "a failed future that nobody looks at does not fail the flow",
        """
        @helix_task
        def boom(x):
            ran("boom")
            raise ValueError(f"no {x}")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            boom.submit(1).wait()
            return add(1)
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom add", "boom", "boom add"),
    ),
    Feature(
        "the flow fails and what was computed is kept",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            value = double(double.submit(1))
            raise RuntimeError(f"{value} {WORD}")

        WORD = "a"
        """,
        edit=('WORD = "a"', 'WORD = "b"'),
        ran=("double double", "", ""),
    ),
    Feature(
        "a task that crashes",
        """
        class Gone(BaseException):
            pass

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def gone(x):
            ran("gone")
            raise Gone(f"at {x}")

        @helix_flow
        def main():
            return gone(double(1))
        """,
        edit=("double(1)", "double(2)"),
        ran=("double gone", "gone", "double gone"),
    ),
    Feature(
        "a flow that crashes",
        """
        class Gone(BaseException):
            pass

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            double(1)
            raise Gone("far")
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a task that gives back a state",
        """
        from prefect.states import Cancelled, Completed, Failed

        @helix_task
        def stated(state):
            ran("stated")
            return state(message="as it is")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            states = [stated(kind, return_state=True) for kind in (Completed, Failed, Cancelled)]
            return [[(state.type.value, state.message) for state in states], add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("stated stated stated add", "stated stated stated", "stated stated stated add"),
        says=("stated",),
    ),
    Feature(
        "a flow that gives back a cancelled state",
        """
        from prefect.states import Cancelled

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return Cancelled(message=f"after {double(1)}")
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow run that is aborted",
        """
        from prefect.exceptions import Abort

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            double(1)
            raise Abort("enough")
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow run that is paused and resumed",
        """
        from prefect.client.orchestration import get_client
        from prefect.flow_runs import pause_flow_run, resume_flow_run
        from prefect.runtime import flow_run

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        def resume(flow_run_id):
            with get_client(sync_client=True) as client:
                while not client.read_flow_run(flow_run_id).state.is_paused():
                    threading.Event().wait(0.05)
                client.resume_flow_run(flow_run_id)

        @helix_flow
        def main():
            one = double(1)
            threading.Thread(target=resume, args=(flow_run.id,)).start()
            pause_flow_run(timeout=240, poll_interval=1)
            return one + double(2)
        """,
        edit=("double(2)", "double(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a flow run without a deployment cannot be suspended",
        """
        from prefect.flow_runs import suspend_flow_run

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            double(1)
            suspend_flow_run()
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a task that raises one of Prefect's own exceptions",
        """
        from prefect.exceptions import MissingResult

        @helix_task
        def missing(x):
            ran("missing")
            raise MissingResult(f"no result {x}")

        @helix_flow
        def main():
            return missing(1)
        """,
        edit=("missing(1)", "missing(2)"),
        ran=("missing", "missing", "missing"),
    ),
    Feature(
        "groups of exceptions and causes",
        """
        @helix_task
        def boom(x):
            ran("boom")
            try:
                raise KeyError(x)
            except KeyError as error:
                raise ValueError("outer") from error

        @helix_flow
        def main():
            try:
                boom(1)
            except ValueError as error:
                return [error, error.__cause__]
        """,
        edit=("boom(1)", "boom(2)"),
        ran=("boom", "boom", "boom"),
    ),
]
