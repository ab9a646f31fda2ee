from __future__ import annotations

import json
from itertools import permutations

import pytest

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.remarks import REMARK_KINDS, Note, Remark, Remarks, Tag, checked_tag
from prefect_helix.core.written import Withdrawal, record_from_json, record_to_json

REMARKS: tuple[Remark, ...] = (
    Tag("a", 1, "best", "run-1"),
    Note("b", 2, "run-1", "größer,\nbetter"),
    Tag("c", 3, "best", "run-2"),
    Note("d", 3, "run-1", "not so"),
    Withdrawal("e", 4, "d"),
    Tag("f", 5, "old", "run-1"),
    Tag("g", 6, "old", ""),
)


def test_a_tag_names_one_run_the_one_it_was_given_to_last() -> None:
    remarks = Remarks.of(REMARKS)
    assert {name: tag.run for name, tag in remarks.tags.items()} == {"best": "run-2"}
    assert (remarks.tags_of("run-1"), remarks.tags_of("run-2")) == ((), ("best",))


def test_notes_are_kept_in_their_order_and_those_withdrawn_are_left_out() -> None:
    assert Remarks.of(REMARKS).notes_of("run-1") == (REMARKS[1],)
    assert Remarks.of(REMARKS).notes_of("run-2") == ()


def test_what_is_said_at_one_time_has_one_order_for_every_reader() -> None:
    tied = [Tag("a", 1, "best", "run-1"), Tag("b", 1, "best", "run-2"), Tag("c", 1, "best", "")]
    assert {tuple(Remarks.of(order).tags) for order in permutations(tied)} == {()}


@pytest.mark.parametrize("remark", REMARKS, ids=lambda remark: remark.id)
def test_remarks_come_back_equal(remark: Remark) -> None:
    assert record_from_json(json.loads(json.dumps(record_to_json(remark))), REMARK_KINDS) == remark


@pytest.mark.parametrize("name", ["best", "v1.2", "paper/figure-3", "größer", "7"])
def test_a_name_that_a_run_can_have(name: str) -> None:
    assert checked_tag(name) == name


@pytest.mark.parametrize("name", ["", "last", "last~3", "-n", "a b", "a\x1b[31m", "x" * 81, "a\n"])
def test_a_name_that_no_run_can_have(name: str) -> None:
    with pytest.raises(ConfigurationError):
        checked_tag(name)
