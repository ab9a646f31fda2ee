"""Plays series: writes versions out, harms the store, has them run, and judges every run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.attack import trouble
from tests.attack.kinds import UNTIMELY
from tests.attack.places import PLACES, Place
from tests.attack.predicate import Body, Case, Known, Ran, Snapshot, judge, snapshot
from tests.attack.programs import Program
from tests.attack.series import AMPLE_BYTES, SCENES, Asked, Series, Turn, make_series, smaller, told
from tests.attack.trouble import COUNTED
from tests.attack.vandal import Vandal

ROOT = Path(__file__).parents[2]


NO_PROGRAM = "without reuse, the program does not come to its end"


class WrongError(AssertionError):
    """A promise was broken."""


class NotJudgedError(Exception):
    """Prefect's server did not answer, so that a run could not be done: nothing is known of it."""


class Runner:
    """A process that runs versions of projects; see `runner`.

    Args:
        backend: What runs flows: ``lab`` or ``prefect``.
        place: Where series are played: one of `PLACES`.
        environment: Further environment variables.

    Attributes:
        backend: What runs flows.
        place: Where series are played.
    """

    def __init__(self, backend: str = "lab", place: str = "folder", **environment: str) -> None:
        self.backend = backend
        self._servers = ExitStack()
        self.place: Place = self._servers.enter_context(PLACES[place]())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.runner", backend],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(self.place.folder),  # what killed runs leave
                **self.place.environment,
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Have processes run, at the same time; return what each told and how it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that runs flows has ended"
        found: list[dict[str, Any]] = json.loads(line)
        return found

    def close(self) -> None:
        self._process.communicate()
        self._servers.close()


class Attack:
    """One series as it is played.

    Args:
        series: The series.
        runner: Runs it.
        folder: Where its project, its data and its store are.
        tally: Counts what was done.
        system: Which system of `wrong` is attacked.
    """

    def __init__(self, series: Series, runner: Runner, folder: Path, tally: Counter[str], system: str) -> None:
        self._series, self._runner, self._folder, self._tally, self._system = series, runner, folder, tally, system
        self._store = folder / "store"
        self._url = f"{runner.place.url}/{folder.name}/store"
        self._known = Known()
        self._vandal = Vandal(self._store, self._url, runner.place, folder / "files", tally)
        scene = SCENES[series.scene]
        self._calm = not any((scene.room, scene.harm, scene.trouble, scene.crowd))
        self._remade = any("task_object" in a.program.kinds for turn in series.turns for a in turn.runs)
        self._runs = 0

    def play(self) -> None:
        """Take all turns.

        Raises:
            WrongError: If a promise is broken; says which, and how it came to that.
            NotJudgedError: If a run could not be done.
        """
        self._store.mkdir()
        for place in ("files", "plain"):
            (self._folder / place).mkdir()
        self._tally["flows"] += 1
        for number, turn in enumerate(self._series.turns):
            wrong = self._turn(turn)
            if wrong:
                raise WrongError(f"turn {number}: " + "\n".join(wrong))

    def _turn(self, turn: Turn) -> list[str]:
        self._tally["edits"] += sum(edit not in ("nothing", "first version") for edit in turn.edits)
        wrong = [each for harm in turn.harms for each in self._vandal.do(harm)]
        before = snapshot(self._store)
        orders = [self._order(turn, [asked], which) for which, asked in enumerate(turn.runs)]
        if turn.threads:
            orders = [self._order(turn, turn.runs, 0)]
        plain = [self._plain(asked, which) for which, asked in enumerate(turn.runs)]
        answers = self._runner.run([*plain, *orders])
        _check_answered(answers)
        wants = [_told(answer, self._runs + 1 + which) for which, answer in enumerate(answers[: len(plain)])]
        for want in wants:
            if want["outcome"] is None:
                return [f"{NO_PROGRAM}: {want}"]
        going = answers[len(plain) :]
        gots = [_told(going[0 if turn.threads else which], self._runs + 1 + which) for which in range(len(turn.runs))]
        self._runs += len(turn.runs)
        after = snapshot(self._store)
        for path in {path for got in gots for path in got["harmed"]}:
            self._vandal.harmed[path] = after.files.get(path)
        broke = [each for got in gots for each in got["broke"]]
        runs = [
            self._ran(turn.runs[0] if turn.threads else asked, asked, got, want)
            for asked, got, want in zip(turn.runs, gots, wants, strict=True)
        ]
        case = Case(runs, before, after, self._known, self._vandal.harmed, self._calm)
        wrong += [f"broke: {each}" for each in broke] + judge(case) + self._tidied(case)
        for run in runs:
            self._known.take(run, run.run_id or _run_id(after, before) if len(runs) == 1 else run.run_id)
            self._tally["runs"] += 1
            self._tally["bodies"] += len(run.executed)
        for got in gots[:1] if turn.threads else gots:  # each process once
            self._tally.update(COUNTED[what] for what in got["befell"])
            self._tally[COUNTED["kills"]] += os.WIFSIGNALED(got["status"])
        self._tally["pairs"] += len(runs) > 1
        return wrong

    # -- what is asked for ----------------------------------------------------------------------------------------

    def _order(self, turn: Turn, asked: Any, which: int) -> dict[str, Any]:
        one = asked[0]
        return {
            "folder": str(self._write(one.program, which)),
            "store": self._url,
            "files": str(self._store),
            "server": self._runner.place.server,
            "place": str(self._folder / "files"),
            "map_from": turn.map_from,
            "trouble": trouble.to_json(one.trouble),
            "system": self._system,
            "runs": [
                {
                    "number": self._runs + 1 + which + more,
                    "reuse": True,
                    "parameters": self._parameters(each.program),
                    "orders": each.orders,
                }
                for more, each in enumerate(asked)
            ],
        }

    def _plain(self, asked: Asked, which: int) -> dict[str, Any]:
        run = {
            "number": self._runs + 1 + which,
            "reuse": False,
            "parameters": self._parameters(asked.program),
            "orders": {"policy": "never", "budget": AMPLE_BYTES},
        }
        return {
            "folder": str(self._folder / f"place{asked.program.folder}-{which}"),
            "store": str(self._folder / "nothing"),
            "files": "",
            "server": 0,
            "place": str(self._folder / "plain"),
            "map_from": 1 << 22,
            "trouble": None,
            "system": "nothing",
            "runs": [run],
        }

    def _parameters(self, program: Program) -> dict[str, Any]:
        source = self._folder / f"data{program.content}"
        source.write_text(str(program.content))
        return {"p": program.parameter, "source": str(source)}

    def _write(self, program: Program, which: int) -> Path:
        source = self._folder / f"place{program.folder}-{which}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        for name, text in program.files().items():
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_text(text)
        return source

    # -- what came of it ------------------------------------------------------------------------------------------

    def _ran(self, befallen: Asked, asked: Asked, got: Mapping[str, Any], want: Mapping[str, Any]) -> Ran:
        program = asked.program
        return Ran(
            orders=asked.orders,
            executed=[
                Body(call, task, json.dumps(arguments), _key(program, task, arguments))
                for call, task, arguments in got["ran"]
            ],
            outcome=got["outcome"],
            wanted=want["outcome"],
            open=lambda body: self._is_open(program, body),
            trouble=str(befallen.trouble or ""),
            **{name: got[name] for name in _TOLD if name in got},
        )

    def _is_open(self, program: Program, body: Body) -> bool:
        """Return whether a task may compute again.

        It may where it is declared to, where it failed, where it waits for another one, where what it does in place or
        to a file is done anew, and where it takes an object that was made anew, since equal states of that prove
        nothing.
        """
        definition = program.definitions[body.task]
        if "deterministic" in definition.options or definition.kind in UNTIMELY:
            return True
        if program.shares and self._runner.backend == "prefect":  # what was changed before it could be written
            return True
        if any(call.waits for call in program.flow if body.task in call.tasks):
            return True
        return '["object"' in body.given and (self._remade or not self._calm)

    def _tidied(self, case: Case) -> list[str]:
        """Return what dead runs left days ago that an undisturbed run has not swept."""
        if not case.is_quiet or not any(path not in case.before.files for path in case.after.files):
            return []
        left = sorted(path for path in self._vandal.aged & case.after.files.keys() if path.startswith(".aside/"))
        return [f"left: {path} of a run that was killed days ago" for path in left]


_TOLD = ("run_id", "warnings", "most_bytes", "mismatched", "escaped")


def _told(answer: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return what a process told of one of its runs."""
    lines = answer["told"]
    ended = next((told for what, told in lines if what == "ended" and told["number"] == number), {"outcome": None})
    return {
        **ended,
        "ran": [told[1:] for what, told in lines if what == "ran" and told[0] == number],
        "befell": [told for what, told in lines if what == "befell"],
        "harmed": [told for what, told in lines if what == "harmed"],
        "broke": [told for what, told in lines if what == "broke"],
        "status": answer["status"],
    }


def _check_answered(answers: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that no run went without an answer of Prefect's server, and failed or did not end.

    Raises:
        NotJudgedError: If one did.
    """
    for answer in answers:
        lines = answer["told"]
        unanswered = [told for what, told in lines if what == "unanswered"]
        ends = [told["outcome"] for what, told in lines if what == "ended"]
        if unanswered and any(gave[0] != "gave" for gave in ends or [("nothing",)]):
            raise NotJudgedError(f"Prefect's server did not answer: {unanswered}; the run: {ends}")


def _run_id(after: Snapshot, before: Snapshot) -> str:
    """Return the id of the one run that is new, if what it journaled tells it."""
    new = {one.run.run_id for one in after.lineages} - {one.run.run_id for one in before.lineages}
    return new.pop() if len(new) == 1 else ""


def _key(program: Program, task: str, arguments: Any) -> str:
    """Return what a task's result follows from: its version, its arguments, and the code that these bring."""
    text = json.dumps(arguments)
    calls = [call for call in program.flow if task in call.tasks]
    brought = [program.as_value(call.helper) for call in calls if call.given in ("function", "object")]
    brought += [program.version(name) for name in program.definitions if f'"{name}"' in text]
    forms = sorted({program.form(call) for call in calls})  # a value that was a future is another argument
    return json.dumps([task, program.version(task), arguments, brought, forms])


def play(series: Series, runner: Runner, tally: Counter[str], system: str) -> None:
    """Play a series in a folder of its own.

    Raises:
        WrongError: If a promise is broken.
        NotJudgedError: If a run could not be done.
    """
    folder = Path(tempfile.mkdtemp(dir=runner.place.folder))
    try:
        Attack(series, runner, folder, tally, system).play()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def attack(
    scene: str, seed: int, runner: Runner, tally: Counter[str], *, system: str = "nothing", tries: int = 60
) -> None:
    """Make the series of a seed and play it; one that goes wrong is made smaller, and told whole.

    Raises:
        WrongError: If a promise is broken.
        NotJudgedError: If a run could not be done.
    """
    series = make_series(scene, seed)
    try:
        play(series, runner, tally, system)
    except WrongError as error:
        if NO_PROGRAM in str(error):  # nothing that a smaller one would show
            tries = 0
        small, wrong = shrunk(series, str(error), runner, system, tries)
        raise WrongError(
            "\n".join([*told(small), wrong, f"Again: python -m tests.attack --scene '{scene}' --seed {seed}"])
        ) from error


def shrunk(series: Series, wrong: str, runner: Runner, system: str, tries: int) -> tuple[Series, str]:
    """Return a smaller series that goes wrong in the same way, and how."""
    kind = _kind(wrong)
    candidates = smaller(series)
    for _ in range(tries):
        one = next(candidates, None)
        if one is None:
            break
        try:
            play(one, runner, Counter(), system)
        except WrongError as error:
            if _kind(str(error)) == kind:
                series, wrong, candidates = one, str(error), smaller(one)
        except NotJudgedError:
            continue
    return series, wrong


def _kind(wrong: str) -> str:
    return wrong.partition(": ")[2].partition(":")[0]
