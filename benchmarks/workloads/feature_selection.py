"""Edits of the feature selection flow.

HELIX has no such workload; Columbus describes how analysts select features: they widen and narrow the set that is
considered, change direction and criterion, and refit. Here: four DPR (which features there are), six L/I (how they are
chosen and fitted), two PPR, two without effect.
"""

from __future__ import annotations

from .edits import Edit, Workload

SERIES = (
    Edit("one more pair of columns", "DPR", parameters={"crosses": 4}, differs=None),
    Edit("reg 3", "L/I", parameters={"reg": 3.0}),
    Edit("without sex and area", "DPR", parameters={"leave_out": ["sex", "area"]}, differs=None),
    Edit(
        "the accuracy beside the other scores",
        "PPR",
        (
            (
                "feature_selection.py",
                '    return {"log_loss": float(',
                "    accuracy = float(((probabilities > 0.5) == labels).mean())\n"
                '    return {"accuracy": accuracy, "log_loss": float(',
            ),
        ),
    ),
    Edit("one block more at most", "L/I", parameters={"most": 9}, differs=None),
    Edit(
        "a comment",
        "none",
        (
            (
                "feature_algebra.py",
                "    side = linalg.solve_triangular(by.factor, beside",
                "    # No product with the set's own features is needed again.\n"
                "    side = linalg.solve_triangular(by.factor, beside",
            ),
        ),
        differs=False,
    ),
    Edit(
        "features cost less (Akaike)",
        "L/I",
        (("feature_algebra.py", "features * float(np.log(rows))", "features * 2.0"),),
        differs=None,
    ),
    Edit("backward", "L/I", parameters={"direction": "backward"}),
    Edit("ridge 10", "L/I", parameters={"ridge": 10.0}, differs=None),
    Edit(
        "a local renamed",
        "none",
        (
            (
                "feature_algebra.py",
                '    lost = linalg.solve(corner, of.weights[columns], assume_a="sym")\n'
                "    weights = of.weights[kept] - side @ lost\n",
                '    gone = linalg.solve(corner, of.weights[columns], assume_a="sym")\n'
                "    weights = of.weights[kept] - side @ gone\n",
            ),
            ("feature_algebra.py", "float(of.weights[columns] @ lost)", "float(of.weights[columns] @ gone)"),
        ),
        differs=False,
    ),
    Edit("finer buckets", "DPR", parameters={"buckets": 15}),
    Edit("forward again", "L/I", parameters={"direction": "forward"}),
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
        differs=None,
    ),
    Edit(
        "the scores of the last step alone",
        "PPR",
        (("feature_selection.py", "[step.result() for step in steps]", "[steps[-1].result()]"),),
        differs=None,
    ),
)

FURTHER = (
    *(Edit(f"reg {reg}", "L/I", parameters={"reg": reg}) for reg in (0.3, 10.0)),
    *(Edit(f"ridge {ridge}", "L/I", parameters={"ridge": ridge}, differs=None) for ridge in (0.1, 3.0)),
    *(Edit(f"most {most}", "L/I", parameters={"most": most}, differs=None) for most in (6, 7)),
    *(Edit(f"crosses {crosses}", "DPR", parameters={"crosses": crosses}, differs=None) for crosses in (2, 5)),
    *(Edit(f"buckets {buckets}", "DPR", parameters={"buckets": buckets}) for buckets in (8, 20)),
    Edit("without race", "DPR", parameters={"leave_out": ["race"]}, differs=None),
    Edit(
        "a finer tolerance",
        "L/I",
        (("feature_selection.py", "ridge, tolerance=1e-7)", "ridge, tolerance=1e-9)"),),
        differs=None,
    ),
    Edit(
        "a docstring",
        "none",
        (
            (
                "feature_algebra.py",
                "Drop the block in these columns from a set.",
                "Drop from a set the block in these columns.",
            ),
        ),
        differs=False,
    ),
)

FEATURE_SELECTION = Workload(
    flow="feature_selection",
    files=("feature_selection.py", "feature_algebra.py", "census.py", "census_features.py"),
    benchmark={"replicate": 32, "crosses": 3},
    small={"most": 4},
    series=SERIES,
    further=FURTHER,
    mix={"DPR": 0.35, "L/I": 0.4, "PPR": 0.15, "none": 0.1},
)
