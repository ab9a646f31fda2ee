"""Edits of the spouse flow.

Information extraction is made better by its features and rules, and HELIX's workload of this kind changes nothing but
preprocessing. Here: ten DPR (sentences, names, candidates, features, rules), and two without effect; one L/I and one
PPR beside them, because this flow has a calibration and a curve to look at, which HELIX's has not.
"""

from __future__ import annotations

from .edits import Edit, Workload

SERIES = (
    Edit(
        "a feature: the pair opens the sentence",
        "DPR",
        (
            (
                "spouse_text.py",
                '    if words[first[1] - 1] == words[second[1] - 1]:\n        features.append("same_last_name")\n',
                '    if words[first[1] - 1] == words[second[1] - 1]:\n        features.append("same_last_name")\n'
                '    if first[0] == 0:\n        features.append("opens")\n',
            ),
        ),
        differs=None,
    ),
    Edit("candidates no further apart than 20 tokens", "DPR", parameters={"longest_gap": 20}, differs=None),
    Edit(
        "more words for the relation",
        "DPR",
        (
            ("spouse_text.py", '        "groom",\n', '        "groom", "fiance", "fiancee", "newlywed", "eloped",\n'),
            ("spouse_text.py", '"alongside", "deputy",', '"alongside", "deputy", "and",'),
        ),
        differs=None,
    ),
    Edit(
        "a comment",
        "none",
        (
            (
                "spouse_text.py",
                "        titled = words[at] in TITLES\n",
                "        # A title may have a dot after it.\n        titled = words[at] in TITLES\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "more abbreviations that end no sentence",
        "DPR",
        (("spouse_text.py", "|St|Jr|Sr|No|vs|", "|St|Jr|Sr|No|vs|Gen|Sen|Rep|Gov|Capt|Lt|Col|"),),
        differs=None,
    ),
    Edit("a weaker regularisation", "L/I", parameters={"reg": 0.3}, differs=None),
    Edit("more tokens around a pair", "DPR", parameters={"window": 5}, differs=None),
    Edit(
        "shorter names",
        "DPR",
        (("spouse_text.py", "LONGEST_NAME = 4\n", "LONGEST_NAME = 3\n"),),
        differs=None,
    ),
    Edit(
        "a local renamed",
        "none",
        (
            (
                "spouse.py",
                "    often = first.value_counts()\n    return sorted(name for name in often.index[often >= rarest]",
                "    counts = first.value_counts()\n    return sorted(name for name in counts.index[counts >= rarest]",
            ),
        ),
        differs=False,
    ),
    Edit(
        "longer phrases as features",
        "DPR",
        (("spouse_text.py", "    if len(between) <= 2:\n", "    if len(between) <= 4:\n"),),
        differs=None,
    ),
    Edit("five bins", "PPR", parameters={"bins": 5}, differs=None),
    Edit(
        "a rule: who is in a list has colleagues all around",
        "DPR",
        (
            (
                "spouse_text.py",
                "    lower = {word.lower() for word in between}\n",
                '    if between.count(",") >= 2:\n        return -1\n    lower = {word.lower() for word in between}\n',
            ),
        ),
        differs=None,
    ),
    Edit("given names that two people bear", "DPR", parameters={"rarest_name": 2}, differs=None),
    Edit(
        "what is known counts more than three rules",
        "DPR",
        (("spouse.py", "            vote += 2\n", "            vote += 4\n"),),
        differs=None,
    ),
)

FURTHER = (
    *(Edit(f"reg {reg}", "L/I", parameters={"reg": reg}, differs=None) for reg in (0.1, 3.0)),
    *(Edit(f"window {window}", "DPR", parameters={"window": window}, differs=None) for window in (1, 2, 4)),
    *(Edit(f"gap {gap}", "DPR", parameters={"longest_gap": gap}, differs=None) for gap in (15, 30)),
    *(Edit(f"rules up to {gap}", "DPR", parameters={"rule_gap": gap}, differs=None) for gap in (10, 20)),
    *(Edit(f"features of {n} candidates", "DPR", parameters={"rarest": n}, differs=None) for n in (3, 5)),
    Edit("calibrated by a sigmoid", "L/I", parameters={"calibration": "sigmoid"}),
    Edit("more thresholds", "PPR", parameters={"thresholds": 39}),
    Edit(
        "more titles",
        "DPR",
        (("spouse_text.py", '"Captain", "General",', '"Captain", "General", "Justice", "Pope", "Queen", "King",'),),
        differs=None,
    ),
    Edit(
        "a docstring",
        "none",
        (
            (
                "spouse_text.py",
                "Part a sentence into words, numbers and marks;",
                "Part a sentence: words, numbers, marks;",
            ),
        ),
        differs=False,
    ),
)

SPOUSE = Workload(
    flow="spouse",
    files=("spouse.py", "spouse_text.py", "spouse_plot.py"),
    benchmark={"repeat": 7},
    small={},
    series=SERIES,
    further=FURTHER,
    mix={"DPR": 0.75, "L/I": 0.1, "PPR": 0.05, "none": 0.1},
)
