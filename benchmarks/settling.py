"""Waits for a Prefect server, so that no run pays for what the ones before it have told."""

from __future__ import annotations

import time

from prefect.client.orchestration import get_client


def settle() -> None:
    """Wait until the server has taken in all it was told: its count of task runs stands still for five seconds."""
    known, since = -1, time.monotonic()
    with get_client(sync_client=True) as client:
        while time.monotonic() - since < 5:
            count = client.request("POST", "/task_runs/count", json={}).json()
            if count != known:
                known, since = count, time.monotonic()
            time.sleep(0.5)
