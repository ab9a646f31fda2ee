"""Classes and functions keep their names, and are found by them, however the file they are in was loaded."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import NotStorableError
from prefect_helix.core.naming import module_name, type_name
from prefect_helix.storage.blob import DecodingError
from prefect_helix.storage.codec import decode, encode
from prefect_helix.storage.lookup import Program, find, findable_name

SHOP = """
import collections, dataclasses, enum


class Order:
    class Line:
        pass


@dataclasses.dataclass
class Rate:
    percent: float


class Kind(enum.Enum):
    SMALL = 1


def priced(number):
    return number * 2


Point = collections.namedtuple("Pair", "x y")  # nobody finds it by its name


def local():
    class Local:
        size = 3

    return Local()
"""

Load = Callable[[str], Any]


def blob(value: object) -> bytes:
    return b"".join(encode(value).chunks)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Loads the file ``shop.py`` as a module of whatever name."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    modules = sys.modules.copy()

    def loaded(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, tmp_path / "shop.py")
        assert spec is not None and spec.loader is not None
        monkeypatch.setitem(sys.modules, name, importlib.util.module_from_spec(spec))
        spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    yield loaded
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


ways = pytest.mark.parametrize("way", ["shop", "__main__", "__mp_main__", "__prefect_loader_0a1b__"])


@ways
def test_a_class_has_one_name_however_its_file_was_loaded(load: Load, way: str) -> None:
    shop = load(way)
    assert module_name(way) == "shop"
    assert type_name(shop.Order.Line) == findable_name(shop.Order.Line) == "shop:Order.Line"
    assert find("shop:Order.Line") is shop.Order.Line
    assert way == "shop" or "shop" not in sys.modules, "a script is not imported as well"


def test_a_value_has_one_digest_however_its_file_was_loaded(load: Load) -> None:
    def digests(shop: Any) -> list[str]:
        values = (shop.Order(), shop.Rate(0.5), shop.Kind.SMALL, shop.Point(1, 2), shop.priced, shop.Order)
        return [digest(value).hex for value in values]

    assert digests(load("__main__")) == digests(load("shop")) == digests(load("__prefect_loader_0a1b__"))


@ways
@pytest.mark.parametrize("then", ["shop", "__main__", "__prefect_loader_2c3d__"])
def test_a_stored_value_is_of_the_class_that_is_there(
    load: Load, way: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = load(way)
    stored = blob([shop.Rate(0.5), shop.Kind.SMALL, shop.Order, shop.priced])
    monkeypatch.delitem(sys.modules, way)
    shop = load(then)

    rate, kind, order, priced = decode(stored)

    assert type(rate) is shop.Rate
    assert kind is shop.Kind.SMALL and order is shop.Order and priced is shop.priced


def test_a_name_that_another_module_has_is_no_hindrance(load: Load) -> None:
    sys.modules["shop"] = ModuleType("shop")
    shop = load("__prefect_loader_0a1b__")
    assert findable_name(shop.Rate) == "shop:Rate"
    assert find("shop:Rate") is shop.Rate


def test_of_a_file_that_is_loaded_twice_no_class_is_taken_for_the_other(load: Load) -> None:
    imported, script = load("shop"), load("__prefect_loader_0a1b__")

    assert find("shop:Rate") is None
    assert findable_name(imported.Rate) == "shop:Rate"
    assert findable_name(script.Rate) == "__prefect_loader_0a1b__:Rate"
    assert find("__prefect_loader_0a1b__:Rate") is script.Rate
    for shop in (imported, script):
        assert type(decode(blob(shop.Rate(0.5)))) is shop.Rate


def test_while_a_program_runs_its_classes_are_those_that_it_names(load: Load) -> None:
    """A served flow runs in a process that was sent copies of its classes, and has its file loaded besides."""
    sent, there = load("__main__"), load("__mp_main__")
    sys.modules["__main__"] = there
    program = Program(sent.priced)

    assert find("shop:Rate") is sent.Rate
    assert findable_name(sent.Rate) == "shop:Rate"
    assert type(decode(blob(sent.Rate(0.5)))) is sent.Rate
    assert find("shop:Nothing") is None

    program.end()
    assert find("shop:Rate") is there.Rate


def test_a_class_that_nobody_finds_is_not_stored_as_a_copy(load: Load) -> None:
    shop = load("__main__")

    with pytest.raises(NotStorableError, match=r"__main__\.Pair is not to be found\. Define the class in a module"):
        encode(shop.Point(1, 2))
    # of a class within a function nobody else has one to compare with
    assert decode(blob(shop.local())).size == 3


def test_a_class_that_is_gone_is_told(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = blob(load("__main__").Rate(0.5))
    monkeypatch.delattr(sys.modules["__main__"], "Rate")

    with pytest.raises(DecodingError, match="shop:Rate is not to be found"):
        decode(stored)


def test_what_restores_a_value_is_no_code_of_it(load: Load) -> None:
    shop = load("__main__")
    assert encode(shop.Rate(0.5)).code == {shop.Rate}
    gaps = np.arange(12).reshape(3, 4)[:, :2]
    assert not any(one.__module__ == "prefect_helix.storage.codec" for one in encode(gaps).code)


def test_a_module_run_by_its_name_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "north"
    folder.mkdir()
    (folder / "shop.py").write_text(
        "from prefect_helix.storage.lookup import findable_name\nclass Order: ...\nprint(findable_name(Order))"
    )
    command = [sys.executable, "-m", "north.shop"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "north.shop:Order\n"


def test_another_thread_may_be_importing() -> None:
    ended = threading.Event()

    def import_and_forget() -> None:
        while not ended.is_set():
            for number in range(50):
                sys.modules[f"steps_{number}"] = ModuleType(f"steps_{number}")
            for number in range(50):
                del sys.modules[f"steps_{number}"]

    interval, importing = sys.getswitchinterval(), threading.Thread(target=import_and_forget)
    sys.setswitchinterval(1e-6)
    importing.start()
    try:
        for _ in range(2_000):
            assert find("collections:OrderedDict") is OrderedDict
    finally:
        ended.set()
        importing.join()
        sys.setswitchinterval(interval)
