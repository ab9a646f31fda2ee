"""What values are said to be."""

from __future__ import annotations

import pytest
from sklearn.ensemble import RandomForestClassifier

from prefect_helix.views.values import kind_of


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1.5, "float"),
        ([1, 2], "list, 2 items"),
        ("abc", "str, 3 characters"),
        (RandomForestClassifier(), "sklearn.RandomForestClassifier"),  # its __len__ raises until it is fitted
    ],
)
def test_a_value_is_told_with_its_extent_if_it_has_one(value: object, told: str) -> None:
    assert kind_of(value) == told
