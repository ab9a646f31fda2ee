"""The file of results: a line of JSON for each measurement, appended when it is made, so that a race can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .bound import Call


class OtherRaceError(Exception):
    """The file has the results of a race over other data."""


@dataclass(frozen=True)
class Measurement:
    """One iteration of one system.

    Attributes:
        workload: Name of the flow.
        system: Name of the system.
        repeat: Which of the repeats, from 0.
        iteration: Which version of the flow: 0 is before all edits.
        change: The edit before it.
        body_seconds: Time of the flow's body; None if it failed.
        task_seconds: Time in bodies of tasks, of all threads together; None if that is not known.
        process_seconds: Time of the whole process.
        cpu_seconds: Time of the processor that it took; far less where the machine was busy with something else.
        stored_bytes: What the system had stored when the process had ended.
        peak_bytes: Peak of the process's memory.
        digest: Of what the flow returned.
        rounded: The same, with nine significant digits of each float.
        computed: How often which task's body ran; None if that is not known.
        calls: What the lower bound is made of, for the system `bound`.
        failure: Why there is no result; empty if there is.
    """

    workload: str
    system: str
    repeat: int
    iteration: int
    change: str
    body_seconds: float | None = None
    task_seconds: float | None = None
    process_seconds: float = 0.0
    cpu_seconds: float = 0.0
    stored_bytes: int = 0
    peak_bytes: int = 0
    digest: str = ""
    rounded: str = ""
    computed: Mapping[str, int] | None = None
    calls: tuple[Call, ...] = field(default=(), repr=False)
    failure: str = ""

    @property
    def place(self) -> tuple[str, int, int, str]:
        """What is measured once: workload, repeat, iteration and system."""
        return self.workload, self.repeat, self.iteration, self.system


class Results:
    """What was measured, in a file."""

    def __init__(self, file: Path) -> None:
        """Read the file, if there is one.

        A last line that was not written to its end is left out; `begin` removes it.
        """
        self.race: dict[str, Any] = {}  # what was raced on what data
        self.sessions: list[dict[str, Any]] = []  # machine, versions and date, each time that the race went on
        self.version_bytes: dict[str, int] = {}  # all bytes of one version, by workload
        self.measurements: dict[tuple[str, int, int, str], Measurement] = {}
        self._file = file
        text = file.read_bytes() if file.exists() else b""
        self._whole_bytes = text.rfind(b"\n") + 1
        for line in text[: self._whole_bytes].splitlines():
            self._take(json.loads(line))

    def begin(self, race: Mapping[str, Any], session: Mapping[str, Any]) -> None:
        """Begin a race, or go on with it.

        Raises:
            OtherRaceError: If the file has another race, of which nothing can be compared.
        """
        if self._file.exists():
            os.truncate(self._file, self._whole_bytes)
        if not self.race:
            self._append({"race": dict(race)})
        elif self.race != dict(race):
            raise OtherRaceError(f"{self._file} is of a race over {self.race}, not {dict(race)}. Name another file.")
        self._append({"session": dict(session)})

    def size(self, workload: str, version_bytes: int) -> None:
        """Add the bytes of one version of a workload, which budgets are shares of."""
        self._append({"version_bytes": version_bytes, "workload": workload})

    def add(self, measurement: Measurement) -> None:
        """Add a measurement."""
        self._append({"measurement": asdict(measurement)})

    def _append(self, entry: dict[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "race" in entry:
            self.race = entry["race"]
        elif "session" in entry:
            self.sessions.append(entry["session"])
        elif "version_bytes" in entry:
            self.version_bytes[entry["workload"]] = entry["version_bytes"]
        else:
            fields = entry["measurement"]
            calls = tuple(Call(*call)._replace(parents=tuple(call[4])) for call in fields["calls"])
            measurement = Measurement(**{**fields, "calls": calls})
            self.measurements[measurement.place] = measurement
