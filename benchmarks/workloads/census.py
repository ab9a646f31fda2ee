"""Edits of the census flow.

HELIX draws what changes in an iteration by how often each kind does in a field, which it takes from a survey of papers
that apply machine learning (Xin et al., arXiv 1803.10311). Its census workload stands for the social sciences: mostly
PPR, that is, other ways to look at a model that hardly changes, with some L/I and DPR. Here: six PPR, three L/I, three
DPR, two without effect. Records are repeated as in its census 10x, but more often, because machines are faster now.
"""

from __future__ import annotations

from .edits import Edit, Workload

SERIES = (
    Edit("metric f1", "PPR", parameters={"metric": "f1"}),
    Edit("reg 1", "L/I", parameters={"reg": 1.0}, differs=None),
    Edit(
        "a lower threshold for f1",
        "PPR",
        (("census.py", '"f1": (f1_score, probabilities > 0.5)', '"f1": (f1_score, probabilities > 0.4)'),),
    ),
    Edit("buckets 20", "DPR", parameters={"buckets": 20}),
    Edit(
        "a comment",
        "none",
        (
            (
                "census_features.py",
                "    names = sorted(reference.dropna().unique())\n",
                "    # Whatever the order of the rows.\n    names = sorted(reference.dropna().unique())\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "the predicted share beside the observed one",
        "PPR",
        (
            (
                "census.py",
                '    return {metric: score, "positive_share": float(labels.mean()), ',
                '    predicted_share = float(probabilities.mean())\n    return {metric: score, "positive_share": '
                'float(labels.mean()), "predicted_share": predicted_share, ',
            ),
        ),
    ),
    Edit(
        "a finer tolerance of the fit",
        "L/I",
        (("census.py", 'solver="newton-cholesky")', 'solver="newton-cholesky", tol=1e-8)'),),
        differs=None,
    ),
    Edit("metric roc_auc", "PPR", parameters={"metric": "roc_auc"}),
    Edit(
        "outliers do not set the scale",
        "DPR",
        (
            (
                "census_features.py",
                "    low, high = reference.min(), reference.max()\n",
                "    low, high = reference.quantile(0.01), reference.quantile(0.99)\n",
            ),
        ),
    ),
    Edit(
        "a local renamed",
        "none",
        (
            (
                "census.py",
                "    ends = np.cumsum(list(widths.values()))\n"
                "    return dict(zip(widths, np.split(model.coef_[0], ends[:-1]), strict=True))\n",
                "    bounds = np.cumsum(list(widths.values()))\n"
                "    return dict(zip(widths, np.split(model.coef_[0], bounds[:-1]), strict=True))\n",
            ),
        ),
        differs=False,
    ),
    Edit("penalty l1", "L/I", parameters={"penalty": "l1", "reg": 100.0}),
    Edit(
        "the average precision beside it",
        "PPR",
        (
            (
                "census.py",
                "from sklearn.metrics import accuracy_score, f1_score,",
                "from sklearn.metrics import accuracy_score, average_precision_score, f1_score,",
            ),
            (
                "census.py",
                '"test_examples": float(len(labels))}',
                '"test_examples": float(len(labels)), '
                '"average_precision": float(average_precision_score(labels, probabilities))}',
            ),
        ),
    ),
    Edit(
        "one category for the missing ones",
        "DPR",
        (
            (
                "census_features.py",
                "    names = sorted(reference.dropna().unique())\n",
                '    values, reference = values.fillna("?"), reference.fillna("?")\n'
                "    names = sorted(reference.dropna().unique())\n",
            ),
        ),
        differs=None,
    ),
    Edit("metric log_loss", "PPR", parameters={"metric": "log_loss"}),
)

FURTHER = (
    *(Edit(f"reg {reg}", "L/I", parameters={"penalty": "l2", "reg": reg}) for reg in (0.03, 0.3, 3.0, 10.0)),
    *(Edit(f"penalty l1, reg {reg}", "L/I", parameters={"penalty": "l1", "reg": reg}) for reg in (60.0, 150.0)),
    *(Edit(f"buckets {buckets}", "DPR", parameters={"buckets": buckets}) for buckets in (5, 15, 30)),
    *(Edit(f"metric {metric}", "PPR", parameters={"metric": metric}) for metric in ("accuracy", "log_loss")),
    Edit(
        "a higher threshold for accuracy",
        "PPR",
        (("census.py", "(accuracy_score, probabilities > 0.5)", "(accuracy_score, probabilities > 0.55)"),),
        differs=None,
    ),
    Edit(
        "a docstring",
        "none",
        (("census_features.py", "a negative code gives zeros.", "a negative code gives no indicator."),),
        differs=False,
    ),
)

CENSUS = Workload(
    flow="census",
    files=("census.py", "census_features.py"),
    benchmark={"replicate": 80},
    small={},
    series=SERIES,
    further=FURTHER,
    mix={"PPR": 0.5, "L/I": 0.2, "DPR": 0.2, "none": 0.1},
)
