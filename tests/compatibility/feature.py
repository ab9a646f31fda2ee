"""What a feature is: the text of a small project, an edit of it, and the task bodies that have to run."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

PRELUDE = """\
import asyncio
import logging
import threading

import prefect
from prefect import flow, task, unmapped
{imports}

ran = logging.getLogger("ran").info
"""
PLAIN = "from prefect import flow as helix_flow, task as helix_task"
HELIX = "from prefect_helix import helix_flow, helix_task"


@dataclass(frozen=True)
class Feature:
    """One way to use Prefect, as a text that is run with Prefect's decorators and with ours.

    Attributes:
        name: What Prefect does, as a sentence.
        text: A module. Its names `helix_task` and `helix_flow` are Prefect's own or ours, which is the only difference;
            `task` and `flow` are always Prefect's. A body says with ``ran("name")`` that it ran. It is run by calling
            ``main()`` or, where it has one, ``play(turn)``.
        edit: What is replaced by what before the last turn; it has to occur once.
        ran: What runs with ours in a first run, in the same again, and after the edit. Separated by spaces.
        concurrent: Whether what runs has no certain order.
        says: Words of the warnings that are given with ours; there may be no others.
        differs: Why the server's records of runs that spare something are not those of plain Prefect; empty if they
            are, names of states aside.
    """

    name: str
    text: str
    edit: tuple[str, str]
    ran: tuple[str, str, str]
    concurrent: bool = False
    says: tuple[str, ...] = ()
    differs: str = ""

    def source(self, turn: str, *, helix: bool) -> str:
        """Return the module's source for a turn: ``fresh``, ``unchanged`` or ``edited``."""
        old, new = self.edit
        text = textwrap.dedent(self.text)
        assert text.count(old) == 1, f"{self.name}: {old!r} occurs {text.count(old)} times"
        prelude = PRELUDE.format(imports=HELIX if helix else PLAIN)
        return prelude + (text.replace(old, new) if turn == "edited" else text)
