"""Find who is married to whom in the news: DeepDive's application, the information extraction workload of HELIX.

Nobody has labelled a sentence. Pairs of people that a knowledge base knows to be married, and rules about the words
between two names, vote on each candidate; a model learns from the votes to judge all candidates:

    python flows/spouse.py                      # the first run computes everything
    python flows/spouse.py --reg 10             # fit and what follows
    python flows/spouse.py --calibration sigmoid  # calibrate and what follows
    python flows/spouse.py --window 5           # describe and what follows; people and votes stay

With `--data FOLDER` (or the environment variable `HELIX_DATA`) the texts are 2,765 news articles and the knowledge base
6,126 couples of DBpedia. The default texts are the 300 news stories of the Lee corpus in the package `gensim`. There is
hardly a couple in them, so that the relation there is that of colleagues: who served or played together in 2001.
"""

from __future__ import annotations

import argparse
import bz2
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from spouse_plot import calibration_svg
from spouse_text import COLLEAGUES, SPOUSES, TEAMS_OF_2001, TITLES, describe_pair, people, vote_of_words
from spouse_text import sentences as sentences_of
from spouse_text import tokens as tokens_of
from workload import data_root, find, packaged, run

from prefect_helix import File, helix_flow, helix_task

Calibration = Literal["isotonic", "sigmoid"]
PARTS = ("train", "train", "train", "calibrate", "test")  # where the articles go, by their digest


@dataclass(frozen=True)
class Source:
    """Where the articles and the known pairs are; without a file of pairs, the relation is that of colleagues."""

    articles: tuple[str, ...]
    known: str | None


@helix_task
def read_articles(source: File) -> pd.Series:
    """Read articles: a line each, its key and a tab before the text, or the text alone."""
    with source.open("rb") as stream:
        content = stream.read()
    if not source.path.endswith(".bz2"):
        return pd.Series(content.decode().strip("\n").split("\n"), dtype="str")
    rows = [line.split("\t", 1) for line in bz2.decompress(content).decode().strip("\n").split("\n")]
    return pd.Series([text for _, text in rows], index=[key for key, _ in rows], dtype="str")


@helix_task
def read_known(source: File) -> pd.DataFrame:
    """Read known pairs: two names a line."""
    with source.open("rb") as stream:
        lines = bz2.decompress(stream.read()).decode().strip().split("\n")
    return pd.DataFrame([line.split(",", 1) for line in lines], columns=["first", "second"], dtype="str")


@helix_task
def pair_up(teams: tuple[tuple[str, ...], ...]) -> pd.DataFrame:
    """Make known pairs of groups of people."""
    pairs = [pair for team in teams for pair in itertools.combinations(team, 2)]
    return pd.DataFrame(pairs, columns=["first", "second"], dtype="str")


@helix_task
def split_sentences(articles: list[pd.Series], repeat: int) -> pd.DataFrame:
    """Part the articles, each once, into sentences: the `document` and the `text` of each, all `repeat` times.

    A document and its copies have one number, so that none is trained with and tested with.
    """
    texts = pd.concat(articles)
    texts = texts[~texts.index.duplicated()] if len(articles) > 1 else texts
    rows = [(number, text) for number, article in enumerate(texts) for text in sentences_of(article)]
    one = pd.DataFrame(rows, columns=["document", "text"]).astype({"document": "int64", "text": "str"})
    return pd.concat([one] * repeat, ignore_index=True)


@helix_task
def tokenise(sentences: pd.DataFrame) -> pd.Series:
    """Part each sentence into tokens, with a blank between them."""
    return pd.Series([" ".join(tokens_of(text)) for text in sentences["text"]], dtype="str")


@helix_task
def learn_names(known: pd.DataFrame, rarest: int) -> list[str]:
    """Collect given names: the first words of the names known, where they are so often."""
    names = pd.concat([known["first"], known["second"]]).drop_duplicates()
    first = names[names.str.contains(" ")].str.split(" ").str[0]
    often = first.value_counts()
    return sorted(name for name in often.index[often >= rarest] if name.isalpha() and name not in TITLES)


@helix_task
def find_people(tokens: pd.Series, given_names: list[str]) -> pd.DataFrame:
    """Find the people in each sentence: from which token to which they are named, and how."""
    known = frozenset(given_names)
    rows = [(number, *person) for number, line in enumerate(tokens) for person in people(line.split(" "), known)]
    return pd.DataFrame(rows, columns=["sentence", "start", "stop", "name"]).astype({"name": "str"})


@helix_task
def pair_candidates(mentions: pd.DataFrame, sentences: pd.DataFrame, longest_gap: int) -> pd.DataFrame:
    """Pair the people of a sentence who are at most so many tokens apart."""
    numbered = mentions.assign(order=np.arange(len(mentions)))
    pairs = numbered.merge(numbered, on="sentence", suffixes=("_1", "_2"))
    near = (pairs["start_2"] - pairs["stop_1"]).between(0, longest_gap)
    pairs = pairs[near & (pairs["name_1"] != pairs["name_2"])].reset_index(drop=True)
    pairs["others_between"] = pairs.pop("order_2") - pairs.pop("order_1") - 1
    return pairs.assign(document=sentences["document"].to_numpy()[pairs["sentence"]])


@helix_task
def describe(candidates: pd.DataFrame, tokens: pd.Series, window: int) -> pd.Series:
    """Name the features of each candidate, with a blank between them."""
    spans = zip(candidates["start_1"], candidates["stop_1"], candidates["start_2"], candidates["stop_2"], strict=True)
    lines = tokens.iloc[candidates["sentence"]]
    return pd.Series(
        [
            " ".join(describe_pair(line.split(" "), (start_1, stop_1), (start_2, stop_2), window))
            for line, (start_1, stop_1, start_2, stop_2) in zip(lines, spans, strict=True)
        ],
        dtype="str",
    )


@helix_task
def vectorise(descriptions: pd.Series, rarest: int) -> sparse.csr_array:
    """Make features indicators, those that so many candidates have."""
    vectoriser = CountVectorizer(
        binary=True, min_df=rarest, tokenizer=str.split, token_pattern=None, lowercase=False, dtype=np.float64
    )
    return sparse.csr_array(vectoriser.fit_transform(descriptions))


@helix_task
def supervise(
    candidates: pd.DataFrame, tokens: pd.Series, known: pd.DataFrame, couples: bool, longest_gap: int
) -> pd.Series:
    """Let what is known and rules vote on each candidate: 1 related, 0 not related, -1 undecided.

    Who is known to be related counts twice; so does, for couples, who is known to be married to somebody else.
    """
    related = {frozenset(pair) for pair in zip(known["first"], known["second"], strict=True)}
    taken = set(known["first"]) | set(known["second"])
    relation = SPOUSES if couples else COLLEAGUES
    votes = []
    for row, line in zip(candidates.itertuples(), tokens.iloc[candidates["sentence"]], strict=True):
        names = {row.name_1, row.name_2}
        vote = vote_of_words(line.split(" ")[row.stop_1 : row.start_2], relation, longest_gap)
        if names in related:
            vote += 2
        elif names & taken if couples else names <= taken:
            vote -= 2
        if couples and row.others_between:
            vote -= 1
        votes.append(vote)
    signs = np.sign(np.array(votes, dtype=np.int64))
    return pd.Series(np.select([signs > 0, signs < 0], [1, 0], -1))


@helix_task
def allot(candidates: pd.DataFrame, seed: int) -> pd.Series:
    """Allot each article, with all its candidates, to training, calibration or testing."""
    documents = candidates["document"].unique()
    parts = [PARTS[zlib.crc32(f"{seed} {document}".encode()) % len(PARTS)] for document in documents]
    return candidates["document"].map(dict(zip(documents, parts, strict=True))).astype("str")


@helix_task
def fit(examples: sparse.csr_array, labels: pd.Series, parts: pd.Series, reg: float) -> LogisticRegression:
    """Fit a logistic regression to the candidates for training that are decided."""
    chosen = ((parts == "train") & (labels >= 0)).to_numpy()
    return LogisticRegression(C=1 / reg, solver="liblinear", random_state=0).fit(examples[chosen], labels[chosen])


@helix_task
def judge(model: LogisticRegression, examples: sparse.csr_array) -> pd.Series:
    """Score all candidates, decided or not: the logarithm of the odds that the model gives them."""
    return pd.Series(model.decision_function(examples))


@helix_task
def calibrate(scores: pd.Series, labels: pd.Series, parts: pd.Series, method: Calibration) -> pd.Series:
    """Turn scores into probabilities that hold for the candidates for calibration."""
    chosen = (parts == "calibrate") & (labels >= 0)
    if method == "isotonic":
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores[chosen], labels[chosen])
        return pd.Series(curve.predict(scores))
    line = LogisticRegression(C=np.inf).fit(scores[chosen].to_frame(), labels[chosen])
    return pd.Series(line.predict_proba(scores.to_frame())[:, 1])


@helix_task
def measure(probabilities: pd.Series, labels: pd.Series, parts: pd.Series, thresholds: list[float]) -> pd.DataFrame:
    """Tell precision and recall by threshold, for the decided candidates for testing."""
    chosen = (parts == "test") & (labels >= 0)
    truth, given = labels[chosen].to_numpy() == 1, probabilities[chosen].to_numpy()
    rows = []
    for threshold in thresholds:
        taken = given >= threshold
        hits = float((taken & truth).sum())
        rows.append((threshold, hits / max(taken.sum(), 1), hits / max(truth.sum(), 1), int(taken.sum())))
    return pd.DataFrame(rows, columns=["threshold", "precision", "recall", "pairs"])


@helix_task
def group(probabilities: pd.Series, labels: pd.Series, parts: pd.Series, bins: int) -> pd.DataFrame:
    """Compare predicted with observed shares for the decided candidates for testing, in bins of equal width."""
    chosen = (parts == "test") & (labels >= 0)
    frame = pd.DataFrame({"predicted": probabilities[chosen], "observed": labels[chosen]})
    grouped = frame.groupby((frame["predicted"] * bins).astype("int64").clip(upper=bins - 1))
    return grouped.mean().assign(pairs=grouped.size()).reset_index(drop=True)


@helix_task
def plot(bins: pd.DataFrame, curve: pd.DataFrame, title: str) -> bytes:
    """Draw the calibration, and precision by recall, as SVG."""
    return calibration_svg(bins, curve, title).encode()


@helix_task
def summarise(bins: pd.DataFrame, curve: pd.DataFrame) -> dict[str, float]:
    """Tell the best F1 of all thresholds, where it is reached, and how far predicted shares are from those observed."""
    f1 = 2 * curve["precision"] * curve["recall"] / (curve["precision"] + curve["recall"]).clip(1e-12)
    error = ((bins["predicted"] - bins["observed"]).abs() * bins["pairs"]).sum() / bins["pairs"].sum()
    best = int(f1.argmax())
    return {
        "f1": float(f1[best]),
        "threshold": float(curve["threshold"][best]),
        "calibration_error": float(error),
        "test_candidates": float(bins["pairs"].sum()),
    }


@helix_task
def extract(candidates: pd.DataFrame, probabilities: pd.Series, known: pd.DataFrame, most: int) -> pd.DataFrame:
    """List the pairs that are most probably related, each once, and whether they were known."""
    names = [tuple(sorted(pair)) for pair in zip(candidates["name_1"], candidates["name_2"], strict=True)]
    frame = pd.DataFrame(names, columns=["first", "second"]).astype("str").assign(probability=probabilities)
    best = frame.groupby(["first", "second"], as_index=False)["probability"].max()
    best = best.sort_values(["probability", "first", "second"], ascending=[False, True, True]).head(most)
    related = {frozenset(pair) for pair in zip(known["first"], known["second"], strict=True)}
    is_known = [{first, second} in related for first, second in zip(best["first"], best["second"], strict=True)]
    return best.assign(known=is_known).reset_index(drop=True)


def locate(data: str | None) -> Source:
    """Find articles and couples in the folder named (or its folder `spouse_news`), else the news in `gensim`.

    Raises:
        FileNotFoundError: If the folder named has none.
        ModuleNotFoundError: If no folder is named and `gensim` is not installed.
    """
    if root := data_root(data):
        names = ("articles-1000.tsv.bz2", "articles-brat-1779.tsv.bz2", "spouses_dbpedia.csv.bz2")
        *articles, known = find(root, "spouse_news", names, "gensim")
        return Source(tuple(articles), known)
    return Source((packaged("gensim", "test/test_data/lee_background.cor", "spouse_news"),), None)


@helix_flow
def spouse(
    data: str | None = None,
    rarest_name: PositiveInt = 1,
    longest_gap: NonNegativeInt = 25,
    rule_gap: NonNegativeInt = 15,
    window: NonNegativeInt = 3,
    rarest: PositiveInt = 2,
    reg: PositiveFloat = 1.0,
    calibration: Calibration = "isotonic",
    thresholds: PositiveInt = 19,
    bins: PositiveInt = 10,
    most: PositiveInt = 20,
    seed: int = 0,
    repeat: PositiveInt = 1,
) -> dict[str, Any]:
    """Find who is related to whom in the news.

    Args:
        data: Folder or URL with the folder `spouse_news`; else `HELIX_DATA`, else the news in `gensim`.
        rarest_name: How many people must bear a given name for it to show that a name begins.
        longest_gap: How many tokens may be between two people to make them a candidate.
        rule_gap: From how many tokens on rules say that two people are not related.
        window: How many tokens before and after a pair are features.
        rarest: How many candidates must have a feature.
        reg: Strength of the regularisation.
        calibration: How scores become probabilities.
        thresholds: At how many thresholds precision and recall are measured.
        bins: Number of bins of the calibration.
        most: How many pairs are listed.
        seed: By which articles are allotted to training, calibration and testing.
        repeat: How often each article is repeated.
    """
    source = locate(data)
    articles = [read_articles(File(file)) for file in source.articles]
    known = read_known(File(source.known)) if source.known else pair_up(TEAMS_OF_2001)
    sentences = split_sentences(articles, repeat)
    tokens = tokenise(sentences)
    mentions = find_people(tokens, learn_names(known, rarest_name))
    candidates = pair_candidates(mentions, sentences, longest_gap)

    examples = vectorise(describe(candidates, tokens, window), rarest)
    labels = supervise(candidates, tokens, known, source.known is not None, rule_gap)
    parts = allot(candidates, seed)
    scores = judge(fit(examples, labels, parts, reg), examples)
    probabilities = calibrate(scores, labels, parts, calibration)

    curve = measure(probabilities, labels, parts, [i / (thresholds + 1) for i in range(1, thresholds + 1)])
    binned = group(probabilities, labels, parts, bins)
    return {
        "scores": summarise(binned, curve),
        "curve": curve,
        "pairs": extract(candidates, probabilities, known, most),
        "plot": plot(binned, curve, "Couples in the news" if source.known else "Colleagues in the news"),
    }


def main() -> None:
    """Run the flow with the options of the command line; print its metrics and pairs, and write the plot."""
    parser = argparse.ArgumentParser(description="Find who is married to whom in the news.")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the calibration plot there, as SVG")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where news and couples are (else HELIX_DATA, else news in gensim)")
    add("--rarest-name", type=int, default=1, help="how many people must bear a given name (%(default)s)")
    add("--longest-gap", type=int, default=25, help="tokens between two people of a candidate (%(default)s)")
    add("--rule-gap", type=int, default=15, help="tokens from which on rules say no (%(default)s)")
    add("--window", type=int, default=3, help="tokens around a pair that are features (%(default)s)")
    add("--rarest", type=int, default=2, help="how many candidates must have a feature (%(default)s)")
    add("--reg", type=float, default=1.0, help="strength of the regularisation (%(default)s)")
    add("--calibration", choices=get_args(Calibration), default="isotonic", help="of probabilities (%(default)s)")
    add("--thresholds", type=int, default=19, help="at how many precision is measured (%(default)s)")
    add("--bins", type=int, default=10, help="bins of the calibration (%(default)s)")
    add("--most", type=int, default=20, help="how many pairs are listed (%(default)s)")
    add("--seed", type=int, default=0, help="by which articles are allotted (%(default)s)")
    add("--repeat", type=int, default=1, metavar="N", help="repeat each article N times (%(default)s)")
    result = run(spouse.fn, parser, leave_out=("plot",))
    if file := parser.parse_args().plot:
        file.write_bytes(result["plot"])
    for name, value in result["scores"].items():
        print(f"{name:>17}  {value:.6g}")
    print(result["curve"].to_string(index=False), result["pairs"].to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
