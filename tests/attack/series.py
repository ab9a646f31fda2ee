"""Series: the versions of a random program, how each is run, and what befalls the store and the runs meanwhile.

All of a series follows from its scene and its seed, and is drawn before anything runs, so that it can be told, played
again, and made smaller.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.attack.edits import edit, edit_looks, make_program
from tests.attack.programs import Program
from tests.attack.trouble import Trouble, random_trouble

AMPLE_BYTES = 1 << 40

HARMS = ("removes", "damages", "removes one", "damages one", "ages", "cleans", "verifies", "removes written files")


@dataclass(frozen=True)
class Scene:
    """What a series is like. Numbers are chances in percent.

    Attributes:
        room: That budget, policy and mode of a run are random; else everything is kept.
        harm: That the store is harmed before a run.
        trouble: That something befalls a run.
        kills: That this is its end.
        crowd: That two runs go on at the same time.
        changes: That the flow's body changes an object in place, for each of its calls.
        backend: What runs the flows.
        place: Where the store is.
    """

    room: int = 0
    harm: int = 0
    trouble: int = 0
    kills: int = 0
    crowd: int = 0
    changes: int = 10
    backend: str = "lab"
    place: str = "folder"


SCENES = {
    "calm": Scene(),
    "changes": Scene(changes=60),
    "room": Scene(room=100),
    "harm": Scene(room=40, harm=80),
    "trouble": Scene(room=40, harm=20, trouble=70),
    "kills": Scene(room=40, harm=30, trouble=60, kills=100),
    "crowd": Scene(room=40, harm=20, trouble=20, kills=50, crowd=100),
    "remote": Scene(room=40, harm=40, trouble=50, kills=30, crowd=20, place="bucket"),
    "prefect": Scene(backend="prefect"),
    "prefect harm": Scene(room=40, harm=40, trouble=30, kills=40, backend="prefect"),
    "prefect remote": Scene(room=40, harm=40, trouble=30, kills=40, backend="prefect", place="bucket"),
}


@dataclass(frozen=True)
class Harm:
    """What somebody does to a store while nobody runs; `seed` chooses files."""

    what: str
    seed: int


@dataclass(frozen=True)
class Asked:
    """A run that is asked for.

    Attributes:
        program: The version.
        orders: Budget, policy and mode.
        trouble: What befalls it.
    """

    program: Program
    orders: dict[str, Any]
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Turn:
    """One step of a series.

    Attributes:
        edits: What was edited, in words.
        runs: The runs that are asked for, which go on at the same time.
        harms: What is done to the store before.
        threads: Whether several runs are threads of one process, not processes.
        map_from: From what size on files are mapped.
    """

    edits: Sequence[str]
    runs: Sequence[Asked]
    harms: Sequence[Harm] = ()
    threads: bool = False
    map_from: int = 1 << 22


@dataclass(frozen=True)
class Series:
    """What the attack plays."""

    scene: str
    seed: int
    turns: Sequence[Turn] = field(repr=False)


def make_series(scene: str, seed: int) -> Series:
    """Return the series of a scene with that seed."""
    rng = Random(f"{scene} {seed}")
    one = SCENES[scene]
    program = make_program(rng, one.changes)
    versions = [program.copy()]
    turns = [_turn(rng, one, versions, ["first version"])]
    for _ in range(rng.randint(2, 5)):
        chance = rng.randrange(100)
        if chance >= 85:
            number = rng.randint(0, len(versions) - 1)
            program, edits = versions[number].copy(), [f"back to version {number}"]
        elif chance >= 75:
            edits = ["nothing"]
        else:
            change = rng.choice([edit, edit_looks])
            edits = [change(program, rng) for _ in range(rng.randint(1, 3))]
        versions.append(program.copy())
        turns.append(_turn(rng, one, versions, edits))
    return Series(scene, seed, turns)


def _turn(rng: Random, scene: Scene, versions: list[Program], edits: list[str]) -> Turn:
    def happens(percent: int) -> bool:
        return rng.randrange(100) >= 100 - percent

    harms = [Harm(rng.choice(HARMS), rng.randrange(1 << 30)) for _ in range(rng.randint(1, 2))]
    trouble = random_trouble(rng, kills=happens(scene.kills)) if happens(scene.trouble) else None
    runs = [Asked(versions[-1], _orders(rng, happens(scene.room)), trouble)]
    threads = happens(40)
    if happens(scene.crowd) and "task_writing" not in versions[-1].kinds:
        other = rng.choice([versions[-1], rng.choice(versions)])
        if threads or "task_writing" in other.kinds:
            other = versions[-1].copy()
            other.parameter += rng.choice([0, 1])
        runs.append(Asked(other, _orders(rng, happens(scene.room))))
    return Turn(
        edits,
        runs,
        harms if len(versions) > 1 and happens(scene.harm) else [],
        threads and len(runs) > 1,
        rng.choice([1 << 16, 1 << 22]),
    )


def _orders(rng: Random, random: bool) -> dict[str, Any]:
    if not random:
        return {"policy": "always", "budget": AMPLE_BYTES, "mode": "auto"}
    return {
        "policy": rng.choice(["auto", "always", "helix", "never"]),
        "budget": rng.choice([0, 100_000, 400_000, AMPLE_BYTES]),
        "mode": rng.choice(["auto", "auto", "auto", "auto", "recompute", "verify"]),
    }


def told(series: Series) -> Iterator[str]:
    """Yield the lines of a series: its program, and what is edited and befalls it turn by turn."""
    files: dict[str, str] = {}
    for number, turn in enumerate(series.turns):
        yield f"=== turn {number}: {', '.join(turn.edits)}"
        yield from (f"before it, somebody {harm.what} (seed {harm.seed})" for harm in turn.harms)
        for asked in turn.runs:
            befalls = f"; trouble: {asked.trouble}" if asked.trouble else ""
            yield f"run with p={asked.program.parameter}, source={asked.program.content}, {asked.orders}{befalls}"
            now = asked.program.files()
            for name in sorted({*files, *now}):
                before, after = files.get(name, "").splitlines(), now.get(name, "").splitlines()
                yield from difflib.unified_diff(before, after, name, name, n=2, lineterm="")
            files = now
        if len(turn.runs) > 1:
            yield "at the same time, " + ("as threads" if turn.threads else "as processes")


def smaller(series: Series) -> Iterator[Series]:
    """Yield series that are a little less than this one: a turn, a harm, a run or a step of the flow fewer."""
    turns = series.turns
    for number in reversed(range(len(turns))):
        if len(turns) > 1:
            yield replace(series, turns=[*turns[:number], *turns[number + 1 :]])
    for number, turn in enumerate(turns):
        for fewer in _smaller_turns(turn):
            yield replace(series, turns=[*turns[:number], fewer, *turns[number + 1 :]])
    names = dict.fromkeys(name for turn in turns for asked in turn.runs for name in _removable(asked.program))
    for name in names:
        yield replace(series, turns=[_without(turn, name) for turn in turns])


def _smaller_turns(turn: Turn) -> Iterator[Turn]:
    for number in range(len(turn.harms)):
        yield replace(turn, harms=[*turn.harms[:number], *turn.harms[number + 1 :]])
    for number, asked in enumerate(turn.runs):
        if len(turn.runs) > 1:
            yield replace(turn, runs=[*turn.runs[:number], *turn.runs[number + 1 :]], threads=False)
        if asked.trouble is not None:
            yield replace(turn, runs=[*turn.runs[:number], replace(asked, trouble=None), *turn.runs[number + 1 :]])


def _removable(program: Program) -> Iterator[str]:
    """Yield what a program can do without: variables, ``change of`` one, and definitions."""
    used = {name for call in program.flow for name in (*call.inputs, *call.waits)}
    yield from (name for name in reversed(program.targets) if name not in used)
    yield from (f"change of {call.inputs[0]}" for call in program.flow if call.shape == "change")
    needed = {use for definition in program.definitions.values() for use in definition.uses}
    needed |= {name for call in program.flow for name in (*call.tasks, call.task, call.other, call.helper)}
    yield from (name for name in program.definitions if name not in needed and name != "num")


def _without(turn: Turn, name: str) -> Turn:
    return replace(turn, runs=[replace(asked, program=_cut(asked.program, name)) for asked in turn.runs])


def _cut(program: Program, name: str) -> Program:
    cut = program.copy()
    if name not in _removable(cut):
        return cut
    if name in cut.definitions:
        del cut.definitions[name]
        return cut
    at = next(
        number
        for number, call in enumerate(cut.flow)
        if name in (call.target, f"change of {call.inputs[0]}" if call.shape == "change" else "")
    )
    if cut.flow[at].target and len(cut.targets) == 1:
        return cut
    del cut.flow[at]
    cut.returned = [each for each in cut.returned if each in cut.targets] or [cut.targets[-1]]
    return cut
