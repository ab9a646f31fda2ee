"""What the pages keep of the runs that they have shown."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.web.holdings import Holdings

Make = Callable[..., Any]


class Made:
    """A summary, or a picture."""


def test_summaries_are_kept_by_the_thousand_and_pictures_by_the_dozen(make_site: Make, make_run: Make) -> None:
    library = make_site().library
    runs = [make_run(1, (), run_id=f"run-{number}").run for number in range(1_000)]
    summaries = [library.remembered("summary", run, Made) for run in runs]
    pictures = [weakref.ref(library.remembered("picture", run, Made)) for run in runs]
    last = pictures[-1]()
    gc.collect()
    assert [library.remembered("summary", run, Made) for run in runs] == summaries
    assert library.remembered("picture", runs[-1], Made) is last is not None
    assert sum(one() is not None for one in pictures) <= 100


def test_nothing_is_kept_of_a_run_that_goes_on(make_site: Make, make_run: Make) -> None:
    library = make_site().library
    run = make_run(1, (), status="running", finished_us=None).run
    assert library.remembered("picture", run, Made) is not library.remembered("picture", run, Made)


class Traces(tuple[Trace, ...]):
    """The steps of a run, which know how often they were read."""

    reads = 0

    def __iter__(self) -> Iterator[Trace]:
        Traces.reads += 1
        return super().__iter__()


def test_a_run_that_goes_on_or_was_killed_is_read_again_only_when_there_is_more_of_it(
    make_site: Make, make_run: Make, make_trace: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_helix.web.holdings.PATIENCE_SECONDS", 60.0)
    holdings, archive = Holdings(), make_site().library.archive()
    run = make_run(1, (), status="running", finished_us=None).run
    steps = [make_trace(task, at, task) for at, task in enumerate(("scan", "clean"))]
    reads = []
    for count in (1, 1, 1, 2, 2):
        holdings.read(replace(archive, lineages=(Lineage(run, Traces(steps[:count])),)))
        reads.append(Traces.reads)
    assert reads == [1, 1, 1, 2, 2]
