"""What a task's body can ask and tell Prefect while it runs."""

from .feature import Feature

FEATURES = [
    Feature(
        "the run logger",
        """
        from prefect import get_run_logger

        @helix_task
        def double(x):
            ran("double")
            get_run_logger().info("doubling")
            return 2 * x

        @helix_flow
        def main():
            get_run_logger().info("running")
            return double(1)
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a task that asks for its own run",
        """
        from prefect.runtime import task_run

        @helix_task(task_run_name="run of {x}", tags=["a"])
        def asked(x, more):
            ran("asked")
            return [task_run.name, task_run.task_name, task_run.tags, task_run.parameters, task_run.run_count]

        @helix_task
        def made(x):
            ran("made")
            return x

        @helix_flow
        def main():
            name, task_name, tags, parameters, count = asked(X, made.submit(2))
            return [name, task_name, [tag for tag in tags if len(tag) == 1], parameters, count]

        X = 1
        """,
        edit=("X = 1", "X = 3"),
        ran=("made asked", "", "asked"),
    ),
    Feature(
        "the flow asks for its own run",
        """
        from prefect.runtime import flow_run

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def asked(x):
            return [flow_run.flow_name, flow_run.parameters, double(flow_run.parameters["x"])]

        def play(turn):
            return asked(X)

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("double", "", "double"),
    ),
    Feature(
        "the context of the run",
        """
        from prefect.context import FlowRunContext, TaskRunContext, get_run_context

        @helix_task
        def asked(x):
            ran("asked")
            context = TaskRunContext.get()
            names = [FlowRunContext.get().flow.name, type(get_run_context()).__name__]
            return [context.task.name, context.parameters, *names]

        @helix_flow
        def main():
            return [asked(X), type(get_run_context()).__name__]

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("asked", "", "asked"),
    ),
    Feature(
        "artifacts made in a task that computes",
        """
        from prefect.artifacts import Artifact, create_markdown_artifact

        @helix_task
        def double(x):
            ran("double")
            create_markdown_artifact(f"# {x}", key="compatibility-doubled")
            return 2 * x

        @helix_flow
        def main():
            return [double(X), Artifact.get("compatibility-doubled").data]

        X = 1
        """,
        edit=("X = 1", "X = 2"),
        ran=("double", "", "double"),
    ),
    Feature(
        "variables are read in the flow and given to tasks",
        """
        from prefect.variables import Variable

        @helix_task
        def double(x):
            ran("double")
            return 2 * int(x)

        @helix_flow
        def main():
            return double(Variable.get("compatibility"))

        def play(turn):
            Variable.set("compatibility", VALUE, overwrite=True)
            return main()

        VALUE = "1"
        """,
        edit=('VALUE = "1"', 'VALUE = "2"'),
        ran=("double", "", "double"),
    ),
    Feature(
        "context variables of the flow are seen in tasks",
        """
        from contextvars import ContextVar

        seen = ContextVar("seen")

        @helix_task
        def add(x):
            ran("add")
            return x + int(seen.get("0") != "0")

        @helix_flow
        def main():
            seen.set("1")
            return [add(1), add.submit(X).result()]

        X = 2
        """,
        edit=("X = 2", "X = 3"),
        ran=("add add", "", "add"),
    ),
    Feature(
        "events are emitted in tasks that compute",
        """
        from prefect.events import emit_event

        @helix_task
        def double(x):
            ran("double")
            emit_event("compatibility.doubled", resource={"prefect.resource.id": "compatibility.doubled"})
            return 2 * x

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "blocks are given to tasks",
        """
        from prefect.blocks.system import Secret

        @helix_task
        def length(secret):
            ran("length")
            return len(secret.get())

        @helix_flow
        def main():
            return length(Secret(value=WORD))

        WORD = "abc"
        """,
        edit=('WORD = "abc"', 'WORD = "abcd"'),
        ran=("length", "", "length"),
    ),
    Feature(
        "a context manager of the flow's body",
        """
        from prefect.concurrency.sync import concurrency

        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            with prefect.tags("a"), concurrency("compatibility-none", occupy=1):
                return double.submit(double(1)).result()
        """,
        edit=("double(1)", "double(3)"),
        ran=("double double", "", "double double"),
    ),
]
