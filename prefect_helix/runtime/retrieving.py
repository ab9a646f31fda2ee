"""A recorded result as an object again, outside of any run."""

from __future__ import annotations

from functools import cache

from prefect_helix.core.errors import BlobMissingError, CorruptError, ResultUnavailableError
from prefect_helix.core.lineage import Result, Trace
from prefect_helix.core.rulings import Rulings, noted
from prefect_helix.runtime import execution
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.results import objection
from prefect_helix.storage.lookup import find
from prefect_helix.storage.store import Store

_KEEP = "Run the flow again, and give the task materialize='always' to have its results kept while there is room."
_ANEW = "Run the flow again to have it computed anew."


def retrieve(trace: Trace, name: str, run_id: str, *, store: Store, rulings: Rulings) -> object:
    """Return what a step gave, under the conditions under which a run would load it.

    A file that the result names is put back if it is gone, as in a run.

    Args:
        trace: The step.
        name: What it is called, for people.
        run_id: Id of its run, for people.
        store: Where its result is.
        rulings: Which results may be used.

    Raises:
        ResultUnavailableError: If it cannot be had; says why, and what to do.
        StoreError: If the store refuses.
    """

    def unavailable(cause: str, remedy: str) -> ResultUnavailableError:
        return ResultUnavailableError(run_id, name, cause, remedy)

    result = trace.result
    if result is None:
        failed = trace.status == "failed"
        cause = "the step failed" if failed else "the step was not needed, and was never computed"
        raise unavailable(cause, "Ask for another run." if failed else "Use its result in the flow.")
    revocation = rulings.revocation(trace)
    if revocation is not None:
        undo = f"Take that back with `prefect-helix undo {revocation.id}`, or run the flow again."
        raise unavailable(f"it was revoked {noted(revocation)}", undo)
    if result.blobs is None:
        cause = f"a part of this {result.type_name} cannot be serialised, so it was never stored"
        raise unavailable(cause, "Have the step give what can be pickled, and run the flow again.")
    if missing := _not_importable(result):
        path = "Put the folder of the flow's code on the path (PYTHONPATH or sys.path), and ask again."
        raise unavailable(f"it holds a {missing}, which cannot be imported here", path)
    try:
        stored = cache(store.blobs)
        against = objection(result, store.get_blob, lambda blob: blob in stored(), ValueCode())
        if against is not None:
            raise unavailable(against, f"Ask where that is as it was, or {_ANEW[0].lower()}{_ANEW[1:]}")
        return execution.load(result, None, store)[0]
    except BlobMissingError as error:
        gone = "it was in the store when the run ended, and has been removed since or made room for others"
        raise unavailable(gone if trace.stored else "it was not kept", _KEEP) from error
    except CorruptError as error:
        remedy = f"`prefect-helix store verify --remove` removes what is damaged. {_ANEW}"
        raise unavailable(f"what is stored of it cannot be read ({error.cause})", remedy) from error


def _not_importable(result: Result) -> str | None:
    names = (line.partition(" ")[0] for line in result.classes)
    return next((name for name in names if find(name) is None), None)
