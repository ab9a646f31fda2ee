"""Steps that take and give tensors of PyTorch: ``pip install torch`` runs this, too."""

from __future__ import annotations

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def numbers() -> tuple[Any, Any]:
    random = torch.Generator().manual_seed(0)
    return torch.rand(2000, 50, generator=random), torch.rand(2000, 1, generator=random)


def fit(data: tuple[Any, Any]) -> Any:
    torch.manual_seed(1)
    model = torch.nn.Linear(50, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ((model(data[0]) - data[1]) ** 2).mean().backward()
        optimizer.step()
    return model


def score(model: Any, data: tuple[Any, Any]) -> float:
    with torch.no_grad():
        return float(((model(data[0]) - data[1]) ** 2).mean())


def test_tensors_and_models_are_loaded_and_cut_off_early(lab) -> None:
    for step in (numbers, fit, score):
        lab.task(step)

    def flow() -> float:
        data = lab.tasks["numbers"]()
        return lab.tasks["score"](lab.tasks["fit"](data), data)

    first = lab.run(flow)
    for edited in ("score", "numbers"):
        lab.tasks[edited].edit()
        run = lab.run(flow)
        assert (run.bodies, run.value, run.warnings) == ([edited], first.value, {})
