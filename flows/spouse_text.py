"""Sentences, tokens and people in news, and what is written around two of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TITLES = frozenset({
    "Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Sir", "Lady", "Lord", "President", "Senator", "Captain", "General",
})  # fmt: skip
PARTICLES = frozenset({"al", "bin", "da", "de", "del", "der", "di", "la", "van", "von"})
LONGEST_NAME = 4

_PARAGRAPH = re.compile(r"\n+|\\n")
_SENTENCE = re.compile(r"""(?<=[.!?])["'\u201d\u2019)]*\s+(?=["'\u201c\u2018(]*[A-Z])""")
_NOT_AN_END = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|No|vs|[A-Z])\.$")
_TOKEN = re.compile(r"[\u2019']s\b|[^\W_]+(?:[\u2019'-](?!s\b)[^\W_]+)*|[^\w\s]")


@dataclass(frozen=True)
class Relation:
    """What is looked for between two people, and words between their names that speak for and against it."""

    speaks_for: frozenset[str]
    speaks_against: frozenset[str]


SPOUSES = Relation(
    speaks_for=frozenset({
        "wife", "husband", "spouse", "married", "marry", "marries", "wed", "wedding", "widow", "widower", "bride",
        "groom",
    }),
    speaks_against=frozenset({
        "mother", "father", "son", "daughter", "brother", "sister", "parents", "child", "boss", "colleague",
        "rival", "friend", "manager", "coach",
    }),
)  # fmt: skip
COLLEAGUES = Relation(
    speaks_for=frozenset({
        "colleague", "colleagues", "teammate", "partnership", "partner", "fellow", "alongside", "deputy",
    }),
    speaks_against=frozenset({
        "rival", "opponent", "against", "beat", "defeated", "over", "opposition", "lost", "killed",
    }),
)  # fmt: skip

# Who served or played together in the news of 2001: what is known of the people in the Lee corpus.
TEAMS_OF_2001 = (
    ("John Howard", "Peter Costello", "Alexander Downer", "Philip Ruddock", "John Anderson", "Robert Hill"),
    ("Simon Crean", "Kim Beazley", "Jenny Macklin", "Kevin Rudd", "Carmen Lawrence"),
    ("George W Bush", "Colin Powell", "Donald Rumsfeld", "Dick Cheney", "Ari Fleischer", "Paul Wolfowitz"),
    ("Steve Waugh", "Mark Waugh", "Shane Warne", "Glenn McGrath", "Brett Lee", "Justin Langer", "Matthew Hayden",
     "Adam Gilchrist", "Ricky Ponting", "Damien Martyn", "Jason Gillespie", "Andy Bichel", "Stuart MacGill"),
    ("Shaun Pollock", "Jacques Kallis", "Gary Kirsten", "Herschelle Gibbs", "Neil McKenzie", "Boeta Dippenaar",
     "Mark Boucher", "Nantie Hayward", "Claude Henderson", "Lance Klusener", "Makhaya Ntini", "Allan Donald"),
    ("Lleyton Hewitt", "Patrick Rafter", "Pat Rafter", "Todd Woodbridge", "Wayne Arthurs", "John Fitzgerald"),
    ("Ariel Sharon", "Shimon Peres", "Binyamin Ben-Eliezer", "Raanan Gissin"),
    ("Yasser Arafat", "Saeb Erekat", "Nabil Shaath", "Ahmed Qorei"),
    ("Hamid Karzai", "Abdullah Abdullah", "Yunus Qanooni", "Mohammad Fahim", "Burhanuddin Rabbani"),
    ("Osama bin Laden", "Mullah Mohammad Omar", "Ayman al-Zawahri"),
    ("George Harrison", "Paul McCartney", "Ringo Starr", "John Lennon"),
    ("Lindsay Fox", "Solomon Lew"),
    ("Mark Korda", "Mark Mentha"),
)  # fmt: skip


def sentences(text: str) -> list[str]:
    """Part text into sentences; a line ends one, an abbreviation or an initial does not."""
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        open_part = ""
        for part in _SENTENCE.split(paragraph):
            open_part = f"{open_part} {part}".strip()
            if not _NOT_AN_END.search(open_part):
                found.append(open_part)
                open_part = ""
        found.append(open_part)
    return [sentence for sentence in found if sentence]


def tokens(sentence: str) -> list[str]:
    """Part a sentence into words, numbers and marks; a possessive 's is a token of its own."""
    return _TOKEN.findall(sentence)


def people(words: Sequence[str], given_names: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Find the names of people: where each starts and stops, and the name without title and initials' dots.

    A person is a run of capitalised words that begins with a given name, or follows a title.
    """
    at = 0
    while at < len(words):
        titled = words[at] in TITLES
        start = at + 1 if titled else at
        if titled and start < len(words) and words[start] == ".":
            start += 1
        stop = _end_of_name(words, start) if titled or words[at] in given_names else start
        name = [word for word in words[start:stop] if word != "."]
        if len(name) >= (1 if titled else 2):
            yield start, stop, " ".join(name)
        at = max(stop, at + 1)


def _end_of_name(words: Sequence[str], start: int) -> int:
    stop = start
    while stop < min(len(words), start + LONGEST_NAME):
        word = words[stop]
        is_initial_dot = word == "." and stop > start and len(words[stop - 1]) == 1
        is_name = word[0].isupper() and word not in TITLES
        if not (is_name or word in PARTICLES or is_initial_dot):
            break
        stop += 1
    while stop > start and words[stop - 1] in PARTICLES:
        stop -= 1
    return stop


def describe_pair(words: Sequence[str], first: tuple[int, int], second: tuple[int, int], window: int) -> list[str]:
    """Name the features of two people in a sentence, each given by where it starts and stops."""
    between = [word.lower() for word in words[first[1] : second[0]]]
    before = [word.lower() for word in words[max(first[0] - window, 0) : first[0]]]
    after = [word.lower() for word in words[second[1] : second[1] + window]]
    features = [f"between={word}" for word in between]
    features += [f"between={left}_{right}" for left, right in itertools.pairwise(between)]
    features += [f"before={word}" for word in before] + [f"after={word}" for word in after]
    features.append(f"gap={min(len(between), 20) // 2}")
    if words[first[1] - 1] == words[second[1] - 1]:
        features.append("same_last_name")
    if len(between) <= 2:
        features.append(f"phrase={'_'.join(between)}")
    return features


def vote_of_words(between: Sequence[str], relation: Relation, longest_gap: int) -> int:
    """Vote by the words between two people: 1 for the relation, -1 against it, 0 for neither."""
    if len(between) > longest_gap:
        return -1
    lower = {word.lower() for word in between}
    return bool(lower & relation.speaks_for) - bool(lower & relation.speaks_against)
