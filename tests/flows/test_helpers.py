"""The helpers of the worked examples, against what they are by definition."""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

FLOWS = Path(__file__).parents[2] / "flows"


@pytest.fixture
def helpers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FLOWS))
    yield importlib.import_module(request.param)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("helpers", [name], indirect=True)


@of("feature_algebra")
def test_a_set_that_grows_or_shrinks_explains_what_least_squares_on_its_features_does(helpers: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=50)
    first, second = slice(0, 2), slice(2, 6)

    def explained(columns: slice) -> float:
        part = x[:, columns]
        return float(y @ part @ np.linalg.solve(part.T @ part + np.eye(part.shape[1]), part.T @ y))

    grown = helpers.grown(helpers.NOTHING, np.zeros((0, 2)), x[:, first].T @ x[:, first], x[:, first].T @ y, 1.0)
    assert grown.explained == pytest.approx(explained(first))
    beside = x[:, first].T @ x[:, second]
    grown = helpers.grown(grown, beside, x[:, second].T @ x[:, second], x[:, second].T @ y, 1.0)
    assert grown.explained == pytest.approx(explained(slice(0, 6)))

    whole = helpers.solved(x.T @ x, x.T @ y, 1.0)
    assert whole.explained == pytest.approx(grown.explained)
    assert helpers.shrunk(whole, second).explained == pytest.approx(explained(first))
    assert helpers.shrunk(whole, first).explained == pytest.approx(explained(second))


@of("feature_algebra")
def test_logistic_finds_the_same_weights_from_any_start(helpers: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = (x @ [1, -1, 0] + rng.logistic(size=200) > 0).astype(float)
    expected = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10).fit(x, y).coef_[0]
    for start in (np.zeros(3), np.array([2.0, 0.0, -1.0])):
        weights = helpers.logistic(sparse.csr_array(x), y, start, ridge=1.0, tolerance=1e-10)
        np.testing.assert_allclose(weights, expected, atol=1e-6)


@of("genomics_text")
def test_pairs_are_counted_by_distance_within_a_document_and_both_ways(helpers: ModuleType) -> None:
    counts = helpers.count_pairs(np.array([0, 1, -1, 0, 1]), np.array([0, 0, 0, 0, 1]), size=2, window=3)
    assert counts.toarray().tolist() == [[pytest.approx(2 / 3), 1.5], [1.5, 0]]


@of("genomics_text")
def test_positive_pmi_weighs_what_meets_more_often_than_by_chance(helpers: ModuleType) -> None:
    counts = sparse.csr_array(np.array([[0.0, 4.0, 1.0], [4.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    shares = np.array([0.5, 0.4, 0.1])
    expected = np.log(np.array([[1, 0.4, 0.1], [0.4, 1, 1], [0.1, 1, 1]]) / np.outer(shares, shares))
    pmi = helpers.positive_pmi(counts, smoothing=1.0, shift=1.0).toarray()
    assert pmi[0, 1] == pytest.approx(expected[0, 1])
    assert (pmi >= 0).all() and pmi[1, 2] == pmi[0, 0] == 0
    assert helpers.positive_pmi(counts, smoothing=1.0, shift=10.0).nnz == 0


@of("genomics_text")
def test_the_longest_name_is_found_and_names_do_not_overlap(helpers: ModuleType) -> None:
    names = {("new", "guinea"): "PG", ("guinea",): "GN", ("chad",): "TD"}
    tokens = helpers.words("In New Guinea, Guinea; and Chad-like p53.")
    assert tokens == ["in", "new", "guinea", "guinea", "and", "chad", "like", "p53"]
    assert list(helpers.longest_matches(tokens, names, 2)) == [(1, 3, "PG"), (3, 4, "GN"), (5, 6, "TD")]
    assert helpers.plain_name("Korea (South)") == ("korea",)


@of("spouse_text")
def test_sentences_end_at_marks_but_not_after_abbreviations_and_initials(helpers: ModuleType) -> None:
    text = 'Mr. Smith met J. Doe. "Fine!" She left.\nA new line'
    assert helpers.sentences(text) == ["Mr. Smith met J. Doe.", '"Fine!', "She left.", "A new line"]


@of("spouse_text")
def test_people_are_found_by_given_names_and_titles(helpers: ModuleType) -> None:
    words = helpers.tokens("Yesterday John F. Kennedy's wife and Mrs. Smith saw Anne of Ludwig van Beethoven")
    found = list(helpers.people(words, frozenset({"John", "Anne", "Ludwig"})))
    assert [name for _, _, name in found] == ["John F Kennedy", "Smith", "Ludwig van Beethoven"]
    start, stop, _ = found[0]
    assert words[start:stop] == ["John", "F", ".", "Kennedy"]
    assert words[stop] == "'s"


@of("spouse_text")
def test_words_between_two_people_vote(helpers: ModuleType) -> None:
    def vote(between: str) -> int:
        return int(helpers.vote_of_words(between.split(), helpers.SPOUSES, longest_gap=3))

    assert [vote("and his Wife"), vote("the brother of"), vote("saw"), vote("wife of the man")] == [1, -1, 0, -1]


@of("mnist_features")
def test_images_are_read_as_they_are_written_and_transformed_as_numpy_does(helpers: ModuleType) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, dtype=">i4").tobytes()
    assert np.array_equal(helpers.read_idx(gzip.compress(header + images.tobytes())), images)

    rows = images.reshape(2, 12).astype(np.float32)
    padded = np.pad(rows, ((0, 0), (0, 4)))
    np.testing.assert_allclose(helpers.fourier(rows), np.fft.fft(padded)[:, :8].real, rtol=1e-4, atol=1e-4)
    assert set(helpers.random_signs(100, seed=1)) == {-1, 1}
    assert helpers.rectify(np.array([-1.0, 2.0]), 0.5).tolist() == [0.5, 2.0]
