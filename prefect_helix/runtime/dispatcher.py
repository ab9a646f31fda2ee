"""Hands submitted calls to the task runner, once it is known that they compute and no thread would wait for another.

A task runner may have a single thread, and whatever is in it stays until it has ended. So a call is handed over only
when all that it waits for has ended or was handed over before it; until then it is put off, and looked at again.
"""

from __future__ import annotations

from functools import partial

from prefect_helix.core.graph import Decision
from prefect_helix.runtime.computing import Engine
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.scheduler import Scheduler, freeze, is_open
from prefect_helix.runtime.world import World


class Dispatcher:
    """Starts the submitted calls of one run.

    Args:
        world: The nodes.
        scheduler: Computes what is not submitted, and knows what is claimed.
        keeper: The store.
        engine: What the calls are handed to.
    """

    def __init__(self, world: World, scheduler: Scheduler, keeper: Keeper, engine: Engine) -> None:
        self._world = world
        self._scheduler = scheduler
        self._keeper = keeper
        self._engine = engine

    def submit(self, node: Node) -> None:
        """Start a call made through a task runner, if it is to compute."""
        if self._start_if_due(node):
            self.settled(node)
        if not node.started:
            freeze(node)  # the flow goes on, and may change what it gave

    def start(self, node: Node) -> None:
        """Hand a node to the task runner, after the parents it needs, so that no thread of it waits for them."""
        if node.started or node.given_up:
            return
        scheduler = self._scheduler
        needed, looked_at = scheduler.needed(node), set[str]()
        while pending := [parent for parent in needed if parent.provisional and parent.submitted]:
            parked = [parent for parent in pending if parent.parked and parent.key not in looked_at]
            if not parked:
                self._put_off(node, pending[-1])  # until it is known whether that computes; the others are by then, too
                return
            for parent in parked:
                looked_at.add(parent.key)
                self._unpark(parent)
            needed = scheduler.needed(node)
        for one in (*needed, node):
            ahead = [awaited for awaited in one.awaited if is_open(awaited) and not awaited.handed_over]
            if ahead:  # a thread that waited for one of them could be the one that it needs
                self._put_off(node, ahead[-1])
                return
            if not one.submitted:
                scheduler.now(scheduler.attempt(one, scheduler.compute(one)))
            elif scheduler.claim(one):
                with scheduler.failing(one):
                    scheduler.prepare(one)
                    if scheduler.is_long(one) and not self._engine.apart:
                        self._keeper.flush()
                    self._engine.start(one)
                scheduler.handed_over(one)

    def settled(self, node: Node) -> None:
        """Let everybody know that nobody has to wait for the node, and look again at the calls that waited for it.

        A lazy call that nobody has asked for yet is passed over: somebody may wait for it, because of what it takes.
        """
        settled, passed = [node], set[str]()
        while settled:
            node = settled.pop()
            if not self._scheduler.mark_settled(node):
                continue
            with self._scheduler.lock:
                children = self._world.children(node)
                waiting = [c for c in children if c.submitted and not (c.started or c.waits_for_many)]
            for child in waiting:
                if child.settled.is_set():
                    if child.parked and child.key not in passed:
                        passed.add(child.key)
                        settled.append(child)
                    continue
                if self._need_not_be_waited_for(child):
                    settled.append(child)

    def _start_if_due(self, node: Node) -> bool:
        """Start a submitted call if it is due; return whether it turned out that nobody need wait for it.

        While it depends on parents that compute whether it is original, those are started, and it waits for them.
        """
        if node.provisional:
            for parked in self._world.parked_for(node):
                self._unpark(parked)
            for parent in node.parents:
                if parent.original and not (parent.started or (parent.submitted and parent.provisional)):
                    self.start(parent)
            if any(p.original and not p.failed for p in node.parents):
                return False
            self._scheduler.reclassify(node)
        if not self._is_due(node):
            return True
        self.start(node)
        return False

    def _unpark(self, node: Node) -> None:
        """Look again at a parked call, of which it is open by now whether it computes, for those who take its value.

        It stays settled unless it has to wait or is due, so that nobody comes to wait for what is not told again.
        """
        with self._scheduler.lock:
            if not node.parked:
                return
            if not any(p.original and not p.failed for p in node.parents):
                self._scheduler.reclassify(node)
                if not self._is_due(node):
                    return
            node.settled.clear()
        if self._need_not_be_waited_for(node):
            self.settled(node)

    def _put_off(self, node: Node, until: Node) -> None:
        """Look at a node again once nobody has to wait for another one any more."""
        self._scheduler.when_settled(until, partial(self._look_again, node))

    def _look_again(self, node: Node) -> None:
        if not (node.started or node.settled.is_set()) and self._need_not_be_waited_for(node):
            self.settled(node)

    def _need_not_be_waited_for(self, node: Node) -> bool:
        """Start a submitted call if it is due by now; see `_start_if_due`.

        One that cannot be started has failed, so that whoever asks for it is told and nobody waits for it in vain.
        """
        try:
            return self._start_if_due(node)
        except Exception as error:
            if self._scheduler.claim(node):
                self._scheduler.fail(node, error)
            return False

    def _is_due(self, node: Node) -> bool:
        """Return whether a submitted node starts without anybody asking for its value."""
        if node.original:
            return not (node.spec.lazy and freeze(node))
        if node.decision is Decision.COMPUTE and (node.demanded or self._feeds(node)):
            return True
        return not self._scheduler.deferrable(node)

    def _feeds(self, node: Node) -> bool:
        """Return whether something that is certain to compute takes the node's value."""
        return any(child.decision is Decision.COMPUTE and not child.provisional for child in self._world.children(node))
