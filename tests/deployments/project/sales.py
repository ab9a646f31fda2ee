"""A flow that is run by hand, served, and deployed to a worker: the same file each time."""

import json
import sys
from datetime import date
from enum import Enum
from pathlib import Path

from executions import RAN, told
from prefect import get_run_logger, task
from prices import with_tax
from pydantic import BaseModel

from prefect_helix import File, helix_flow, helix_task


class Region(Enum):
    NORTH = "north"
    SOUTH = "south"


class Fit(BaseModel):
    since: date
    weight: float = 0.5


class Table:
    """What is large, of a class that is defined right here."""

    def __init__(self, rows: list[tuple[date, float]]) -> None:
        self.rows = rows


@helix_task
def scan(orders: File) -> Table:
    RAN.info("scan")
    day, price = Path(orders).read_text().split()
    return Table([(date.fromisoformat(day), float(price) + number) for number in range(10_000)])


@helix_task
def priced(table: Table) -> Table:
    RAN.info("priced")
    assert isinstance(table, Table)
    return Table([(day, with_tax(price)) for day, price in table.rows])


@helix_task
def fit(table: Table, how: Fit) -> float:
    RAN.info("fit")
    assert isinstance(table, Table) and isinstance(how, Fit)
    return how.weight * sum(price for day, price in table.rows if day >= how.since)


@helix_task
def report(model: float, region: Region) -> str:
    RAN.info("report")
    assert isinstance(region, Region)
    return f"{region.value}: {model:.0f}"


@task
def publish(text: str) -> None:
    told(text)


@helix_flow(name="Sales", policy="always")
def sales(orders: Path, how: Fit, region: Region = Region.NORTH) -> str:
    get_run_logger().info("the body begins")
    model = fit.submit(priced(scan(File(orders))), how)
    text = report(model, region)
    publish(text)
    return text


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sales.serve("served")
    else:
        sales(**json.loads(sys.argv[1]))
