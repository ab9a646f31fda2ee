"""What people say of runs: a name that one of them is to have, and notes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeAlias

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.written import Records, Withdrawal

LAST = re.compile(r"last(?:~(\d{1,9}))?")
"""What names a run by its age, so that no run can be given it as a name."""

_NAME = re.compile(r"\w[\w.+/@-]{0,79}")


@dataclass(frozen=True, slots=True)
class Tag:
    """From now on a name is that of this run, and of no other one.

    Attributes:
        id: Its own name.
        at_us: When it was given, since the epoch.
        name: The name.
        run: Id of the run; empty if it is no run's name any more.
    """

    kind: ClassVar[str] = "tag"

    id: str
    at_us: int
    name: str
    run: str


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody has to say of a run.

    Attributes:
        id: Its name.
        at_us: When it was written, since the epoch.
        run: Id of the run.
        text: What is said.
    """

    kind: ClassVar[str] = "note"

    id: str
    at_us: int
    run: str
    text: str


Remark: TypeAlias = Tag | Note | Withdrawal

REMARK_KINDS: Mapping[str, type[Tag] | type[Note] | type[Withdrawal]] = {
    one.kind: one for one in (Tag, Note, Withdrawal)
}


@dataclass(frozen=True)
class Remarks(Records[Remark]):
    """All remarks of a store."""

    @cached_property
    def tags(self) -> Mapping[str, Tag]:
        """The tags that a run has, by name; of several with one name the newest holds."""
        newest = {one.name: one for one in self.all if isinstance(one, Tag)}
        return {name: newest[name] for name in sorted(newest) if newest[name].run}

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """The notes that were not withdrawn, oldest first."""
        return tuple(one for one in self.all if isinstance(one, Note) and one.id not in self.withdrawn)

    def tags_of(self, run_id: str) -> tuple[str, ...]:
        """Return the tags of a run."""
        return tuple(name for name, tag in self.tags.items() if tag.run == run_id)

    def notes_of(self, run_id: str) -> tuple[Note, ...]:
        """Return the notes on a run, oldest first."""
        return tuple(note for note in self.notes if note.run == run_id)


def checked_tag(name: str) -> str:
    """Return `name` if a run can have it.

    Raises:
        ConfigurationError: If not.
    """
    if LAST.fullmatch(name):
        raise ConfigurationError("tag", name, "It names a run by its age; choose another one.")
    if not _NAME.fullmatch(name):
        remedy = "Give up to 80 letters, digits and . _ - + / @, a letter or a digit first, such as best or paper/v1."
        raise ConfigurationError("tag", name, remedy)
    return name
