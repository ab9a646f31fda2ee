"""`helix_task`: a Prefect task whose calls are versioned, and computed, loaded or pruned."""

from __future__ import annotations

import datetime
import functools
import inspect
import logging
import typing
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from prefect.settings import PREFECT_TASKS_DISABLE_CACHING, PREFECT_TASKS_REFRESH_CACHE
from prefect.tasks import Task
from prefect.utilities.callables import get_call_parameters

from prefect_helix.compat import raise_if_flow_run_suspension_requested
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.fingerprint import Fingerprint, fingerprint
from prefect_helix.core.materialization import Choice
from prefect_helix.core.naming import module_name
from prefect_helix.futures import demanded_together
from prefect_helix.runs import current_run
from prefect_helix.runtime.specs import TaskSpec, Versioned, register
from prefect_helix.runtime.values import class_stands_in

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

_CHOICES: tuple[Choice, ...] = ("auto", "always", "never")
_ATTRIBUTES = {
    "on_completion": "on_completion_hooks",
    "on_failure": "on_failure_hooks",
    "on_running": "on_running_hooks",
    "on_rollback": "on_rollback_hooks",
    "on_commit": "on_commit_hooks",
    "persist_result": "_user_persist_result",
    "cache_policy": "_user_cache_policy",
}


@dataclass(frozen=True)
class HelixOptions:
    """What a helix task says of itself.

    Attributes:
        code_version: Stands for the code instead of its fingerprint.
        deterministic: Whether equal inputs give equal results.
        lazy: Whether even a first call waits until something needs its result.
        materialize: ``auto`` leaves it to the policy.
        ignore: Parameters that do not matter to the result.
        depends_on: Further objects that count as code.
        max_age: Age after which a result is computed anew.
    """

    code_version: str | None = None
    deterministic: bool = True
    lazy: bool = False
    materialize: Choice = "auto"
    ignore: tuple[str, ...] = ()
    depends_on: tuple[object, ...] = ()
    max_age: datetime.timedelta | None = None


class HelixTask(Task[P, R], Versioned):
    """A Prefect task that is computed only where that is needed. Made by `helix_task`."""

    def __init__(self, fn: Callable[P, R], *, helix: HelixOptions, **task_options: Any) -> None:
        super().__init__(fn, **task_options)
        self.helix = _checked(helix, self)
        register(self, _task_key(self))

    if not TYPE_CHECKING:  # callers keep the types of Prefect's own overloads

        def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
            """Call the task: in a flow, a node of the run; anywhere else, the plain Prefect task.

            The call of an async task is made when what comes back is awaited.
            """
            run = None if self.isgenerator else current_run()
            if run is None:
                return super().__call__(*args, return_state=return_state, wait_for=wait_for, **kwargs)
            parameters = get_call_parameters(self.fn, args, kwargs)
            raise_if_flow_run_suspension_requested()
            call = run.acall if self.isasync else run.call
            return call(self, parameters, wait_for, return_state=return_state)

        def submit(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
            """Submit the task to the flow's task runner; what comes back is demanded by its `result()`."""
            current_run()
            return super().submit(*args, return_state=return_state, wait_for=wait_for, **kwargs)

        def map(self, *args: Any, **kwargs: Any) -> Any:
            """Submit one call for each element; each is a node of its own."""
            current_run()
            return demanded_together(super().map(*args, **kwargs))

    def spec(self) -> TaskSpec:
        """Return what a run needs to know of the task, its code as it is now included."""
        helix, code = self.helix, _code_of(self)
        return TaskSpec(
            name=self.name,
            key=_task_key(self),
            fn=self.fn,
            code=code,
            code_version=helix.code_version,
            deterministic=helix.deterministic and not code.draws,
            lazy=helix.lazy,
            materialize=helix.materialize,
            ignore=frozenset(helix.ignore),
            max_age_us=_max_age_us(self),
            returns=self._returns,
        )

    @functools.cached_property
    def _returns(self) -> type | None:
        """The class that its function is declared to return, if a stand-in can have it."""
        try:
            declared = typing.get_type_hints(self.fn).get("return")
        except Exception:  # names that exist for the type checker only, or words for people: any text may be there
            return None
        return declared if isinstance(declared, type) and class_stands_in(declared) else None

    def with_options(self, **options: Any) -> HelixTask[P, R]:
        """Return a copy of the task with other options, of Prefect's or of this package.

        What Prefect's own method takes, it decides: it leaves an option as it is that is None, or `NotSet`.
        """
        own = {name: options.pop(name) for name in HelixOptions.__dataclass_fields__ if name in options}
        names = [name for name in inspect.signature(Task.__init__).parameters if name not in ("self", "fn")]
        takes = inspect.signature(Task.with_options).parameters
        plain = super().with_options(**{name: options.pop(name) for name in names if name in takes and name in options})
        kept = {
            name: getattr(plain if name in takes else self, _ATTRIBUTES.get(name, name))
            for name in names
            if name not in options
        }
        made = HelixTask(self.fn, helix=replace(self.helix, **_tupled(own)), **kept, **options)
        made._isclassmethod, made._isstaticmethod = self.isclassmethod, self.isstaticmethod
        return made


@overload
def helix_task(fn: Callable[P, R], /) -> HelixTask[P, R]: ...
@overload
def helix_task(
    fn: None = None,
    /,
    *,
    code_version: str | None = None,
    deterministic: bool = True,
    lazy: bool = False,
    materialize: Choice = "auto",
    ignore: Iterable[str] = (),
    depends_on: Sequence[object] = (),
    max_age: datetime.timedelta | None = None,
    **task_options: Any,
) -> Callable[[Callable[P, R]], HelixTask[P, R]]: ...
def helix_task(
    fn: Callable[P, R] | None = None,
    /,
    *,
    code_version: str | None = None,
    deterministic: bool = True,
    lazy: bool = False,
    materialize: Choice = "auto",
    ignore: Iterable[str] = (),
    depends_on: Sequence[object] = (),
    max_age: datetime.timedelta | None = None,
    **task_options: Any,
) -> Any:
    """Make a Prefect task of a computation whose results can be reused.

    Args:
        fn: The function.
        code_version: Stands for the code, which is then not looked at. (Prefect's `version` is only a label.)
        deterministic: False computes the task anew whenever its result is needed; steps after it are still spared
            where the new result equals the old one.
        lazy: True computes even a first call only when something needs its result. Annotate the return type, so
            that the flow gets a stand-in of the right class.
        materialize: ``"always"`` or ``"never"`` overrule the policy.
        ignore: Names of parameters that do not matter to the result (``n_jobs``, a logger).
        depends_on: Further functions, classes, modules, `File`s, values or names of environment variables that count
            as code: if one changes, the task is computed anew.
        max_age: Age after which a result is computed anew.
        **task_options: Every option of `prefect.task`.

    Raises:
        ConfigurationError: If an option makes no sense.
    """
    helix = HelixOptions(
        **_tupled(
            {
                "code_version": code_version,
                "deterministic": deterministic,
                "lazy": lazy,
                "materialize": materialize,
                "ignore": ignore,
                "depends_on": depends_on,
                "max_age": max_age,
            }
        )
    )

    def decorate(function: Callable[P, R]) -> HelixTask[P, R]:
        return HelixTask(function, helix=helix, **task_options)

    return decorate if fn is None else decorate(fn)


def _task_key(task: Task[..., Any]) -> str:
    """Return ``module:qualname`` of a task's function, the module by the name it has everywhere."""
    fn = task.fn
    module = module_name(getattr(fn, "__module__", "") or "")
    return f"{module}:{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def _code_of(task: HelixTask[..., Any]) -> Fingerprint:
    version = task.helix.code_version
    if version is not None:  # other tasks may have the same one
        version = f"{version} of {_task_key(task)}"
    try:
        return fingerprint(task.fn, depends_on=task.helix.depends_on, code_version=version)
    except Exception as error:  # whatever stops us from reading code must not stop the flow: the task is computed
        log.debug("no fingerprint for %s", task.name, exc_info=True)
        note = (
            f"The code of task {task.name!r} cannot be fingerprinted ({type(error).__name__}: {error}), so it is "
            "computed in every run. Give it @helix_task(code_version=...) to have it reused."
        )
        return Fingerprint(uuid.uuid4().hex, (), (note,))


def _max_age_us(task: HelixTask[..., Any]) -> int | None:
    """Return the age after which a result is computed anew; what Prefect's cache is told holds for ours too."""
    ages = [age for age in (task.helix.max_age, task.cache_expiration) if age is not None]
    refreshed = PREFECT_TASKS_REFRESH_CACHE.value() if task.refresh_cache is None else task.refresh_cache
    if refreshed or PREFECT_TASKS_DISABLE_CACHING.value():
        ages.append(datetime.timedelta(0))
    return int(min(ages).total_seconds() * 1_000_000) if ages else None


def _tupled(options: dict[str, Any]) -> dict[str, Any]:
    if isinstance(options.get("ignore"), str):
        raise ConfigurationError("ignore", options["ignore"], "Give a list of parameter names.")
    return {name: tuple(value) if name in ("ignore", "depends_on") else value for name, value in options.items()}


def _checked(helix: HelixOptions, task: Task[..., Any]) -> HelixOptions:
    if helix.materialize not in _CHOICES:
        raise ConfigurationError("materialize", helix.materialize, f"Use one of {', '.join(map(repr, _CHOICES))}.")
    if helix.max_age is not None and not isinstance(helix.max_age, datetime.timedelta):
        raise ConfigurationError("max_age", helix.max_age, "Give a datetime.timedelta.")
    if task.cache_key_fn is not None:
        raise ConfigurationError(
            "cache_key_fn",
            getattr(task.cache_key_fn, "__name__", task.cache_key_fn),
            f"Task {task.name!r} is known by its code and its inputs, and is often not run, so that nobody would ask "
            "for a key. Leave the option out, say what else counts with depends_on= or max_age=, or keep @task.",
        )
    unknown = set(helix.ignore) - set(inspect.signature(task.fn).parameters)
    if unknown:
        raise ConfigurationError(
            "ignore", sorted(unknown), f"Task {task.name!r} has no such parameter; name some of its parameters."
        )
    return helix
