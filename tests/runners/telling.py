"""Has the stories of ``troubles.py`` told, and reads what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MEGABYTE = 1 << 20


def told(
    kind: str, folder: Path, api_url: str, store: str, options: dict[str, str], *stories: str
) -> dict[str, list[Any]]:
    """Have stories of a task runner told in a fresh process."""
    for name in ("steps.py", "go.py", "troubles.py"):
        shutil.copy(HERE / name, folder)
    log = folder / "log.txt"  # a pipe would stay open for as long as any worker lives
    with log.open("w") as output:
        process = subprocess.run(
            [sys.executable, "troubles.py", kind, "result.json", store, json.dumps(options), *stories],
            cwd=folder,
            env={**os.environ, "PREFECT_API_URL": api_url},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=800,
            check=False,
        )
    assert process.returncode == 0, log.read_text()
    found: dict[str, list[Any]] = json.loads((folder / "result.json").read_text())
    return found


def warnings(run: dict[str, Any]) -> list[str]:
    """What the run warned of."""
    return [line for line in run["told"] if line.startswith("WARNING")]
