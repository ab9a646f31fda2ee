"""Random generators that outlive a call: the state they were made with counts, not what has been drawn since.

What a task draws changes what the next one draws, so that those who share a generator are computed in every run, or
in none: a task that reaches one is not deterministic. The state that it is first seen in follows the code that makes
it, wherever that is, and is the same in every run.
"""

from __future__ import annotations

import random
import sys

from prefect_helix.core.fingerprint.live import content_of
from prefect_helix.core.recent import Recent

_GENERATORS = {"numpy.random": ("Generator", "BitGenerator", "RandomState"), "torch": ("Generator",)}


def is_generator(value: object) -> bool:
    """Return whether `value` is a random generator, of Python, NumPy or PyTorch."""
    loaded = [(sys.modules.get(library), names) for library, names in _GENERATORS.items()]
    kinds = [getattr(module, name, ()) for module, names in loaded for name in names]
    return isinstance(value, (random.Random, *kinds))


def is_shared(generator: object) -> bool:
    """Return whether a generator is that of Python or NumPy themselves, behind ``random.random`` and the like."""
    draws = random.random, getattr(sys.modules.get("numpy.random"), "rand", None)
    return any(getattr(draw, "__self__", None) is generator for draw in draws)


def first_state(generator: object) -> str:
    """Return the digest of the state that a generator was in when this process first asked for it."""
    known = _first.get(id(generator)) or (generator, content_of(generator).hex)
    _first.put(id(generator), known)
    return known[1]


_first: Recent[int, tuple[object, str]] = Recent(512)  # with the generator: an identity is not to be used again
