"""One flow run with its session and its engine: calls of helix tasks come in, and it is told when it ends."""

from __future__ import annotations

from typing import Any, cast

from prefect.task_runners import TaskRunner
from prefect.tasks import Task

from prefect_helix.compat import in_task_run
from prefect_helix.core.errors import UpstreamFailedError, VerificationError
from prefect_helix.core.garbage import garbage_kept
from prefect_helix.core.lineage import Lineage, RunStatus
from prefect_helix.engine import Dependencies, PrefectEngine
from prefect_helix.futures import linked
from prefect_helix.progress import Row, hide
from prefect_helix.repeating import Deadlines
from prefect_helix.reporting import Log, report, report_problems, without_task_run
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.session import WRITING, Session
from prefect_helix.runtime.specs import Specs, Versioned
from prefect_helix.storage.lookup import Program
from prefect_helix.views.steps import run_line


class HelixRun:
    """One flow run: its session, and the engine that computes for it.

    Attributes:
        session: What decides.
        engine: What computes.
        deadlines: When timeouts end the flow run.
        log: Where the flow run logs to.
    """

    def __init__(
        self,
        session: Session,
        engine: PrefectEngine,
        deadlines: Deadlines,
        specs: Specs,
        prior: Lineage | None,
        log: Log,
        program: Program,
        row: Row | None,
        ui_url: str,
    ) -> None:
        self.session = session
        self.engine = engine
        self.deadlines = deadlines
        self._row = row
        self._ui_url = ui_url
        self._program = program
        self._specs = specs
        self._prior = prior
        self.log = log

    def call(self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, *, return_state: bool) -> Any:
        """Make a direct call of a helix task."""
        node = self._entered(task, parameters, wait_for)
        if node is None:
            return self.engine.call_plainly(task, parameters, wait_for, return_state=return_state)
        handed = _failed_inputs(node)
        try:
            return self._delivered(node, self.session.deliver(node), return_state=return_state)
        except Exception as error:
            return self._failed(node, handed, error, return_state=return_state)
        finally:
            self.session.handed_out(node)

    async def acall(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, *, return_state: bool
    ) -> Any:
        """Make a direct call of an async helix task."""
        node = self._entered(task, parameters, wait_for)
        if node is None:
            return await self.engine.call_plainly(task, parameters, wait_for, return_state=return_state)
        handed = _failed_inputs(node)
        try:
            return self._delivered(node, await self.session.deliver_async(node), return_state=return_state)
        except Exception as error:
            return self._failed(node, handed, error, return_state=return_state)
        finally:
            self.session.handed_out(node)

    def _entered(self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any) -> Node | None:
        return self.engine.enter(task, self._specs.of(cast("Versioned", task)), parameters, wait_for)

    def _delivered(self, node: Node, value: Any, *, return_state: bool) -> Any:
        call = self.engine.calls[node.key]
        if call.returned is not None:
            return call.state if return_state else call.returned
        return self.engine.completed(node) if return_state else linked(node, value)

    def _failed(self, node: Node, handed: set[str], error: Exception, *, return_state: bool) -> Any:
        """Return what a direct call that failed gives back, or raise what it failed with.

        Args:
            node: The call.
            handed: Its inputs that had failed when it was made, by their keys.
            error: What came of it.
            return_state: Whether its state is wanted.
        """
        call = self.engine.calls[node.key]
        if isinstance(error, UpstreamFailedError):
            self._raise_late(node, handed)
        if call.state is None or call.state.is_completed():
            raise error
        if return_state:
            return call.state
        if isinstance(error, UpstreamFailedError) and (call.returned is not None or call.state.is_pending()):
            return call.returned  # None where an input has failed, as Prefect has it
        raise error

    def _raise_late(self, node: Node, handed: set[str]) -> None:
        """Raise what a value failed with that the flow was given already, and that had to be computed after all.

        With plain Prefect the flow would have met that where it was given the value.
        """
        for edge in node.edges:
            late = edge.node
            if late.failed and late.key not in handed and (late.asked or not late.submitted):
                self._raise_late(late, handed)
                if late.error is not None:
                    raise late.error
                state = self.engine.calls[late.key].state
                if state is not None and (state.is_failed() or state.is_crashed() or state.is_cancelled()):
                    state.result(raise_on_failure=True, _sync=True)  # type: ignore[call-overload]

    def adopt(self, runner: TaskRunner[Any]) -> None:
        """Have what is submitted to the flow run's own task runner pass through the session."""
        submit = runner.submit

        def adopted(
            task: Task[..., Any],
            parameters: dict[str, Any],
            wait_for: Any = None,
            dependencies: Dependencies | None = None,
        ) -> Any:
            if in_task_run() or self.session.finished:
                return submit(task, parameters, wait_for, dependencies)
            node = None
            if isinstance(task, Versioned) and not task.isgenerator:
                spec = self._specs.of(task)
                node = self.engine.enter(task, spec, parameters, wait_for, dependencies, submitted=True)
            if node is None:
                return self.engine.submit_plainly(task, parameters, wait_for, dependencies)
            try:
                self.session.submit(node)
                return self.engine.future(node)
            finally:
                self.session.handed_out(node)

        runner.submit = adopted  # type: ignore[method-assign]

    def close(self, status: RunStatus) -> None:
        """End the run: wait for what computes, write what is kept, and show it; `end` is to follow in any case.

        Raises:
            VerificationError: In mode ``verify``, if results differ from the recorded ones.
        """
        lineage = self.session.finish(status, self.tell, without_task_run)
        with garbage_kept():
            report(self.engine, lineage, self._prior, self.log, self._ui_url)
        self.log.info("helix: %s", run_line(lineage.traces))
        if self.session.mismatched and lineage.run.mode == "verify":
            raise VerificationError(self.session.mismatched, self.session.differences)

    def end(self) -> None:
        """Take leave of a run that was closed; tell what a sample has shown, if there is one."""
        try:
            if self.session.sampler is not None:
                self.tell(WRITING)
                lineage = self.session.commit()
                if told := self.session.sampler.sample.told:
                    self.log.info("helix: %s", told)
                if lineage.run.problems:
                    report_problems(self.engine, lineage, self._prior, self.log, self._ui_url)
        finally:
            hide(self._row)
            self._program.end()

    def tell(self, doing: str) -> None:
        """Show what is done now that the body has ended."""
        if self._row is not None:
            self._row.ending = doing


def _failed_inputs(node: Node) -> set[str]:
    return {edge.node.key for edge in node.edges if edge.node.failed}
