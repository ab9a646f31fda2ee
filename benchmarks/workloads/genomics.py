"""Edits of the genomics flow.

HELIX's genomics workload stands for the natural sciences and mixes all kinds of iterations, as unsupervised work does:
tokens, vectors and clusters are all tried out. Here: four DPR (tokens, stop list, counting, names), five L/I (vectors,
clusters), three PPR, two without effect. Texts are repeated, so that tokenising and counting take their share of a run.
"""

from __future__ import annotations

from .edits import Edit, Workload

SERIES = (
    Edit("more members named", "PPR", parameters={"members": 10}),
    Edit("clusters 15", "L/I", parameters={"clusters": 15}),
    Edit(
        "more stop words",
        "DPR",
        (("genomics_text.py", '    "with",\n', '    "with", "camp", "clock", "jersey", "jordan", "lead",\n'),),
        differs=None,
    ),
    Edit("dimensions 150", "L/I", parameters={"dimensions": 150}),
    Edit(
        "a comment",
        "none",
        (
            (
                "genomics_text.py",
                "    for distance in range(1, window + 1):\n",
                "    # One pass for each distance, over all of the text at once.\n"
                "    for distance in range(1, window + 1):\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "a third measure of the clusters",
        "PPR",
        (
            (
                "genomics.py",
                "from sklearn.metrics import davies_bouldin_score,",
                "from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score,",
            ),
            (
                "genomics.py",
                '        "davies_bouldin": float(davies_bouldin_score(points, labels)),\n',
                '        "davies_bouldin": float(davies_bouldin_score(points, labels)),\n'
                '        "calinski_harabasz": float(calinski_harabasz_score(points, labels)),\n',
            ),
        ),
    ),
    Edit(
        "no words of one letter",
        "DPR",
        (
            (
                "genomics_text.py",
                "    return [word.lower() for word in WORD.findall(text)]\n",
                "    return [word.lower() for word in WORD.findall(text) if len(word) > 1]\n",
            ),
        ),
    ),
    Edit("no smoothing", "L/I", parameters={"smoothing": 1.0}),
    Edit(
        "near the median, not the mean, of a cluster",
        "PPR",
        (
            (
                "genomics.py",
                "        nearness = group.to_numpy() @ group.to_numpy().mean(axis=0)\n",
                "        nearness = group.to_numpy() @ np.median(group.to_numpy(), axis=0)\n",
            ),
        ),
        differs=None,
    ),
    Edit(
        "a local renamed",
        "none",
        (
            (
                "genomics_text.py",
                "    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)\n"
                "    return vectors / np.where(lengths > 0, lengths, 1)\n",
                "    norms = np.linalg.norm(vectors, axis=1, keepdims=True)\n"
                "    return vectors / np.where(norms > 0, norms, 1)\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "neighbours lose weight evenly with distance",
        "DPR",
        (
            (
                "genomics_text.py",
                "np.full(near.sum(), 1 / distance, dtype=np.float32)",
                "np.full(near.sum(), 1 - (distance - 1) / window, dtype=np.float32)",
            ),
        ),
    ),
    Edit(
        "more power iterations",
        "L/I",
        (
            (
                "genomics.py",
                "randomized_svd(weights, dimensions, n_iter=4,",
                "randomized_svd(weights, dimensions, n_iter=7,",
            ),
        ),
    ),
    Edit("restarts 20", "L/I", parameters={"restarts": 20}, differs=None),
    Edit("names of four letters and more", "DPR", parameters={"shortest": 4}, differs=None),
)

FURTHER = (
    *(Edit(f"clusters {clusters}", "L/I", parameters={"clusters": clusters}) for clusters in (8, 12, 25, 30)),
    *(Edit(f"dimensions {size}", "L/I", parameters={"dimensions": size}) for size in (75, 125, 200, 250)),
    *(Edit(f"window {window}", "DPR", parameters={"window": window}) for window in (3, 8)),
    *(Edit(f"words that occur {rarest} times", "DPR", parameters={"rarest": rarest}) for rarest in (4, 8)),
    *(Edit(f"members {members}", "PPR", parameters={"members": members}) for members in (3, 8)),
    Edit("two negative samples", "L/I", parameters={"negative": 2.0}),
    Edit(
        "a docstring",
        "none",
        (("genomics_text.py", "Part text into its words, in lower case.", "Part text into words of lower case."),),
        differs=False,
    ),
)

GENOMICS = Workload(
    flow="genomics",
    files=("genomics.py", "genomics_text.py"),
    benchmark={"repeat": 12, "dimensions": 200, "clusters": 25},
    small={"dimensions": 20, "clusters": 5, "restarts": 2, "members": 3},
    series=SERIES,
    further=FURTHER,
    mix={"DPR": 0.3, "L/I": 0.35, "PPR": 0.25, "none": 0.1},
)
