"""What a user says where the code does not show what a result depends on, or shows too much: on real Prefect.

Every story says which task bodies run, each run in a new process; results are compared with those of mode ``off``,
and differ just where the user took the responsibility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

from .stories import Place, Step, Story, Told, check, tell

pytestmark = pytest.mark.timeout(600)  # all stories are told while the first test waits


def touch(at: Place) -> None:
    os.utime(at.path("data"), (1_000_000_000, 1_000_000_000))


STORIES = [
    Story(
        "a function to depend on counts",
        """
        import story_a_function_to_depend_on_counts_rules as rules

        @helix_task(depends_on=[rules.rule])
        def use(name, module):
            RAN.info("use")
            return getattr(sys.modules[module], name)()

        @helix_flow
        def main():
            return use("rule", rules.__name__)
        """,
        Step(
            "use",
            lambda at: at.add("_rules", "def rule():\n    return helper()\ndef helper():\n    return 1\n"),
            says="getattr with a computed name",
        ),
        Step("", lambda at: at.edit("def rule():\n", 'def rule():\n    "The rule."\n', "_rules")),
        Step("use", lambda at: at.edit("return 1", "return 2", "_rules")),
    ),
    Story(
        "a module to depend on counts as a whole",
        """
        import story_a_module_to_depend_on_counts_as_a_whole_rules as rules

        @helix_task(depends_on=[rules])
        def use(name):
            RAN.info("use")
            return importlib.import_module(name).RULES["rule"]()

        @helix_flow
        def main():
            return use(rules.__name__)
        """,
        Step(
            "use",
            lambda at: at.add("_rules", "RULES = {'rule': lambda: 1}\ndef other():\n    return 1\n"),
            says="import_module with a computed name",
        ),
        Step("", lambda at: at.edit("def other", "# another one\ndef other", "_rules")),
        Step("use", lambda at: at.edit("lambda: 1", "lambda: 2", "_rules")),
        Step("use", lambda at: at.edit("    return 1", "    return 3", "_rules")),
    ),
    Story(
        "a file to depend on counts by its content",
        """
        @helix_task(depends_on=[File(f"{HERE}/data")])
        def use():
            RAN.info("use")
            return Path(HERE, "data").read_text()

        @helix_flow
        def main():
            return use()
        """,
        Step("use", lambda at: at.write("data", "1"), says="read_text of a file that is no argument"),
        Step("", touch),
        Step("use", lambda at: at.write("data", "2")),
    ),
    Story(
        "a file to depend on counts at each call",
        """
        @helix_task(depends_on=[File(f"{HERE}/data")])
        def use():
            RAN.info("use")
            return Path(HERE, "data").read_text()

        @helix_flow
        def flow(text):
            Path(HERE, "data").write_text(text)
            return use()

        def main():
            return [flow("1"), flow("2"), flow("1")]
        """,
        Step("use use"),
        Step(""),
    ),
    Story(
        "an environment variable to depend on counts by its value",
        """
        @helix_task(depends_on=["STORY"])
        def use():
            RAN.info("use")
            return os.environ.get("STORY", "none")

        @helix_flow
        def main():
            return use()
        """,
        Step("use", says="os.environ"),
        Step("use", lambda at: at.write("environment", "north")),
        Step(""),
        Step("use", lambda at: at.write("environment", "south")),
        Step("", lambda at: at.write("environment", "north")),
    ),
    Story(
        "a value to depend on counts",
        """
        @helix_task(depends_on=[{"schema": 1}])
        def use():
            RAN.info("use")
            return 1

        @helix_flow
        def main():
            return use()
        """,
        Step("use"),
        Step("use", lambda at: at.edit('"schema": 1', '"schema": 2')),
        Step("", lambda at: at.edit('"schema": 2', '"schema": 1')),
    ),
    Story(
        "an environment variable and a fixed file that nothing names are not seen",
        """
        @helix_task
        def region():
            RAN.info("region")
            return os.environ["STORY"]

        @helix_task
        def fixed():
            RAN.info("fixed")
            return Path(HERE, "data").read_text()

        @helix_task
        def at_a_path(path):
            RAN.info("at_a_path")
            return Path(path).read_text()

        @helix_flow
        def main():
            return [region(), fixed(), at_a_path(f"{HERE}/data")]
        """,
        Step(
            "region fixed at_a_path",
            lambda at: (at.write("environment", "north"), at.write("data", "1")),
            says="read_text of a file that is no argument",
        ),
        Step("", lambda at: at.write("environment", "south"), says="os.environ", differs=True),
        Step("", lambda at: (at.write("environment", "north"), at.write("data", "2")), differs=True),
    ),
    Story(
        "a code version stands for the code",
        """
        def helper():
            return 1

        @helix_task(code_version="1")
        def use():
            RAN.info("use")
            return helper()

        @helix_task
        def child(number):
            RAN.info("child")
            return number + 1

        @helix_flow
        def main():
            return child(use())
        """,
        Step("use child"),
        Step("", lambda at: at.edit("return 1", "return 2"), differs=True),
        Step("use child", lambda at: at.edit('code_version="1"', 'code_version="2"')),
        Step("child", lambda at: at.edit("number + 1", "number + 2")),
        Step(
            "",
            lambda at: (
                at.edit("number + 2", "number + 1"),
                at.edit("return 2", "return 1"),
                at.edit('code_version="2"', 'code_version="1"'),
            ),
        ),
    ),
    Story(
        "an ignored argument does not count and another one does",
        """
        import threading

        @helix_task(ignore=["workers", "lock"])
        def crunch(rows, workers, lock):
            RAN.info("crunch")
            with lock:
                return rows * 2

        @helix_flow
        def main():
            rows, workers = map(int, Path(HERE, "data").read_text().split())
            return crunch(rows, workers, lock=threading.Lock())
        """,
        Step("crunch", lambda at: at.write("data", "3 1")),
        Step("", lambda at: at.write("data", "3 8")),
        Step("crunch", lambda at: at.write("data", "4 8")),
    ),
    Story(
        "a step that is not deterministic is computed where it is needed",
        """
        @helix_task(deterministic=False)
        def sample():
            RAN.info("sample")
            return Path(HERE, "data").read_text()

        @helix_task
        def parse(text):
            RAN.info("parse")
            return int(text)

        @helix_task(deterministic=False, lazy=True)
        def unused() -> pd.DataFrame:
            RAN.info("unused")
            return frame()

        @helix_flow
        def main():
            unused()
            return parse(sample())
        """,
        Step("sample parse", lambda at: at.write("data", "1")),
        Step("sample"),
        Step("sample parse", lambda at: at.write("data", "2")),
        Step("sample", lambda at: at.write("data", "1")),
    ),
    Story(
        "a result serves until it is too old",
        """
        @helix_task(max_age=timedelta(days=1))
        def rate():
            RAN.info("rate")
            return Path(HERE, "data").read_text()

        @helix_task
        def scaled(rate):
            RAN.info("scaled")
            return float(rate) * 2

        @helix_flow
        def main():
            return scaled(rate())
        """,
        Step("rate scaled", lambda at: at.write("data", "1")),
        Step("", lambda at: (at.write("clock", "0.9"), at.write("data", "2")), differs=True),
        Step("rate scaled", lambda at: at.write("clock", "1.1")),
        Step("", lambda at: at.write("clock", "1.9")),
        Step("rate", lambda at: at.write("clock", "2.2")),
    ),
    Story(
        "a file argument is its content",
        """
        @helix_task
        def length(source):
            RAN.info("length")
            return len(Path(source).read_text())

        @helix_task
        def lengths(sources):
            RAN.info("lengths")
            return [len(Path(source).read_text()) for source in sources["all"]]

        @helix_flow
        def flow(path):
            return [length(File(path)), lengths({"all": [File(path)]})]

        def main():
            try:
                return flow(f"{HERE}/" + Path(HERE, "which").read_text())
            except FileNotFoundError as error:
                return str(error)
        """,
        Step("length lengths", lambda at: (at.write("which", "data"), at.write("data", "one"))),
        Step("", touch),
        Step("length lengths", lambda at: at.write("data", "three")),
        Step("", lambda at: at.write("data", "one")),
        Step("", lambda at: (at.write("which", "copy"), at.write("copy", "one"))),
        Step("length lengths", lambda at: at.write("copy", "three hundred")),
    ),
    Story(
        "a missing file is told as such",
        """
        @helix_task
        def length(source):
            RAN.info("length")
            return len(Path(source).read_text())

        @helix_flow
        def flow():
            return length(File(f"{HERE}/data"))

        def main():
            try:
                return flow()
            except FileNotFoundError as error:
                return f"not found: {HERE in str(error)}"
        """,
        Step("", lambda at: None),
    ),
    Story(
        "a file that a task made is part of its result",
        """
        @helix_task
        def export(text):
            RAN.info("export")
            Path(HERE, "data").write_text(text)
            return File(f"{HERE}/data")

        @helix_task
        def length(source):
            RAN.info("length")
            return len(Path(source).read_text())

        @helix_flow
        def main():
            return length(export("made"))
        """,
        Step("export length"),
        Step(""),
        Step("", touch),
        Step("", lambda at: at.path("data").unlink()),  # the store has a copy
        Step("export", lambda at: at.write("data", "altered")),
    ),
    Story(
        "a registered digest makes a type an argument like others",
        """
        import threading

        class Connection:
            def __init__(self, host):
                self.host = host
                self.lock = threading.Lock()

        register_digest(Connection, lambda connection: connection.host)

        @helix_task
        def ask(connection):
            RAN.info("ask")
            return connection.host.upper()

        @helix_flow
        def main():
            return ask(Connection(Path(HERE, "data").read_text()))
        """,
        Step("ask", lambda at: at.write("data", "north")),
        Step(""),
        Step("ask", lambda at: at.write("data", "south")),
        Step("", lambda at: at.write("data", "north")),
    ),
    Story(
        "a value without content makes its task compute and is named",
        """
        import threading

        class Connection:
            def __init__(self):
                self.lock = threading.Lock()

        @helix_task
        def ask(connection):
            RAN.info("ask")
            return 1

        @helix_task
        def child(number):
            RAN.info("child")
            return number + 1

        @helix_flow
        def main():
            return child(ask(Connection()))
        """,
        Step("ask child", says="its argument 'connection' holds a value of type"),
        Step("ask", says="ignore=['connection']"),
    ),
    Story(
        "a lock and a generator and an open file are refused by name",
        """
        import threading

        @helix_task
        def locked(lock):
            RAN.info("locked")
            return 1

        @helix_task
        def generated(numbers):
            RAN.info("generated")
            return 2

        @helix_task
        def opened(stream):
            RAN.info("opened")
            return len(stream.read())

        @helix_flow
        def main():
            with Path(HERE, "data").open() as stream:
                return [locked(threading.Lock()), generated(n for n in (1, 2)), opened(stream)]
        """,
        Step("locked generated opened", lambda at: at.write("data", "text"), says="its argument 'lock'"),
        Step("locked generated opened", says="its argument 'numbers'"),
        Step("locked generated opened", says="its argument 'stream'"),
    ),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("escape_hatches")


@pytest.fixture(scope="module")
def told(root: Path, prefect_server: str) -> Mapping[str, Sequence[Told]]:
    return tell(STORIES, root, prefect_server)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_the_user_says_counts(story: Story, told: Mapping[str, Sequence[Told]]) -> None:
    check(story, told[story.name])


def test_an_ignored_argument_is_not_recorded(root: Path, told: Mapping[str, Sequence[Told]]) -> None:
    store = open_store(root / "stores" / "story_an_ignored_argument_does_not_count_and_another_one_does")
    traces = [trace for lineage in Catalog(store).read().lineages for trace in lineage.traces]
    assert {argument.parameter for trace in traces for argument in trace.arguments} == {"rows"}


def test_a_missing_file_is_named(told: Mapping[str, Sequence[Told]]) -> None:
    assert [one.result for one in told["a missing file is told as such"]] == ["not found: True"]
