"""Every edit either keeps a task's fingerprint or changes it; each version is loaded from its own folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

Files = dict[str, str]

_LOADER = """
import importlib, json, sys, traceback
from prefect_helix.core.fingerprint import fingerprint

found = {}
loaded = set(sys.modules)
for key, folder in json.load(sys.stdin).items():
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        found[key] = fingerprint(importlib.import_module("project").task).hash
    except Exception:
        found[key] = traceback.format_exc()
    sys.path.remove(folder)
    for name in set(sys.modules) - loaded:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Edit:
    """An edit of a project: files before it, and the ones it changes."""

    name: str
    before: Files
    after: Files
    keeps: bool


def parse(table: str) -> list[Edit]:
    """Read edits from small diffs: ``== keep: name`` or ``== change: name``, then ``@ file`` and its lines."""
    edits = []
    for block in table.split("\n== ")[1:]:
        title, *lines = block.split("\n")
        outcome, _, name = title.partition(": ")
        files: dict[str, list[str]] = {}
        file = "project.py"
        for line in lines:
            if line.startswith("@ "):
                file = line[2:]
                files[file] = []
            elif not line.startswith("-- "):
                files.setdefault(file, []).append(line or " ")
        before = {file: _version(lines, "-") for file, lines in files.items()}
        after = {file: _version(lines, "+") for file, lines in files.items()}
        edits.append(Edit(name, before, after, {"keep": True, "change": False}[outcome]))
    return edits


def _version(lines: list[str], sign: str) -> str:
    return "".join(f"{line[1:]}\n" for line in lines if line[0] in (" ", sign))


EDITS = parse(r"""
-- how it is written

== keep: comment
+# one
+
 def task(df, k):
-    total = df * k
+    total = df * k  # two
     return total + 1
== keep: docstring added
 def task(df, k):
+    'Multiply.'
     total = df * k
     return total + 1
== keep: formatting
 def task(df, k):
-    total = df * k
+    total = (
+        df
+        * k
+    )
     return total + 1
== keep: blank line
 def task(df, k):
     total = df * k
+
+
     return total + 1
== keep: quotes
-def task(): return 'a'
+def task(): return "a"
== keep: local renamed
 def task(df, k):
-    total = df * k
+    product = df * k
-    return total + 1
+    return product + 1
== keep: annotation
-def task(df, k):
+def task(df: 'Frame', k: int) -> float:
     total = df * k
     return total + 1
== keep: annotation of a local
 def task(df, k):
-    total = df * k
+    total: float = df * k
     return total + 1
== keep: unrelated function
 def task(df, k):
     total = df * k
     return total + 1
+
+def other(): return 2
== keep: unrelated constant
-LIMIT = 1
+LIMIT = 2

 def task(df, k):
     total = df * k
     return total + 1
== change: body
 def task(df, k):
     total = df * k
-    return total + 1
+    return total + 2
== change: integer for float
 def task(df, k):
     total = df * k
-    return total + 1
+    return total + 1.0
== change: integer for bool
 def task(df, k):
     total = df * k
-    return total + 1
+    return total + True
== change: parameter renamed
-def task(df): return df
+def task(x): return x
== change: default
-def task(k=1): return k
+def task(k=2): return k
== change: keyword default
-def task(*, k=1): return k
+def task(*, k=2): return k
== change: operands swapped
 A = 1
 B = 2
-def task(): return A - B
+def task(): return B - A
== change: async
-def task(): return 1
+async def task(): return 1

-- names that mean something

== change: local read by a query
 def task(df):
-    x = 3
+    y = 3
     return df.query('a > @x')
== change: local read by a query in a global
 Q = 'a > @x'
 def task(df):
-    x = 3
+    y = 3
     return df.query(Q)
== change: local read by a query in a helper's list
 QS = ['a > @x']
 def q(): return QS[0]
 def task(df):
-    x = 3
+    y = 3
     return df.query(q())
== change: local read by locals()
 def task():
-    a = 1
+    b = 1
     return locals()
== change: local read by a helper's frame reader
 import sys
 def h(): return sys._getframe(1).f_locals
 def task():
-    a = 1
+    b = 1
     return h()
== change: global read by a query
-K = 1
+K = 2
 def task(df): return df.query('a > @K')
== change: global read by eval
-K = 1
+K = 2
 def task(df): return df.eval('a * K')
== change: keyword at a call
-def task(f): return f(a=1)
+def task(f): return f(b=1)
== change: function name as a label
-def p90(s): return 1
+def p95(s): return 1
-def task(df): return df.agg([p90])
+def task(df): return df.agg([p95])
== keep: local next to an attribute of that name
 def task(d):
-    mean = d.mean
+    avg = d.mean
-    return mean
+    return avg
== keep: comprehension variable
-def task(d): return [x for x in d]
+def task(d): return [y for y in d]
== keep: exception variable
 def task():
     try:
         return 1
-    except ValueError as e:
+    except ValueError as error:
-        return e
+        return error
== keep: local shared with a nested function
 def task():
-    n = 0
+    m = 0
     def g():
-        nonlocal n
+        nonlocal m
-        n += 1
+        m += 1
     g()
-    return n
+    return m
== change: nested parameter
-def task(): return lambda a: a
+def task(): return lambda b: b

-- docstrings and annotations that are read

== change: docstring that is read
 def h():
-    'a'
+    'b'
 def task(): return h.__doc__
== change: annotation that is read
 import typing
-def h(x: int): pass
+def h(x: str): pass
 def task(): return typing.get_type_hints(h)
== change: annotation of a function passed to foreign code
 import pydantic
-def h(x: int): return x
+def h(x: float): return x
 def task(x): return pydantic.validate_call(h)(x)
== change: annotation under a foreign decorator
 import pydantic
 @pydantic.validate_call
-def h(x: int): return x
+def h(x: float): return x
 def task(x): return h(x)
== keep: docstring of a function passed to Python's own
 def h(x):
-    'a'
+    'b'
     return x
 def task(xs): return list(map(h, xs))
== change: annotation in a class body
 import pydantic
 class M(pydantic.BaseModel):
-    x: int
+    x: float
 def task(): return M(x=3)
== change: default in a model
 import pydantic
 class M(pydantic.BaseModel):
-    x: int = 1
+    x: int = 2
 def task(): return M()
== change: dataclass default
 import dataclasses
 @dataclasses.dataclass
 class M:
-    x: int = 1
+    x: int = 2
 def task(): return M()

-- helpers

== change: helper in the same module
-def h(): return 1
+def h(): return 2
 def task(): return h()
== keep: docstring of a helper
-def h(): return 1
+def h():
+    'd'
+    return 1
 def task(): return h()
== change: helper in another module
@ project.py
 from tools import h
 def task(): return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== change: helper through its module
@ project.py
 import tools as m
 def task(): return m.h()
@ tools.py
-def h(): return 1
+def h(): return 2
== change: helper through a package
@ project.py
 import pkg.sub
 def task(): return pkg.sub.h()
@ pkg/__init__.py
@ pkg/sub.py
-def h(): return 1
+def h(): return 2
== change: helper through a star import and a re-export
@ project.py
 from pkg import *
 def task(): return h()
@ pkg/__init__.py
 from .sub import h
@ pkg/sub.py
-def h(): return 1
+def h(): return 2
== change: helper of a helper
@ project.py
 from tools import h
 def task(): return h()
@ tools.py
-def g(): return 1
+def g(): return 2
 def h(): return g()
== keep: unrelated function in a helper's module
@ project.py
 from tools import h
 def task(): return h()
@ tools.py
+def z(): return 2
 def h(): return 1
== keep: helper moved to another module
@ project.py
-from tools import h
+import other
-def task(): return h()
+def task(): return other.h()
@ tools.py
 K = 1
 def h(): return K
@ other.py
+K = 1
+def h(): return K
== keep: helper moved below
+def task(): return h()
 def h(): return 1
-def task(): return h()
== change: monkeypatched helper
@ project.py
 import tools
-tools.h = lambda: 1
+tools.h = lambda: 2
 def task(): return tools.h()
@ tools.py
 def h(): return 0
== change: monkeypatched library
 import json
-def fake(x): return 1
+def fake(x): return 2
 json.fake = fake
 def task(): return json.fake(0)
== change: builtin shadowed
+def len(x): return 0
 def task(x): return len(x)
== change: another builtin
-def task(x): return min(x)
+def task(x): return max(x)
== change: another library function
 import numpy as np
-def task(x): return np.min(x)
+def task(x): return np.max(x)
== change: another imported function
-from numpy import add as f
+from numpy import subtract as f
 def task(x): return f(x, x)
== keep: library alias
-import numpy as np
+import numpy as n
-def task(x): return np.min(x)
+def task(x): return n.min(x)
== change: recursion
 def a(n): return b(n - 1)
-def b(n): return n and a(n)
+def b(n): return n or a(n)
 def task(n): return a(n)
== change: recursion across modules
@ project.py
 import one
 def task(n): return one.a(n)
@ one.py
 import two
 def a(n): return two.b(n)
@ two.py
 import one
-def b(n): return n and one.a(n - 1)
+def b(n): return n and one.a(n - 2)
== change: self recursion
-def task(n): return n and task(n - 1)
+def task(n): return n and task(n - 2)
== change: import inside the function
@ project.py
 def task():
     from tools import h
     return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== change: dynamic import
@ project.py
 import importlib
 def task(): return importlib.import_module('tools').h()
@ tools.py
-def h(): return 1
+def h(): return 2
== change: what a dynamic import imports
@ project.py
 import importlib
 def task(): return importlib.import_module('tools').h()
@ tools.py
 from deep import h
@ deep.py
-def h(): return 1
+def h(): return 2
== change: module passed as a value
@ project.py
 import tools
 def task(f): return f(tools)
@ tools.py
-def h(): return 1
+def h(): return 2
== change: conditional name appears
+def h(): return 1
 def task(): return h()
== change: getattr with a literal
 import sys
-K = 1
+K = 2
 M = sys.modules[__name__]
 def task(): return getattr(M, 'K')

-- constants

== change: constant
-K = 1
+K = 2
 def task(): return K
== change: constant through a helper
-K = 1
+K = 2
 def h(): return K
 def task(): return h()
== change: constant through its module
@ project.py
 import m
 def task(): return m.K
@ m.py
-K = 1
+K = 2
== change: list to tuple
-K = [1]
+K = (1,)
 def task(): return K
== change: integer to string
-K = 1
+K = '1'
 def task(): return K
== change: array type
 import numpy
-K = numpy.ones(2, 'f4')
+K = numpy.ones(2, 'f8')
 def task(): return K
== change: column
 import pandas
-K = pandas.DataFrame({'a': [1]})
+K = pandas.DataFrame({'b': [1]})
 def task(): return K
== change: dict entry
-K = {'a': 1}
+K = {'a': 2}
 def task(): return K
== change: dict order
-K = {'a': 1, 'b': 2}
+K = {'b': 2, 'a': 1}
 def task(): return K
== keep: set order
-K = {'a', 'b'}
+K = {'b', 'a'}
 def task(): return K
== keep: constant written otherwise
-K = 3600
+K = 60 * 60
 def task(): return K
== change: initial value of state
-C = {}
+C = {1: 2}
 def task(k):
     C[k] = 1
     return C
== change: no write: add of a frame
 import pandas
-K = pandas.Series([1])
+K = pandas.Series([2])
 def task(): return K.add(1)
== keep: logger
 import logging
-L = logging.getLogger('a')
+L = logging.getLogger('b')
 def task(): L.info('x')
== change: instance state
 class M:
     def __init__(self, a): self.a = a
-K = M(1)
+K = M(2)
 def task(): return K.a
== change: configuration of an estimator
 from sklearn.linear_model import Ridge
-M = Ridge(alpha=1)
+M = Ridge(alpha=2)
 def task(x, y): return M.fit(x, y)

-- closures, decorators, wrappers

== change: closure value
 def make(k):
     def task(): return k
     return task
-task = make(1)
+task = make(2)
== change: closure function
 def make(k):
     def task(): return k()
     return task
-task = make(lambda: 1)
+task = make(lambda: 2)
== change: inner decorator
 def d(f):
-    def w(): return f() + 1
+    def w(): return f() + 2
     return w
 @d
 def task(): return 1
== change: decorated body
 import functools
 def d(f):
     @functools.wraps(f)
     def w(): return f() + 1
     return w
 @d
-def task(): return 1
+def task(): return 2
== change: decorator argument
 def d(k):
     def dd(f):
         def w(): return f() + k
         return w
     return dd
-@d(1)
+@d(2)
 def task(): return 1
== keep: options of our own decorator
 import prefect
-@prefect.task
+@prefect.task(retries=3, name='x')
 def task(): return 1
== change: body below our own decorator
 import prefect
 @prefect.task
-def h(): return 1
+def h(): return 2
 def task(): return h()
== change: lambda
-h = lambda: 1
+h = lambda: 2
 def task(): return h()
== change: second lambda of a line
-g, h = lambda: 1, lambda: 2
+g, h = lambda: 1, lambda: 3
 def task(): return h()
== keep: first lambda of a line
-g, h = lambda: 1, lambda: 2
+g, h = lambda: 3, lambda: 2
 def task(): return h()
== change: partial
 import functools
 def g(x): return x
-h = functools.partial(g, 1)
+h = functools.partial(g, 2)
 def task(): return h()
== change: function of a partial
 import functools
-def g(x): return x
+def g(x): return x + 1
 h = functools.partial(g, 1)
 def task(): return h()
== change: lru_cache
 import functools
 @functools.lru_cache
-def h(): return 1
+def h(): return 2
 def task(): return h()
== change: singledispatch
 import functools
 @functools.singledispatch
 def h(x): return 1
 @h.register
-def _(x: int): return 1
+def _(x: int): return 2
 def task(): return h(1)
== change: context manager
 import contextlib
 @contextlib.contextmanager
-def h(): yield 1
+def h(): yield 2
 def task():
     with h() as x: return x
== change: function in a dict
-def h(): return 1
+def h(): return 2
 T = {'h': h}
 def task(): return T['h']()
== change: function in nested containers
-def h(): return 1
+def h(): return 2
 T = [({'h': h},)]
 def task(): return T
== change: function in a set
-def h(): return 1
+def h(): return 2
 def g(): return 0
 T = {g, h}
 def task(): return T
== change: function in an estimator
 from sklearn.preprocessing import FunctionTransformer as F
-def h(x): return x
+def h(x): return x + 1
 T = F(h)
 def task(x): return T.transform(x)
== change: function below wrapt
 import wrapt
 @wrapt.decorator
 def d(f, i, a, k): return f(*a)
 @d
-def h(): return 1
+def h(): return 2
 def task(): return h()
== change: wrapper by wrapt
 import wrapt
 @wrapt.decorator
-def d(f, i, a, k): return f(*a)
+def d(f, i, a, k): return f(*a) + 1
 @d
 def h(): return 1
 def task(): return h()
== change: vectorized
 import numpy
 @numpy.vectorize
-def h(x): return 1
+def h(x): return 2
 def task(x): return h(x)

-- classes

== change: method
 class M:
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f()
== change: method through self
 class M:
     def f(self): return self.g()
-    def g(self): return 1
+    def g(self): return 2
 def task(): return M().f()
== change: inherited method
@ project.py
 from base import B
 class M(B): pass
 def task(): return M().f()
@ base.py
 class B:
-    def f(self): return 1
+    def f(self): return 2
== change: class constant
 class M:
-    K = 1
+    K = 2
 def task(): return M.K
== change: property
 class M:
     @property
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f
== change: static method
 class M:
     @staticmethod
-    def f(): return 1
+    def f(): return 2
 def task(): return M.f()
== change: class method
 class M:
     @classmethod
-    def f(cls): return 1
+    def f(cls): return 2
 def task(): return M.f()
== change: metaclass
 class T(type):
-    def f(cls): return 1
+    def f(cls): return 2
 class M(metaclass=T): pass
 def task(): return M.f()
== change: enum value
 import enum
 class E(enum.Enum):
-    A = 1
+    A = 2
 def task(): return E.A
== change: cached property
 import functools
 class M:
     @functools.cached_property
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f
== change: slots
 class M:
     __slots__ = ('a',)
     def __init__(self, a): self.a = a
-K = M(1)
+K = M(2)
 def task(): return K.a
== change: bound method
 class M:
     def __init__(self, a): self.a = a
     def f(self): return self.a
-f = M(1).f
+f = M(2).f
 def task(): return f()
== change: callable instance
 class M:
-    def __call__(self): return 1
+    def __call__(self): return 2
 task = M()
== change: callable instance's state
 class M:
     def __init__(self, a): self.a = a
     def __call__(self): return self.a
-task = M(1)
+task = M(2)
== keep: docstring and order of a class
 class M:
+    'd'
+    def g(self): return 2
     def f(self): return 1
-    def g(self): return 2
 def task(): return M()
== change: class of an instance in a dict
 class M:
-    def f(self): return 1
+    def f(self): return 2
 T = {'m': M()}
 def task(): return T['m'].f()

-- code without source

== change: exec
-exec('def h(): return 1')
+exec('def h(): return 2')
 def task(): return h()
== change: what exec'd code reaches
-K = 1
+K = 2
 exec('def h(): return K')
 def task(): return h()
== keep: layout of exec'd code
-exec('def h(): return 1')
+exec('\n\ndef h():  # x\n    return 1')
 def task(): return h()
""")


@pytest.fixture(scope="module")
def hashes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Load every version of every project in one new process, each from a folder of its own."""
    root = tmp_path_factory.mktemp("edits")
    folders = {}
    for number, edit in enumerate(EDITS):
        for version, files in (("before", edit.before), ("again", edit.before), ("after", edit.after)):
            folder = folders[f"{number} {version}"] = root / f"{number}_{version}"
            for name, text in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, newline="")
    return load({key: str(folder) for key, folder in folders.items()})


def load(folders: dict[str, str], seed: str = "0", script: str = _LOADER, cwd: Path | None = None) -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=json.dumps(folders), env=environment, cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("number", "edit"), [pytest.param(n, e, id=e.name) for n, e in enumerate(EDITS)])
def test_an_edit_changes_the_fingerprint_exactly_if_it_can_change_the_result(
    number: int, edit: Edit, hashes: dict[str, str]
) -> None:
    before, again, after = (hashes[f"{number} {version}"] for version in ("before", "again", "after"))
    assert len(before) == len(after) == 32, f"{before}\n{after}"
    assert before == again
    assert (before == after) == edit.keeps


def test_line_endings_do_not_count(tmp_path: Path) -> None:
    text = 'def task():\n    words = """a\nb"""\n    return words\n'
    folders = {}
    for key, ending in (("unix", "\n"), ("windows", "\r\n")):
        folders[key] = str(tmp_path / key)
        (tmp_path / key).mkdir()
        (tmp_path / key / "project.py").write_text(text, newline=ending)
    found = load(folders)
    assert found["unix"] == found["windows"]
    assert len(found["unix"]) == 32


def test_hash_seed_working_directory_and_place_do_not_count(tmp_path: Path) -> None:
    text = "NAMES = {'a', 'b', 'c'}\ndef g(): return 0\ndef h(): return 1\nT = {g, h}\n"
    text += "def task(x): return x in NAMES, x in {'u', 'v', 'w'}, T, h"
    found = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "project.py").write_text(text)
        found |= set(load({"only": str(folder)}, seed=seed, cwd=folder).values())
    assert len(found) == 1
    assert len(found.pop()) == 32


def test_a_script_and_the_module_it_is_are_the_same(tmp_path: Path) -> None:
    text = (
        "import dataclasses, logging, sys\nlog = logging.getLogger(__name__)\n"
        "@dataclasses.dataclass\nclass P:\n    x: int = 1\n    def f(self): return self.x\nD = [P(2)]\n"
        "def h(): return P()\ndef task(): log.info(__name__); return h(), D\n"
        "if __name__ == '__main__':\n"
        "    from prefect_helix.core.fingerprint import fingerprint\n"
        "    import json; print(json.dumps({'only': fingerprint(task).hash}))\n"
    )
    (tmp_path / "project.py").write_text(text)
    imported = load({"only": str(tmp_path)})
    script = f"import runpy; runpy.run_path({str(tmp_path / 'project.py')!r}, run_name='__main__')"
    assert len(imported["only"]) == 32
    assert load({}, script=script) == imported
