"""Edits of the MNIST flow.

HELIX's MNIST workload stands for computer vision, where most iterations are about the model: mostly L/I, with some PPR.
Here: six L/I, three PPR, two DPR, which recompute every block, and two without effect. The blocks are cheap and bulky:
a quarter of a gigabyte each, computed in about half a second.
"""

from __future__ import annotations

from .edits import Edit, Workload

SERIES = (
    Edit("reg 100", "L/I", parameters={"reg": 100.0}),
    Edit(
        "the error of the worst digit",
        "PPR",
        (
            (
                "mnist.py",
                '"worst_digit": float(errors.argmax()), ',
                '"worst_digit": float(errors.argmax()), "worst_error": float(errors.max()), ',
            ),
        ),
    ),
    Edit("a third sweep", "L/I", parameters={"sweeps": 3}, differs=None),
    Edit(
        "a comment",
        "none",
        (
            (
                "mnist_features.py",
                "    width = 1 << (images.shape[1] - 1).bit_length()\n",
                "    # A power of two is fastest.\n    width = 1 << (images.shape[1] - 1).bit_length()\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "each digit is as likely as any",
        "PPR",
        (
            (
                "mnist.py",
                "np.argmax(np.sum(scores, axis=0) + prior, axis=1)",
                "np.argmax(np.sum(scores, axis=0), axis=1)",
            ),
        ),
        differs=None,
    ),
    Edit(
        "regularisation by the size of the features",
        "L/I",
        (
            (
                "mnist.py",
                "    return linalg.solve(gram + reg * np.eye(len(gram)), moment",
                "    reg = reg * np.trace(gram) / len(gram) / 1000\n"
                "    return linalg.solve(gram + reg * np.eye(len(gram)), moment",
            ),
        ),
        differs=None,
    ),
    Edit("reg 30", "L/I", parameters={"reg": 30.0}, differs=None),
    Edit("the rectifier cuts higher", "DPR", parameters={"threshold": 0.1}, differs=None),
    Edit("more blocks", "L/I", parameters={"blocks": 9}),
    Edit(
        "a local renamed",
        "none",
        (
            (
                "mnist_features.py",
                "    rows = np.full((len(labels), classes), -1.0, dtype=np.float32)\n"
                "    rows[np.arange(len(labels)), labels] = 1\n    return rows\n",
                "    table = np.full((len(labels), classes), -1.0, dtype=np.float32)\n"
                "    table[np.arange(len(labels)), labels] = 1\n    return table\n",
            ),
        ),
        differs=False,
    ),
    Edit(
        "the error of the mean digit",
        "PPR",
        (("mnist.py", '    return {"error": ', '    return {"mean_error": float(errors.mean()), "error": '),),
    ),
    Edit(
        "features of length 1",
        "DPR",
        (("mnist_features.py", "fft.rfft(images, n=width)", 'fft.rfft(images, n=width, norm="ortho")'),),
        differs=None,
    ),
    Edit("reg 10", "L/I", parameters={"reg": 10.0}, differs=None),
)

FURTHER = (
    *(Edit(f"reg {reg}", "L/I", parameters={"reg": reg}, differs=None) for reg in (1.0, 3.0, 300.0)),
    *(Edit(f"sweeps {sweeps}", "L/I", parameters={"sweeps": sweeps}, differs=None) for sweeps in (1, 4)),
    *(Edit(f"blocks {blocks}", "L/I", parameters={"blocks": blocks}, differs=None) for blocks in (6, 7, 10)),
    Edit("threshold 0.02", "DPR", parameters={"threshold": 0.02}, differs=None),
    Edit(
        "the number of errors",
        "PPR",
        (("mnist.py", '"images": len(labels)}', '"images": len(labels), "errors": int((predicted != labels).sum())}'),),
    ),
    Edit(
        "a docstring",
        "none",
        (("mnist_features.py", "Draw a sign, 1 or -1, for each pixel.", "Draw 1 or -1 for each pixel."),),
        differs=False,
    ),
)

MNIST = Workload(
    flow="mnist",
    files=("mnist.py", "mnist_features.py"),
    benchmark={"blocks": 8},
    small={"blocks": 8, "transforms": 1},
    series=SERIES,
    further=FURTHER,
    mix={"L/I": 0.55, "PPR": 0.25, "DPR": 0.1, "none": 0.1},
)
