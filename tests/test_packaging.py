"""What the distribution promises: entry points, types, exports, one version, exact constraints."""

from __future__ import annotations

import inspect
import re
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import tomllib
from hatchling.build import build_wheel

import prefect_helix

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_prefect_finds_the_collection() -> None:
    (entry,) = metadata.entry_points(group="prefect.collections", name="prefect_helix")
    assert entry.load() is prefect_helix


def test_the_console_script_names_something_to_call() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="prefect-helix")
    assert callable(entry.load())


def test_the_wheel_holds_the_package_its_types_and_its_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        names = wheel.namelist()
    assert {"prefect_helix/__init__.py", "prefect_helix/py.typed"} <= set(names)
    web = {str(path.relative_to(ROOT)) for path in (ROOT / "prefect_helix/web").rglob("*.*") if path.suffix != ".pyc"}
    assert web > {"prefect_helix/web/static/style.css", "prefect_helix/web/templates/base.html"}
    assert web <= set(names)
    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert {name.split("/")[0] for name in names} == {"prefect_helix", f"prefect_helix-{PROJECT['version']}.dist-info"}


@pytest.mark.parametrize("name", prefect_helix.__all__)
def test_every_public_name_is_exported_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(prefect_helix, name))


def test_there_is_one_version() -> None:
    assert prefect_helix.__version__ == metadata.version("prefect-helix") == PROJECT["version"]


def test_the_changelog_tells_of_this_version() -> None:
    assert f"\n## {PROJECT['version']} " in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-newest.txt"])
def test_constraints_hold_names_and_exact_versions_only(file: str) -> None:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []


def test_constraints_cover_every_direct_dependency() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    held = {normal(line.partition("==")[0]) for line in lines}
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    named = {normal(re.split(r"[<>=!~ \[]", line)[0]) for line in [*PROJECT["dependencies"], *extras]}
    assert named - held == set()
