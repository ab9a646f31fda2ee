"""Projects that are run, edited and run again, each time in a new process, by a flow that calls all their tasks."""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from .table import STEPS, Case, Files


@dataclass(frozen=True)
class Run:
    """One run of a project: the bodies that ran, the results by case, what went wrong and what was said."""

    ran: tuple[str, ...]
    results: dict[str, str]
    errors: dict[str, str]
    said: tuple[str, ...]

    def __getitem__(self, case: Case) -> str:
        """Tell whether the task of `case` was computed."""
        if case.slug in self.errors:
            return self.errors[case.slug]
        return {0: "kept", 1: "computed"}.get(count := self.ran.count(case.slug), f"computed {count} times")


@dataclass(frozen=True)
class Played:
    """The runs of a project: before the edits, after them with reuse and without, back before them in two places."""

    first: Run
    edited: Run
    scratch: Run
    reverted: Run
    moved: Run


Play = Callable[[Sequence[Case]], Played]


@dataclass
class Project:
    """A folder with the packages of many cases, and the program that calls their tasks."""

    folder: Path
    store: Path
    api_url: str

    def write(self, cases: Iterable[Case], version: Callable[[Case], Files]) -> None:
        """Write every case anew, as it is in one version."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        script = ""
        for case in cases:
            script += _write(self.folder, case, version(case))
        (self.folder / "cases.json").write_text(json.dumps({case.slug: case.layout for case in cases}))
        (self.folder / "script.py").write_text(f"{script}\nimport project_run\n\nproject_run.main()\n")
        shutil.copy(Path(__file__).with_name("project_run.py"), self.folder)

    def run(self, seed: int, mode: str = "auto", cwd: Path | None = None) -> Run:
        """Run the program in a new process."""
        told = self.folder / f"told_{seed}.json"
        done = subprocess.run(
            [sys.executable, str(self.folder / "script.py"), str(told)],
            cwd=cwd or self.folder,
            env={
                **os.environ,
                **_environment(self.folder),
                "PREFECT_API_URL": self.api_url,
                "PREFECT_INTEGRATIONS_HELIX_STORE": str(self.store),
                "PREFECT_INTEGRATIONS_HELIX_POLICY": "always",
                "PREFECT_INTEGRATIONS_HELIX_MODE": mode,
                "PYTHONDONTWRITEBYTECODE": "1",  # two versions within a second have bytecode of the same date
                "PYTHONHASHSEED": str(seed),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        run = json.loads(told.read_text())
        return Run(tuple(run["ran"]), run["results"], run["errors"], tuple(run["said"]))


def _environment(folder: Path) -> dict[str, str]:
    lines = [line for path in folder.glob("*/.env") for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines)


def _write(folder: Path, case: Case, files: Files) -> str:
    """Write the files of a case; return what of it belongs into the script."""
    home = folder / case.slug
    home.mkdir()
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / name[1:] if name.startswith("/") else home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(case.text(text), newline="")
        if path.suffix == ".c":
            _build(path)
        if path.suffix == ".dist":
            _install(path)
    match case.layout:
        case "zip":
            with zipfile.ZipFile(folder / f"{case.slug}.zip", "w") as archive:
                for path in sorted(home.rglob("*.py")):
                    archive.write(path, path.relative_to(folder))
            shutil.rmtree(home)
        case "bytecode":
            for path in sorted(home.rglob("*.py")):
                py_compile.compile(str(path), str(path.with_suffix(".pyc")), doraise=True)
                path.unlink()
        case "script":
            return (home / STEPS).read_text()
    return ""


def _build(source: Path) -> None:
    """Build an extension module, leaving no source behind."""
    include = sysconfig.get_paths()["include"]
    target = source.with_suffix(".so")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)], check=True)
    source.unlink()


def _install(dist: Path) -> None:
    """Make ``NAME.dist``, a version and lines of metadata, an installed distribution of ``NAME.py`` or ``NAME/``.

    Where there is neither beside it, the installation is an editable one of ``sources/NAME``.
    """
    name, site = dist.stem, dist.parent
    version, *metadata = dist.read_text().splitlines()
    dist.unlink()
    files = [site / f"{name}.py"] if (site / f"{name}.py").exists() else sorted((site / name).rglob("*.*"))
    if not files:
        files = [site / f"__editable__.{name}.pth"]
        files[0].write_text(f"{site.parent / 'sources' / name}\n")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    header = ["Metadata-Version: 2.1", f"Name: {name.replace('_', '-')}", f"Version: {version}"]
    (info / "METADATA").write_text("\n".join([*header, *metadata, ""]))
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    lines = [f"{path.relative_to(site)},sha256={hash_},{path.stat().st_size}" for path, hash_ in hashes.items()]
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/METADATA,,", f"{info.name}/RECORD,,", ""]))


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Play:
    """Runs a project with all the given cases: each process serves them all."""

    def play(cases: Sequence[Case]) -> Played:
        root = tmp_path_factory.mktemp("edits")
        project = Project(root / "project", root / "store", prefect_server)
        moved = Project(root / "elsewhere" / "moved", root / "store", prefect_server)
        project.write(cases, lambda case: case.before)
        first = project.run(seed=1)
        project.write(cases, lambda case: case.after)
        with ThreadPoolExecutor() as pool:
            scratch = pool.submit(project.run, seed=3, mode="off")
            edited = project.run(seed=2)
        project.write(cases, lambda case: case.before)
        moved.write(cases, lambda case: case.before)
        with ThreadPoolExecutor() as pool:
            elsewhere = pool.submit(moved.run, seed=5, cwd=root)
            reverted = project.run(seed=4)
        return Played(first, edited, scratch.result(), reverted, elsewhere.result())

    return play
