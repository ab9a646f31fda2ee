"""What the results of a run are worth: what is expected of it and of others, and what it has computed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from prefect_helix.core.garbage import garbage_kept
from prefect_helix.core.habits import chances
from prefect_helix.core.history import parameters_hash
from prefect_helix.core.lineage import Lineage, Result, Run
from prefect_helix.core.losses import Chances, Expected, Losses
from prefect_helix.core.lots import Parcel
from prefect_helix.core.materialization import Policy
from prefect_helix.core.prospects import NOW, Prospects, shares
from prefect_helix.core.shelf import Shelf
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.world import World

REMEMBERED = 30
"""Runs of a flow that the chances of its changes are learned from."""

ELSEWHERE = 8
"""Other runs that may come, and whose results are valued too where room is short."""


class Appraiser:
    """Knows what a run's results are worth.

    Whoever observed a result asks for its step and its parcel, from any thread; the rest is for whoever writes to the
    store.

    Args:
        world: The run's nodes, as far as they are expected.
        head: The run.
        policy: What is worth storing.
        stored: Whether a result is in the lineage or the store.
    """

    def __init__(self, world: World, head: Run, policy: Policy, stored: Callable[[Result], bool]) -> None:
        self._world = world
        self._stored = stored
        self._head = head
        self._policy = policy
        self._losses = self._losses_of(world.nodes)

    def shelf(
        self,
        blobs: Mapping[str, int],
        strangers: Collection[str],
        spared: Callable[[], Collection[str]],
    ) -> Shelf:
        """Return what is stored, valued for what is expected."""
        shelf = self._shelf(self._losses, blobs, strangers, spared)
        for node in self._world.nodes:
            self._expect(shelf, node)
        return shelf

    def step(self, node: Node) -> Expected:
        """Return a step as far as it is known; what it takes or will take is nothing where nobody knows."""
        prior = node.prior
        result = node.result or (prior.result if prior else None)
        compute_us = self._world.expected_compute_us(node) if node.compute_us is None else node.compute_us
        return Expected(
            key=node.key,
            task=node.spec.key,
            parents=tuple(parent.key for parent in node.parents),
            compute_us=compute_us or 0,
            load_us=self._world.history.costs.load(result, node.spec.key) if result else 0,
            demanded=node.demanded,
            stored=_lasts(node) and (self._stored(node.result) if node.result else prior is not None and prior.stored),
        )

    def loss_us(self, node: Node) -> float:
        """Return what the flow's next run would miss on average if the result of a node were not stored."""
        return self._losses.loss_us([node.key])

    def parcel(self, node: Node, sizes: Mapping[str, int]) -> Parcel:
        """Return the result of a node as something that takes room.

        Args:
            node: What was computed.
            sizes: The blobs it is made of, with their sizes in bytes.
        """
        return Parcel(
            key=(NOW, node.key),
            blobs=sizes,
            load_us=self._world.expected_load_us(node) or 0,
            write_us=self._world.history.costs.write(sum(sizes.values()), len(sizes)),
            choice=node.spec.materialize,
            lasting=_lasts(node),
        )

    def take(self, step: Expected) -> None:
        """Take note of a step that is new or known better; what it takes results of is known."""
        if step.key in self._losses:
            self._losses.update(step.key, step.compute_us, step.load_us)
        else:
            self._losses.append(step)

    def settle(self, shelf: Shelf, *, completed: bool) -> tuple[Shelf, tuple[str, ...]]:
        """Value everything again now that the run is over; return what is stored then, and the blobs that go.

        What was only stored for now stays if it is worth that, now that it is written.

        Args:
            shelf: What is stored.
            completed: Whether the flow came to its end, so that calls that it did not make are not expected any more.
        """
        nodes = self._world.called
        if not completed:
            nodes += [node for node in self._world.nodes if not node.called]
        final = self._shelf(self._losses_of(nodes), shelf.blobs, shelf.strangers, shelf.spared)
        for node in nodes:
            if (NOW, node.key) in shelf.lodged:
                final.admit(shelf.lodged[NOW, node.key])
            else:
                self._expect(final, node)
        gone = sorted(shelf.lent.intersection(final.idle).difference(shelf.spared()))
        for blob in gone:
            final.forget(blob)
        return final, (*gone, *final.make_room())

    @garbage_kept()
    def _losses_of(self, nodes: Iterable[Node]) -> Losses:
        steps = [self.step(node) for node in nodes]
        return Losses(self._chances(self._head.flow, steps), steps)

    def _shelf(
        self,
        losses: Losses,
        blobs: Mapping[str, int],
        strangers: Collection[str],
        spared: Callable[[], Collection[str]],
    ) -> Shelf:
        prospects = Prospects()
        prospects.add(NOW, 1.0, losses)

        def elsewhere() -> list[Parcel]:
            return self._elsewhere(prospects, losses, blobs)

        return Shelf(
            self._policy,
            self._head.budget_bytes,
            prospects,
            blobs,
            self._world.history.last_used_us,
            strangers,
            spared,
            elsewhere,
        )

    def _elsewhere(self, prospects: Prospects, losses: Losses, blobs: Mapping[str, int]) -> list[Parcel]:
        """Make the prospects know what else may run, and return what is stored of it."""
        history = self._world.history
        now = (self._head.flow, parameters_hash(self._head.parameters))
        ended = {(head.flow, head.parameters): n for n, head in enumerate(history.heads) if head.completed}
        likely = shares([*((head.flow, head.parameters) for head in history.heads), now])
        prospects.add(NOW, likely.pop(now), losses)
        found: list[Parcel] = []
        for run, share in sorted(likely.items(), key=lambda item: -item[1])[:ELSEWHERE]:
            if run in ended:
                found += self._past(prospects, " ".join(run), share, history.lineage(ended[run]), blobs)
        return found

    def _past(
        self, prospects: Prospects, name: str, share: float, lineage: Lineage, blobs: Mapping[str, int]
    ) -> list[Parcel]:
        costs = self._world.history.costs
        keys: dict[str, str] = {}
        steps: list[Expected] = []
        parcels: list[Parcel] = []
        for number, trace in enumerate(lineage.traces):
            lasting = trace.deterministic and not trace.changed_inputs
            step = Expected(
                key=str(number),
                task=trace.key,
                parents=tuple(keys[link.signature] for link in trace.parents if link.signature in keys),
                compute_us=costs.compute(trace.key, trace) or 0,
                load_us=costs.load(trace.result, trace.key) if trace.result else 0,
                demanded=trace.demanded,
                stored=lasting and trace.result is not None and self._stored(trace.result),
            )
            keys.setdefault(trace.signature, step.key)
            steps.append(step)
            if sizes := self._sizes(trace.result, blobs):
                parcels.append(Parcel((name, step.key), sizes, step.load_us, 0, lasting=lasting))
        prospects.add(name, share, Losses(self._chances(lineage.run.flow, steps), steps))
        return parcels

    def _expect(self, shelf: Shelf, node: Node) -> None:
        if sizes := self._sizes(node.result, shelf.blobs):
            shelf.expect(self.parcel(node, sizes))

    def _chances(self, flow: str, steps: Iterable[Expected]) -> Chances:
        history = self._world.history
        positions = [n for n, head in enumerate(history.heads) if head.flow == flow and head.completed]
        runs = [history.lineage(position).run for position in positions[-REMEMBERED:]]
        return chances([run.changed for run in runs if run.prior_run_id], len({step.task for step in steps}))

    def _sizes(self, result: Result | None, blobs: Mapping[str, int]) -> dict[str, int]:
        """Return the blobs of a stored result with their sizes; nothing of one that is not, or takes no room."""
        if result is None or not result.kept or not self._stored(result):
            return {}
        return {name: blobs[name] for name in result.kept if name in blobs}


def _lasts(node: Node) -> bool:
    """Return whether a later run may load the result of a node, and does not compute it in any case."""
    changed = node.prior.changed_inputs if node.original and node.prior is not None else node.changed_inputs
    return node.spec.deterministic and not changed
