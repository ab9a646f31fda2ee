"""Options of tasks and flows."""

from .feature import Feature

FEATURES = [
    Feature(
        "a task is retried until it works",
        """
        tries = []

        @helix_task(retries=2, retry_delay_seconds=0)
        def flaky():
            ran("flaky")
            tries.append(1)
            if len(tries) < 3:
                raise ValueError("not yet")
            return WORD

        @helix_flow
        def main():
            return flaky()

        WORD = "well"
        """,
        edit=('WORD = "well"', 'WORD = "very well"'),
        ran=("flaky flaky flaky", "", "flaky flaky flaky"),
        says=("tries",),
    ),
    Feature(
        "a task is retried with delays of its own",
        """
        from prefect.tasks import exponential_backoff

        @helix_task(retries=2, retry_delay_seconds=[0, 0], retry_jitter_factor=0.1)
        def boom():
            ran("boom")
            raise ValueError("no")

        @helix_task(retries=1, retry_delay_seconds=exponential_backoff(0))
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return [boom.submit(return_state=True).is_failed(), add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom boom boom add", "boom boom boom", "boom boom boom add"),
    ),
    Feature(
        "a condition says whether a task is retried",
        """
        def is_value_error(task, task_run, state):
            return isinstance(state.result(raise_on_failure=False), ValueError)

        @helix_task(retries=1, retry_condition_fn=is_value_error)
        def boom(error):
            ran("boom")
            raise error("no")

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return [boom(ValueError, return_state=True).name, boom(TypeError, return_state=True).name, add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("boom boom boom add", "boom boom boom", "boom boom boom add"),
    ),
    Feature(
        "a task that takes too long fails",
        """
        @helix_task(timeout_seconds=0.1)
        def stuck():
            ran("stuck")
            threading.Event().wait(0.5)

        @helix_task(timeout_seconds=60)
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            state = stuck(return_state=True)
            return [state.type.value, state.name, add(1)]
        """,
        edit=("x + 1", "x + 2"),
        ran=("stuck add", "stuck", "stuck add"),
    ),
    Feature(
        "tags of tasks and of a block",
        """
        @helix_task(tags=["a"])
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            with prefect.tags("b"):
                one = double(1)
            return one + double.with_options(tags=["c"])(2)
        """,
        edit=("double(1)", "double(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a spared task takes no slot of its tag's limit",
        """
        from contextlib import nullcontext

        from prefect.client.orchestration import get_client
        from prefect.concurrency.sync import concurrency

        @helix_task(tags=["compatibility-slot"])
        def double(x):
            ran("double")
            return 2 * x

        @task
        def last():
            ran("last")
            return WORD

        @helix_flow
        def main():
            return [double(double.submit(1)), last()]

        def play(turn):
            with get_client(sync_client=True) as client:
                client.create_concurrency_limit(tag="compatibility-slot", concurrency_limit=1)
            try:
                taken = type(double).__name__ == "HelixTask" and turn != "fresh"
                with concurrency("tag:compatibility-slot", timeout_seconds=240) if taken else nullcontext():
                    return main()
            finally:
                with get_client(sync_client=True) as client:
                    client.delete_concurrency_limit_by_tag("compatibility-slot")

        WORD = "a"
        """,
        edit=('WORD = "a"', 'WORD = "b"'),
        ran=("double double last", "last", "last"),
    ),
    Feature(
        "names of task runs from a template",
        """
        @helix_task(task_run_name="{x} by {factor}")
        def times(x, factor=2):
            ran("times")
            return factor * x

        @helix_flow
        def main():
            return [times(1), times.submit(times.submit(2)).result(), *times.map([5]).result()]
        """,
        edit=("times(1)", "times(3)"),
        ran=("times times times times", "", "times"),
    ),
    Feature(
        "names of task runs with annotated arguments",
        """
        from prefect import allow_failure
        from prefect.utilities.annotations import opaque, quote

        @helix_task(task_run_name="{x} by {factor}")
        def times(x, factor=2):
            ran("times")
            return factor * x

        @helix_flow
        def main():
            return [times(opaque(1)), times.submit(allow_failure(times.submit(2))).result(), times(quote(5))]
        """,
        edit=("quote(5)", "quote(6)"),
        ran=("times times times times", "", "times"),
    ),
    Feature(
        "names of task runs from a function",
        """
        def named():
            from prefect.runtime import task_run

            return f"run of {task_run.task_name} with {task_run.parameters['x']}"

        @helix_task(task_run_name=named)
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("double(1)", "double(3)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a task and a flow with names and descriptions",
        """
        @helix_task(name="to double", description="Doubles.", version="7")
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow(name="named flow", description="Runs.", version="3", flow_run_name="run {x}")
        def one(x):
            return double(x)

        def play(turn):
            return [one(X), double.name, double.version, one.name, one.version]

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a task's version is a label",
        """
        @helix_task(version="1")
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return [double(1), double.version]
        """,
        edit=('version="1"', 'version="2"'),
        ran=("double", "", ""),
    ),
    Feature(
        "hooks of a task that computes",
        """
        def told(name):
            def hook(task, task_run, state):
                ran(f"{name}:{state.type.value}")

            return hook

        @helix_task(on_completion=[told("completed")], on_failure=[told("failed")], on_running=[told("running")])
        def half(x):
            if x % 2:
                raise ValueError("odd")
            ran("half")
            return x // 2

        @helix_flow
        def main():
            return [half(2), half(1, return_state=True).is_failed()]
        """,
        edit=("half(2)", "half(4)"),
        ran=(
            "running:RUNNING half completed:COMPLETED running:RUNNING failed:FAILED",
            "running:RUNNING failed:FAILED",
            "running:RUNNING half completed:COMPLETED running:RUNNING failed:FAILED",
        ),
    ),
    Feature(
        "hooks added to a task and to a flow",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @double.on_completion
        def done(task, task_run, state):
            ran("done")

        @helix_flow
        def main():
            return double(1)

        @main.on_completion
        def flow_done(flow, flow_run, state):
            ran(f"flow:{state.type.value}")

        @main.on_running
        def flow_runs(flow, flow_run, state):
            ran("flow")
        """,
        edit=("double(1)", "double(2)"),
        ran=("flow double done flow:COMPLETED", "flow flow:COMPLETED", "flow double done flow:COMPLETED"),
    ),
    Feature(
        "a transaction is committed",
        """
        from prefect.transactions import transaction

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @double.on_commit
        def commit(txn):
            ran("commit")

        @helix_flow
        def main():
            with transaction():
                value = double(1)
            return value
        """,
        edit=("double(1)", "double(2)"),
        ran=("double commit", "", "double commit"),
    ),
    Feature(
        "a transaction is rolled back",
        """
        from prefect.transactions import transaction

        @task
        def written(x):
            ran("written")
            return x

        @written.on_rollback
        def undo(txn):
            ran("undo")

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @double.on_rollback
        def undone(txn):
            ran("undone")

        @helix_flow
        def main():
            try:
                with transaction():
                    written(double(1))
                    raise ValueError("no")
            except ValueError as error:
                return error
        """,
        edit=("double(1)", "double(2)"),
        ran=("double written undo undone", "written undo", "double written undo undone"),
        differs="what was not done is not rolled back",
    ),
    Feature(
        "prints are logged",
        """
        @helix_task(log_prints=True)
        def double(x):
            ran("double")
            print("computing", x)
            return 2 * x

        @helix_flow(log_prints=True)
        def main():
            logs = []

            class Kept(logging.Handler):
                def emit(self, record):
                    logs.append(record.getMessage())

            handler = Kept()
            log = logging.getLogger("prefect.task_runs")
            level = log.level
            log.setLevel(logging.INFO)
            log.addHandler(handler)
            double(1)
            log.removeHandler(handler)
            log.setLevel(level)
            ran(f"{logs.count('computing 1') + logs.count('computing 2')}")
            return 1
        """,
        edit=("double(1)", "double(2)"),
        ran=("double 1", "0", "double 1"),
    ),
    Feature(
        "an asset is materialized by a plain task",
        """
        from prefect.assets import materialize

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @materialize("file:///compatibility/asset")
        def written(x):
            ran("written")
            return x

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return add(written(double(1)))
        """,
        edit=("x + 1", "x + 2"),
        ran=("double written add", "written", "written add"),
    ),
    Feature(
        "asset_deps of a task",
        """
        from prefect.assets import materialize

        @helix_task(asset_deps=["file:///compatibility/source"])
        def double(x):
            ran("double")
            return 2 * x

        @materialize("file:///compatibility/target")
        def written(x):
            ran("written")
            return x

        @helix_flow
        def main():
            return written(double(1))
        """,
        edit=("double(1)", "double(2)"),
        ran=("double written", "written", "double written"),
    ),
    Feature(
        "a task keeps its options through with_options",
        """
        @helix_task(retries=1, tags=["a"], task_run_name="the {x}", timeout_seconds=30)
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            again = double.with_options(retries=3)
            return [again(1), again.retries, sorted(again.tags), again.task_run_name, again.timeout_seconds]
        """,
        edit=("again(1)", "again(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow that takes too long fails",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow(timeout_seconds=3)
        def main():
            double(1)
            threading.Event().wait(3.5)

        def play(turn):
            state = main(return_state=True)
            return [state.type.value, state.name]
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a flow is retried and its second attempt reuses what the first computed",
        """
        tries = []

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow(retries=1)
        def main():
            value = double(double.submit(1))
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("not yet")
            return value
        """,
        edit=("2 * x", "3 * x"),
        ran=("double double", "", "double double"),
    ),
    Feature(
        "hooks of a flow that fails",
        """
        def told(flow, flow_run, state):
            ran(f"flow:{state.type.value}")

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow(on_failure=[told], on_running=[told], on_completion=[told])
        def main():
            raise ValueError(f"no {double(1)}")
        """,
        edit=("double(1)", "double(2)"),
        ran=("flow:RUNNING double flow:FAILED", "flow:RUNNING flow:FAILED", "flow:RUNNING double flow:FAILED"),
    ),
]
