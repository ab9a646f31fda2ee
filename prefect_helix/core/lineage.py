"""What is remembered of a run: traces of its nodes, and the lineage they form."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from prefect_helix.core.change import Change, Changed, Summary
from prefect_helix.core.graph import Decision

RunStatus = Literal["running", "completed", "failed", "cancelled", "crashed", "suspended"]
SourceKind = Literal["constant", "flow_parameter", "file"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A large part of a result, with a blob of its own.

    Attributes:
        digest: Digest of the value; None where it has none.
        exact: Whether equal digests mean equal values.
        size_bytes: Length of the encoded value.
        type_name: ``module:qualname`` of its type, so that `isinstance` can be answered without a load.
        blob: Content name of its blob, stored or not; None where it cannot be serialised.
        code: Hash over the code of the classes in it; empty if it is made of built-in types.
    """

    digest: str | None
    exact: bool
    size_bytes: int
    type_name: str
    blob: str | None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a file held that a result names, to be put back should the file be gone.

    Attributes:
        path: The file's path, as the result has it.
        content: Identity of the content.
        size_bytes: Length of the content.
        mode: Permissions of the file.
        blob: Content name of the blob that holds the content, stored or not.
    """

    path: str
    content: str
    size_bytes: int
    mode: int
    blob: str


@dataclass(frozen=True, slots=True)
class Result:
    """A node's result: a skeleton, and the large leaves that fit into it.

    A small value is a skeleton without leaves; a data frame is one leaf and a trivial skeleton.

    Attributes:
        digest: Digest of the whole value.
        exact: Whether equal digests mean equal values.
        size_bytes: Encoded length, leaves included.
        type_name: ``module:qualname`` of the whole value's type.
        inline: The encoded skeleton where it is small enough to sit in the lineage.
        blob: Content name of the skeleton's blob where it does not; None where neither can be had.
        leaves: The large leaves, in the order the skeleton refers to them.
        standin: Whether the whole value is one leaf, given to the flow body as a stand-in.
        code: Hash over the code of the classes in it, leaves included; empty if it is made of built-in types.
        classes: ``module:qualname hash`` of each class and function in it that can be looked up by its name.
        files: Digest of the contents of the files that it names; empty if it names none.
        copies: What these files held, if all of them are local.
    """

    digest: str | None
    exact: bool
    size_bytes: int
    type_name: str
    inline: bytes | None = None
    blob: str | None = None
    leaves: tuple[Leaf, ...] = ()
    standin: bool = False
    code: str = ""
    classes: tuple[str, ...] = ()
    files: str = ""
    copies: tuple[Copy, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of all blobs that are of use for it, those with copies of files included."""
        return (*(self.blobs or ()), *(copy.blob for copy in self.copies))

    @property
    def blobs(self) -> tuple[str, ...] | None:
        """Names of all blobs the value is made of; None if some part cannot be stored."""
        skeleton = (self.blob,) if self.inline is None else ()
        names = (*skeleton, *(leaf.blob for leaf in self.leaves))
        return None if None in names else cast("tuple[str, ...]", names)


@dataclass(frozen=True, slots=True)
class ParentLink:
    """The edge from a node to one whose result it takes.

    Attributes:
        signature: The parent's signature.
        leaf: Index of the parent's leaf that is taken; None for the whole result.
        digest: Digest of what is taken, once known.
        exact: Whether that digest is exact.
        parameter: The parameter it is given to.
    """

    signature: str
    leaf: int | None
    digest: str | None
    exact: bool
    parameter: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call, as far as it is literal.

    Attributes:
        parameter: Name of the parameter.
        digest: Digest of the literal, with results of nodes replaced by placeholders.
        source: Where the value came from, so that the next run can predict it.
        origin: Name of the flow parameter, or path of the file.
        shown: A short form for people.
        size_bytes: Size of the file, where that is known without asking for it.
    """

    parameter: str
    digest: str
    source: SourceKind = "constant"
    origin: str = ""
    shown: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The record of one node.

    Attributes:
        task: Name of the task.
        key: ``module:qualname`` of its function.
        call: Position of the call in its run, from 0.
        signature: History key of the node.
        fingerprint: Hash of the code that its signature was made from.
        arguments: Its literal arguments, in the function's order.
        literals: One hash over all literal arguments.
        parents: Edges to the nodes whose results it takes.
        wait_for: Signatures of the nodes it only waits for.
        decision: What the run did with it.
        reason: Why, in words.
        status: How it ended.
        result: What it gave; None if it gave nothing.
        compute_us: Time its function took when it was last computed; None if never measured.
        load_us: Time that loading its result, or parts of it, took; None if never measured.
        demanded: Whether the flow body (or a plain task, or the return value) needed its value.
        started_us: When it was called, since the epoch.
        computed_at_us: When its result was last computed, since the epoch; None if never.
        task_run_id: Prefect's id of the task run that shows it; empty where none does.
        changed_inputs: Parameters whose values its function changed in place.
        deterministic: False where the task was declared not to be.
        stored: Whether the whole result was in the lineage or the store when the run ended.
        code: Fingerprint of the code that computed its result, or would have; empty if that is `fingerprint`. It is
            another where a change of code was accepted as a refactoring.
        computed_in: Id of the run that computed its result; empty if there is none.
        loaded_bytes: How much was loaded in that time.
        loaded_blobs: In how many blobs.
        metrics: What its function logged when it was last computed.
    """

    task: str
    key: str
    call: int
    signature: str
    fingerprint: str
    arguments: tuple[Argument, ...]
    literals: str
    parents: tuple[ParentLink, ...]
    wait_for: tuple[str, ...]
    decision: Decision
    reason: str
    status: Literal["completed", "failed"]
    result: Result | None
    compute_us: int | None
    load_us: int | None
    demanded: bool
    started_us: int
    computed_at_us: int | None = None
    task_run_id: str = ""
    changed_inputs: tuple[str, ...] = ()
    deterministic: bool = True
    stored: bool = False
    code: str = ""
    computed_in: str = ""
    loaded_bytes: int = 0
    loaded_blobs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def computed_by(self) -> str:
        """Fingerprint of the code that computed its result, or would have."""
        return self.code or self.fingerprint


@dataclass(frozen=True, slots=True)
class Run:
    """The head of a lineage: everything about a flow run that is not about one node.

    Attributes:
        run_id: Prefect's flow run id.
        flow: Name of the flow.
        name: Name of the flow run.
        status: How it ended; ``running`` in a journal that was never closed.
        started_us: When the flow body began, since the epoch.
        finished_us: When it ended; None while it runs.
        parameters: For each flow parameter its digest ("" where it has none).
        shown_parameters: For each flow parameter a short form for people, secrets redacted.
        prior_run_id: The run whose lineage the plan was made from.
        mode: ``auto``, ``recompute`` or ``verify``.
        policy: Name of the materialization policy.
        budget_bytes: What the store may hold.
        predicted_us: What the plan said the tasks would take; None without a prediction, or if that could not be told.
        metrics: Numbers the run reported.
        versions: Python, platform and the distributions that matter.
        problems: What the run found wrong, in words.
        host: Name of the machine that the flow ran on; empty if it is not known.
        parent_run_id: The flow run that called the flow; None if it is no subflow.
        changed: Keys of the tasks that had changed since the prior run, in code, in an argument or in a file.
        summary: The run in a few figures; None while it runs, and where it was killed or an early version wrote it.
        apart: Whether workers of a cluster computed some of its steps, on machines that are not recorded.
    """

    run_id: str
    flow: str
    name: str
    status: RunStatus
    started_us: int
    finished_us: int | None
    parameters: Mapping[str, str]
    shown_parameters: Mapping[str, str]
    prior_run_id: str | None
    mode: str
    policy: str
    budget_bytes: int
    predicted_us: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    host: str = ""
    parent_run_id: str | None = None
    changed: tuple[str, ...] = ()
    summary: Summary | None = None
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """The traces of one flow run, in call order.

    Attributes:
        run: What is known of the run.
        traces: Its traces; of a run in an index they are decoded when they are first asked for.
    """

    run: Run
    traces: Sequence[Trace]


def trace_to_json(trace: Trace) -> dict[str, Any]:
    """Return `trace` as JSON-ready data; `trace_from_json` is its inverse."""
    data = _fields(trace)
    data["decision"] = trace.decision.value
    data["arguments"] = [_fields(argument) for argument in trace.arguments]
    data["parents"] = [_fields(link) for link in trace.parents]
    result = trace.result
    if result is not None:
        inline = None if result.inline is None else base64.b64encode(result.inline).decode("ascii")
        parts = {name: [*map(_fields, getattr(result, name))] for name in ("leaves", "copies")}
        data["result"] = _fields(result) | parts | {"inline": inline}
    return data


def _fields(record: Any) -> dict[str, Any]:
    """Return the fields of one of the dataclasses here as they are; `dataclasses.asdict` takes ten times as long."""
    return {name: getattr(record, name) for name in record.__slots__}


def trace_from_json(data: Mapping[str, Any]) -> Trace:
    """Return the trace that `trace_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: If the data is not a trace.
    """
    fields = dict(data)
    result = fields["result"]
    if result is not None:
        inline = result["inline"]
        result = Result(
            **{
                **result,
                "inline": None if inline is None else base64.b64decode(inline, validate=True),
                "leaves": tuple(Leaf(**leaf) for leaf in result["leaves"]),
                "classes": tuple(result.get("classes", ())),
                "copies": tuple(Copy(**copy) for copy in result.get("copies", ())),
            }
        )
    return Trace(
        **{
            **fields,
            "decision": Decision(fields["decision"]),
            "result": result,
            "arguments": tuple(Argument(**argument) for argument in fields["arguments"]),
            "parents": tuple(ParentLink(**link) for link in fields["parents"]),
            "wait_for": tuple(fields["wait_for"]),
            "changed_inputs": tuple(fields["changed_inputs"]),
        }
    )


def run_to_json(run: Run) -> dict[str, Any]:
    """Return `run` as JSON-ready data; `run_from_json` is its inverse."""
    return {
        **{f.name: getattr(run, f.name) for f in dataclasses.fields(run)},
        "parameters": dict(run.parameters),
        "shown_parameters": dict(run.shown_parameters),
        "metrics": dict(run.metrics),
        "versions": dict(run.versions),
        "summary": dataclasses.asdict(run.summary) if run.summary else None,
    }


def run_from_json(data: Mapping[str, Any]) -> Run:
    """Return the run that `run_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: If the data is not a run.
    """
    fields = {name: value for name, value in data.items() if name != "scratch_us"}  # early versions wrote that
    summary = data.get("summary")
    if summary is not None:
        changes = tuple(Changed(**{**one, "change": Change(**one["change"])}) for one in summary["changes"])
        fields["summary"] = Summary(**{**summary, "changes": changes, "code": tuple(summary.get("code", ()))})
    return Run(**{**fields, "problems": tuple(data["problems"]), "changed": tuple(data.get("changed", ()))})
