"""The graph of one run: which calls were made, which are expected, and what the lineage says of each."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prefect_helix.core.explain import Calls, changes, in_short, reason
from prefect_helix.core.graph import Decision, depth_first
from prefect_helix.core.history import History
from prefect_helix.core.lineage import Argument, Result, Trace
from prefect_helix.core.rulings import Acceptance, noted
from prefect_helix.core.signature import Input, Match, literals_hash, match, signature
from prefect_helix.runtime.clearing import Clearing
from prefect_helix.runtime.nodes import Edge, Node, Standing
from prefect_helix.runtime.specs import TaskSpec


class World:
    """Holds the nodes of a run and keeps every node's standing up to date.

    Not thread-safe: the session guards it.

    Args:
        history: What earlier runs tell.
        loadable: Whether all parts of a result are in the store.
        objection: Why a result does not mean what it meant, such as a file with other content; None if it does.
        now_us: Time of the run, since the epoch, for ``max_age``.
        mode: The run's mode; in any but ``auto`` every node is original.
        priors: Traces of the run that this one is compared with.
        run_id: Id of the run.

    Attributes:
        clearing: Which nodes rest on nothing that may still come out otherwise.
    """

    def __init__(
        self,
        history: History,
        *,
        loadable: Callable[[Result], bool],
        objection: Callable[[Result], str | None],
        now_us: int,
        mode: str = "auto",
        priors: Sequence[Trace] = (),
        run_id: str = "",
    ) -> None:
        self.history = history
        self.nodes: list[Node] = []
        self._by_key: dict[str, Node] = {}
        self._expected: dict[str, dict[str, Node]] = {}
        self._awaited: dict[tuple[str, str], deque[Node]] = {}
        self._children: dict[str, dict[str, Node]] = {}
        self.clearing = Clearing(history, self.children)
        self._loadable = loadable
        self._object_to = objection
        self._now_us = now_us
        self._mode = mode
        self._priors = Calls(priors)
        self._run_id = run_id
        self._keys = (f"n{i}" for i in itertools.count())
        self._calls = itertools.count()

    # -- nodes ---------------------------------------------------------------------------------------------------

    def expect(self, spec: TaskSpec, prior: Trace, edges: tuple[Edge, ...], arguments: tuple[Argument, ...]) -> Node:
        """Add a call that the prior run makes us expect; its parents were added before it."""
        node = Node(spec, next(self._keys), prior.call, prior=prior, demanded=prior.demanded)
        node.arguments, node.literals = arguments, literals_hash(arguments)
        self._connect(node, edges)
        self._add(node)
        self._expected.setdefault(spec.key, {})[node.key] = node
        return node

    def call(
        self,
        spec: TaskSpec,
        parameters: Mapping[str, Any],
        edges: tuple[Edge, ...],
        wait_for: tuple[Node, ...],
        arguments: tuple[Argument, ...],
    ) -> tuple[Node, list[Node]]:
        """Enter a call that was made.

        Returns:
            Its node, and the nodes that are not what was expected, or not taken by it after all; none where all is.
        """
        literals = literals_hash(arguments)
        key = self._history_key(spec, literals, [e.input() for e in edges], [n.signature for n in wait_for])
        node = self._take_expected(spec, key)
        departed = node is None or node.history_key != key
        if node is None:
            node = Node(spec, next(self._keys), 0)
            self._add(node)
        node.spec, node.call, node.called = spec, next(self._calls), True
        node.parameters, node.wait_for = parameters, wait_for
        node.arguments, node.literals = arguments, literals
        expected = dict.fromkeys(node.parents)
        self._connect(node, edges)
        was_original = node.original
        try:
            self.classify(node, key)
        except BaseException:
            node.called = False  # its caller never learns of it
            raise
        changed: list[Node] = []
        if departed:
            node.demanded = False
            takes = {*node.parents}
            changed = [node, *(one for one in expected if one not in takes), *(child for child, _ in self.spread(node))]
        elif node.original != was_original:  # an equal call of this run has been computed meanwhile
            changed = [node]
        return node, changed

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self._by_key[node.key] = node

    def _connect(self, node: Node, edges: tuple[Edge, ...]) -> None:
        for edge in node.edges:
            self._children[edge.node.key].pop(node.key, None)
        for edge in edges:
            self._children.setdefault(edge.node.key, {})[node.key] = node
        node.edges, node.known_inputs = edges, 0
        self.clearing.moved(node)

    def _take_expected(self, spec: TaskSpec, key: str) -> Node | None:
        """Return the expected call that this one is; else the one call expected of its task, if there is just one."""
        expected = self._expected.get(spec.key, {})
        awaited = self._awaited.get((spec.key, key), ())
        while awaited and (awaited[0].called or awaited[0].history_key != key):
            awaited.popleft()
        found = awaited.popleft() if awaited else next(iter(expected.values())) if len(expected) == 1 else None
        if found is not None:
            del expected[found.key]
        return found

    def __getitem__(self, key: str) -> Node:
        """Return the node of that key."""
        return self._by_key[key]

    def __contains__(self, node: Node) -> bool:
        """Return whether `node` is one of this run."""
        return self._by_key.get(node.key) is node

    @property
    def called(self) -> list[Node]:
        """The nodes of calls that were made, in their order."""
        return sorted((n for n in self.nodes if n.called), key=lambda n: n.call)

    def children(self, node: Node) -> list[Node]:
        """Return the nodes that take the value of `node`."""
        return list(self._children.get(node.key, {}).values())

    def decide(self, node: Node, decision: Decision) -> None:
        """Enter what is decided for a node."""
        if decision is Decision.COMPUTE and node.decision is not decision:
            self.clearing.opened(node)
        node.decision = decision

    def to_compute_for(self, node: Node) -> list[Node]:
        """Return what has to be computed before `node` can be, as planned, parents before children."""

        def open_parents(child: Node) -> list[Node]:
            if child.started and child is not node:
                return []  # whoever computes it sees to what it needs
            return [
                p for p in child.parents if not (p.done or p.failed) and (p.original or p.decision is Decision.COMPUTE)
            ]

        return depth_first(node, open_parents)

    def unsettled_for(self, node: Node) -> list[Node]:
        """Return the nodes that leave open whether `node` is original, parents before children."""
        return depth_first(node, lambda child: [p for p in child.parents if p.provisional and not p.started])

    def parked_for(self, node: Node) -> list[Node]:
        """Return the lazy calls that leave open whether `node` is original, since it is open for themselves by now.

        They were original when they were submitted, so that nobody has looked at them since. Parents before children.
        """
        return depth_first(node, lambda child: [p for p in child.parents if p.parked and p.provisional])

    @property
    def expecting(self) -> bool:
        """Whether calls are expected that were not made yet."""
        return any(self._expected.values())

    def blobs(self) -> set[str]:
        """Return the names of all blobs that the run is about to load, or a call that was made may still be from."""
        found: set[str] = set()
        for node in [*self.nodes]:  # another thread may be at them
            result = node.result
            if result and (node.called or node.decision is Decision.LOAD) and not node.safe:
                found.update(result.kept)
        return found

    # -- standing ------------------------------------------------------------------------------------------------

    def classify(self, node: Node, key: str | None = None) -> None:
        """Find out whether `node` is original or equivalent, as far as its parents are known.

        A node that was computed in this run keeps what it has.

        Args:
            node: The node.
            key: Its history key, where that was just worked out.
        """
        if node.done:
            return
        node.put_off = False
        inputs = [edge.input() for edge in node.edges]
        waits = [n.signature for n in node.wait_for]
        node.fingerprint = fingerprint = self._stands_for(node.spec)
        node.history_key = node.signature = key or self._history_key(node.spec, node.literals, inputs, waits)
        if not node.called:
            self._awaited.setdefault((node.spec.key, node.history_key), deque()).append(node)
        node.by_digest = (
            node.spec.by_digest or self.history.ambiguous(node.signature) or any(i.undetermined for i in inputs)
        )
        node.standing, node.trace, node.result, node.reason = Standing.ORIGINAL, None, None, ""
        node.compute_us = node.computed_at_us = None
        if self._mode != "auto" or not node.spec.deterministic:
            return
        # What was used already was so before anything that it waits for had to be computed after all.
        if any(n.original or n.done for n in node.wait_for) and not (node.used or node.opened):
            return
        for trace in self.history.matching(fingerprint, node.literals, node.history_key, inputs, waits):
            found = match(trace, inputs, waits)
            objection = self._objection(node, trace) if found is Match.YES else None
            node.reason = objection or node.reason
            if found is Match.YES and objection is None:
                node.standing, node.trace, node.result, node.reason = Standing.EQUIVALENT, trace, trace.result, ""
                if not self.history.moot(trace.signature):
                    node.signature, node.fingerprint = trace.signature, trace.fingerprint
                node.by_digest = node.spec.by_digest or any(
                    map(self.history.ambiguous, (trace.signature, node.signature))
                )
                node.compute_us, node.computed_at_us = trace.compute_us, trace.computed_at_us
                return
            if found is Match.MAYBE:
                node.standing = Standing.PROVISIONAL
        revocation = None if node.reason else self.history.revocation(fingerprint, node.literals, inputs, waits)
        if revocation is not None:
            node.reason = f"its earlier result was revoked {noted(revocation)}"

    def candidates(self, node: Node) -> Iterator[Trace]:
        """Yield the traces with the node's code and literal arguments, newest first, those with its key before all."""
        return self.history.candidates(self._stands_for(node.spec), node.literals, node.history_key)

    def equivalents(self, node: Node) -> list[Trace]:
        """Return the traces that make the node equivalent, newest first: it may have been computed several times."""
        inputs, waits = [edge.input() for edge in node.edges], [n.signature for n in node.wait_for]
        same = self.history.matching(self._stands_for(node.spec), node.literals, node.history_key, inputs, waits)
        found = {id(trace): trace for trace in same if match(trace, inputs, waits) is Match.YES}
        return [*found.values()]

    def accepted(self, node: Node) -> Acceptance | None:
        """Return the acceptance by which the node's code stands for that of an earlier result of it; None without."""
        codes = dict.fromkeys(trace.computed_by for trace in self.candidates(node))
        found = (self.history.rulings.acceptance(node.spec.fingerprint, code) for code in codes)
        return next(filter(None, found), None)

    def _stands_for(self, spec: TaskSpec) -> str:
        return self.history.rulings.stands_for(spec.fingerprint)

    def _history_key(self, spec: TaskSpec, literals: str, inputs: Sequence[Input], wait_for: Sequence[str]) -> str:
        fingerprint = self._stands_for(spec)
        return self.history.renewed(signature(fingerprint, literals, inputs, wait_for), fingerprint)

    def _objection(self, node: Node, trace: Trace) -> str | None:
        """Return why the result of an equivalent call does not serve all the same; None if it does."""
        if trace.result is None:
            return "its result was not kept"
        if trace.changed_inputs:
            return f"it changes its argument {', '.join(trace.changed_inputs)} in place, or gives it back"
        age_us = node.spec.max_age_us
        if age_us is not None and (trace.computed_at_us is None or trace.computed_at_us + age_us < self._now_us):
            return "its result is older than max_age"
        return self._object_to(trace.result)

    def spread(self, node: Node) -> Iterator[tuple[Node, Result | None]]:
        """Classify again what rests on a node that changed, and yield each that changes with it, with its old result.

        Complexity: O(nodes yielded + their edges).
        """
        waiting = [node]
        while waiting:
            parent = waiting.pop()
            for child in self.children(parent):
                if (parent.done or parent.failed) and self._is_indifferent(child, parent):
                    continue
                before, result = (child.standing, child.signature, child.trace), child.result
                self.classify(child)
                if (child.standing, child.signature, child.trace) != before:
                    waiting.append(child)
                    yield child, result

    def _is_indifferent(self, child: Node, parent: Node) -> bool:
        """Return whether what a node takes cannot change its standing by becoming known, or not yet."""
        if child.done:
            return True
        child.put_off = child.put_off or parent.by_digest or parent.tainted
        if child.waits_for_many:
            return True
        if child.standing is not Standing.ORIGINAL or child.put_off:
            return False
        return next(self.candidates(child), None) is None

    def loadable(self, node: Node) -> bool:
        """Return whether the node's value can be had without computing."""
        if node.cell().present or node.elsewhere:
            return True
        return not (node.original or node.lost) and node.result is not None and self._loadable(node.result)

    def expected_compute_us(self, node: Node) -> int | None:
        """Return what computing `node` is expected to take; None if nothing tells."""
        return self.history.costs.compute(node.spec.key, node.trace, node.input_bytes)

    def expected_load_us(self, node: Node) -> int | None:
        """Return what loading the result of `node` is expected to take, if it is stored; None if it has none."""
        return None if node.result is None else self.history.costs.load(node.result, node.spec.key)

    def explain(self, node: Node) -> str:
        """Return in words what makes a node original, beside the call of the prior run that is most like it."""
        facts = self.facts(node)
        found = changes(node.prior or self._priors.closest(facts), facts)
        return in_short(found) or "no earlier result can be used"

    def reason(self, node: Node) -> str:
        """Return in words why a node is decided as it is."""
        accepted = self.history.rulings.acceptance(node.spec.fingerprint, node.code)
        return reason(
            node.decision or Decision.PRUNE,
            equivalent=node.trace is not None,
            stored=node.result is not None and not node.lost and self._loadable(node.result),
            mode=self._mode,
            changed=self.explain(node) if node.trace is None else "",
            same="unchanged" if accepted is None else f"its change was accepted as a refactoring {noted(accepted)}",
        )

    def facts(self, node: Node) -> Trace:
        """Return the node as the lineage records it."""
        return Trace(
            task=node.spec.name,
            key=node.spec.key,
            call=node.call,
            signature=node.signature,
            fingerprint=node.fingerprint,
            arguments=node.arguments,
            literals=node.literals,
            parents=tuple(edge.input().link() for edge in node.edges),
            wait_for=tuple(n.signature for n in node.wait_for),
            decision=node.decision or Decision.PRUNE,
            reason=node.reason,
            status="failed" if node.failed else "completed",
            result=None if node.tainted else node.result,
            compute_us=node.compute_us,
            load_us=node.load_us,
            loaded_bytes=node.loaded_bytes,
            loaded_blobs=node.loaded_blobs,
            demanded=node.demanded,
            started_us=node.started_us,
            computed_at_us=node.computed_at_us,
            task_run_id=node.task_run_id,
            changed_inputs=node.changed_inputs,
            deterministic=node.spec.deterministic,
            code=node.code if node.code != node.fingerprint else "",
            computed_in=self._run_id if node.done else node.trace.computed_in if node.trace else "",
            metrics=dict(node.metrics) if node.started or not node.trace else node.trace.metrics,
        )
