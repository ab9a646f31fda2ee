"""Maximum flow by SciPy's Dinic, in exact integers of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow as dinic

if TYPE_CHECKING:
    from prefect_helix.core.planner.network import Network

_MOST = 2**30 - 1  # SciPy adds what flows through an arc to the capacity of its reverse


def maximum_flow(network: Network) -> list[int]:
    """Return the flow on each arc of a maximum flow from SOURCE (0) to SINK (1).

    SciPy counts in 32 bits and cuts off what is more without a word. So the capacities are divided by a scale, rounded
    down, and what the flow leaves of them is solved again at a smaller scale, down to 1. A round leaves less than one
    scale on each arc of some cut, so that the scale falls by a factor of 2**30 / arcs a round.
    """
    tails, heads = np.array(network.tails), np.array(network.heads)
    capacities = np.array(network.capacities, dtype=np.int64 if max(network.capacities) < 2**62 else object)
    # the matrix has each arc and its reverse, so that the flow comes back in the same places
    places = np.concatenate([tails, heads]) * network.vertices + np.concatenate([heads, tails])
    order = np.argsort(places)
    rows, columns = np.divmod(places[order], network.vertices)
    starts = np.searchsorted(rows, np.arange(network.vertices + 1)).astype(np.int32)
    columns = columns.astype(np.int32)
    forward = np.argsort(order)[: len(tails)]

    flows = np.zeros_like(capacities)
    most = sum(c for head, c in zip(network.heads, network.capacities, strict=True) if head == 1)
    while most > 0:  # that much may still flow
        scale = -(-most // _MOST)
        left = np.concatenate([capacities - flows, flows])[order] // scale
        graph = csr_array((np.minimum(left, _MOST).astype(np.int32), columns, starts), shape=(network.vertices,) * 2)
        flows = flows + dinic(graph, 0, 1).flow.data[forward].astype(flows.dtype) * scale
        most = 0 if scale == 1 else scale * len(tails)
    found: list[int] = flows.tolist()
    return found
