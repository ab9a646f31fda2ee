"""What the pages keep of the runs that they have shown."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

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
