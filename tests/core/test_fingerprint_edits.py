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
== change: name that a function is given
 def percentile(n):
     def f(s): return s.quantile(n / 100)
-    f.__name__ = f'p{n}'
+    f.__name__ = f'q{n}'
     return f
 AGGREGATES = [percentile(90)]
 def task(df): return df.agg(AGGREGATES)
== change: name that a partial is given
 import functools
 def quantile(s, q): return s.quantile(q)
 p90 = functools.partial(quantile, q=0.9)
-p90.__name__ = 'p90'
+p90.__name__ = 'q90'
 def task(df): return df.agg([p90])
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
== change: docstring that a function passed to foreign code is given
 import pydantic
-TEXT = 'a'
+TEXT = 'b'
 def h(x): return x
 h.__doc__ = TEXT
 def task(): return pydantic.TypeAdapter(h)
== change: docstring of a function in a list passed to foreign code
 import pydantic
 def h(x):
-    'a'
+    'b'
     return x
 TOOLS = [h]
 def task(): return pydantic.TypeAdapter(TOOLS)
== change: annotation of a function below a partial in a dict passed to code that is not known
 import functools
-def h(x: int, k): return x
+def h(x: float, k): return x
 TOOLS = {'h': functools.partial(h, k=1)}
 def task(agent): return agent(TOOLS)
== change: annotation of a function that is given on to foreign code
 import pydantic
-def h(x: int): return x
+def h(x: float): return x
 def checked(f): return pydantic.validate_call(f)
 def task(x): return checked(h)(x)
== keep: docstring of a function in a list
 def h(x):
-    'a'
+    'b'
     return x
 STEPS = [h]
 def task(x):
     for step in STEPS: x = step(x)
     return x, STEPS[0](x), len(STEPS)
== change: annotation of a function in a module that is imported inside one
@ project.py
 import pydantic
 def task(x):
     from tools import h
     return pydantic.validate_call(h)(x)
@ tools.py
-def h(x: int): return x
+def h(x: float): return x
== change: docstring of a function in a module that is imported inside one
@ project.py
 def task(agent):
     from tools import search
     return agent(tools=[search])
@ tools.py
 def search(q):
-    'Search the index.'
+    'Search the index for a whole question.'
     return q
== keep: comment in a module that is imported inside a function
@ project.py
 def task(x):
     from tools import h
     return h(x)
@ tools.py
-def h(x): return x
+def h(x): return x  # as it is
== change: docstring of a class in a function
 import pydantic
 def task(x):
     class Answer(pydantic.BaseModel):
-        'a'
+        'b'
         text: str
     return Answer.model_json_schema()
== change: annotation of a method of a class in a function
 import pydantic
 def task(x):
     class Step(pydantic.BaseModel):
-        def run(self, x: int): return x
+        def run(self, x: float): return x
     return Step
== change: docstring of a function that another one makes
 def make(index):
     def search(q):
-        'a'
+        'b'
         return index[q]
     return search
 def task(agent, index): return agent(tools=[make(index)])
== change: what the annotation in a class in a function names
 from __future__ import annotations
 import pydantic, typing
-Limit = typing.Annotated[int, pydantic.Field(gt=3)]
+Limit = typing.Annotated[int, pydantic.Field(gt=4)]
 def task(d):
     class M(pydantic.BaseModel):
         x: Limit
     return M(**d)
== change: what the text of an annotation in a class in a function names
 import pydantic, typing
-Limit = typing.Annotated[int, pydantic.Field(gt=3)]
+Limit = typing.Annotated[int, pydantic.Field(gt=4)]
 def task(d):
     class M(pydantic.BaseModel):
         x: "list[Limit]"
     return M(**d)
== change: what the annotation of a function in a function names
 from __future__ import annotations
 import pydantic, typing
-Limit = typing.Annotated[int, pydantic.Field(gt=3)]
+Limit = typing.Annotated[int, pydantic.Field(gt=4)]
 def task(d):
     def h(x: Limit): return x
     return pydantic.validate_call(h)(d)
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
== change: dynamic import below a package that is named
@ project.py
 import importlib
 def task(): return importlib.import_module('.tools', package='pkg').h()
@ pkg/__init__.py
@ pkg/tools.py
-def h(): return 1
+def h(): return 2
== change: dynamic import below another package than its own
@ project.py
 from pkg.steps import task
@ pkg/__init__.py
@ pkg/steps.py
 import importlib
 def task(): return importlib.import_module('.resnet', 'pkg.nets').h()
@ pkg/nets/__init__.py
@ pkg/nets/resnet.py
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

-- state counts by the code that makes its first value

== change: class attr initial
 class C:
-    n = 0
+    n = 5
 def task(k):
     C.n += 1
     return C.n
== change: instance attr initial through ctor
 class C:
     def __init__(self, n): self.n = n
-c = C(5)
+c = C(6)
 def task(k):
     c.n += 1
     return c.n
== change: mutable default initial
-def task(k, seen={1: 2}):
+def task(k, seen={1: 3}):
     seen[k] = 1
     return seen
== change: closure state initial
 def make():
-    n = 0
+    n = 7
     def f(k):
         nonlocal n
         n += k
         return n
     return f
 task = make()
== change: closure state initial by argument
 def make(n):
     def f(k):
         nonlocal n
         n += k
         return n
     return f
-task = make(0)
+task = make(1)
== change: state initial under if
 import sys
 if sys:
-    C = {}
+    C = {1: 2}
 def task(k):
     C[k] = 1
     return C
== change: state filled at module level
 C = {}
-C['a'] = 1
+C['a'] = 2
 def task(k):
     C[k] = 1
     return C
== change: state tuple assign
-C, D = {}, 1
+C, D = {1: 2}, 1
 def task(k):
     C[k] = 1
     return C
== change: state initial through a constant
-X = {1: 2}
+X = {1: 3}
 C = dict(X)
 def task(k):
     C[k] = 1
     return C
== change: state initial through a helper
-def ini(): return {1: 2}
+def ini(): return {1: 3}
 C = ini()
 def task(k):
     C[k] = 1
     return C
== change: state imported from
@ project.py
 from tools import C
 def task(k):
     C[k] = 1
     return C
@ tools.py
-C = {}
+C = {1: 2}
== change: state imported under a try
@ project.py
 try:
     from fast import C
 except ImportError:
     from tools import C
 def task(k):
     C[k] = 1
     return C
@ tools.py
-C = {}
+C = {1: 2}
== change: state imported under another name under an if
@ project.py
 import sys
 if sys:
     from tools import D as C
 else:
     C = {}
 def task(k):
     C[k] = 1
     return C
@ tools.py
-D = {}
+D = {1: 2}
== change: state of a package or of a script beside it
@ project.py
 try:
     from .tools import C
 except ImportError:
     from tools import C
 def task(k):
     C[k] = 1
     return C
@ tools.py
-C = {}
+C = {1: 2}
== change: state through module
@ project.py
 import tools
 def task(k):
     tools.C[k] = 1
     return tools.C
@ tools.py
-C = {}
+C = {1: 2}
== change: state star import
@ project.py
 from tools import *
 def task(k):
     C[k] = 1
     return C
@ tools.py
-C = {}
+C = {1: 2}
== change: state with annotation
-C: dict = {}
+C: dict = {1: 2}
 def task(k):
     C[k] = 1
     return C
== change: function attribute initial
 def task(k):
     task.calls += 1
     return task.calls
-task.calls = 0
+task.calls = 5
== change: lazy singleton initial arg
-A = 1
+A = 2
 M = None
 def get():
     global M
     if M is None: M = A
     return M
 def task(): return get()
== change: nested function default
 def make():
-    def f(k, seen={1: 1}):
+    def f(k, seen={1: 2}):
         seen[k] = 1
         return seen
     return f
 task = make()
== change: list state appended by method of class
 class C:
-    seen = [1]
+    seen = [2]
     def add(self, k): C.seen.append(k); return C.seen
 def task(k): return C().add(k)
== change: memo decorator arg other module
@ project.py
 from lib import counter
-f = counter(1)
+f = counter(2)
 def task(): return f()
@ lib.py
 def counter(n):
     def f():
         nonlocal n
         n += 1
         return n
     return f
== change: memo decorator arg with wraps as root
@ project.py
 from lib import counter
-@counter(1)
+@counter(2)
 def task(): return 1
@ lib.py
 import functools
 def counter(n):
     def d(f):
         @functools.wraps(f)
         def w():
             nonlocal n
             n += 1
             return n
         return w
     return d
== change: state under a for loop
 C = {}
-for i in range(3): C[i] = i
+for i in range(3): C[i] = i + 1
 def task(k):
     C[k] = 1
     return C
== change: state filled by a decorator
 C = {}
 def reg(n):
     def d(f):
         C[n] = f
         return f
     return d
-@reg('a')
+@reg('b')
 def h(): return 1
 def task(k):
     C[k] = 1
     return C
== change: state filled by a call
 C = {}
 def fill(n): C['a'] = n
-fill(1)
+fill(2)
 def task(k):
     C[k] = 1
     return C
== change: state rebinding by setattr
 import sys
 C = {}
-setattr(sys.modules[__name__], 'C', {1: 2})
+setattr(sys.modules[__name__], 'C', {1: 3})
 def task(k):
     C[k] = 1
     return C
== change: state under another name
-C = {1: 2}
+C = {1: 3}
 D = C
 def task(k):
     D[k] = 1
     return D
== change: state under another name in another module
@ project.py
 import tools
 D = tools.C
 def task(k):
     D[k] = 1
     return D
@ tools.py
-C = {1: 2}
+C = {1: 3}
== change: constant that is a default which the function may write to
-OPTIONS = {'depth': 3}
+OPTIONS = {'depth': 5}
 def fit(x, options=OPTIONS):
     options = dict(options)
     options['seed'] = x
     return options
 def task(x): return fit(x)
== change: constant that a closure may write to
-OPTIONS = {'depth': 3}
+OPTIONS = {'depth': 5}
 def make(options):
     def f(k):
         options[k] = 1
         return options
     return f
 task = make(OPTIONS)
== change: state of a class that has another name
-C = {1: 2}
+C = {1: 3}
 class M:
     seen = C
 def task(k):
     M.seen[k] = 1
     return M.seen
== change: state that the module of the task fills
@ project.py
 from tools import C, put
-C['rate'] = 1
+C['rate'] = 2
 def task(k):
     put(k)
     return C
@ tools.py
 C = {}
 def put(k): C[k] = 1
== change: attribute that the module of the task sets by a method of its class
@ project.py
 from conf import Config
-Config.configure(1)
+Config.configure(2)
 def task(): return Config.rate
@ conf.py
 class Config:
     rate = 0
     @staticmethod
     def configure(rate): Config.rate = rate
== change: attribute that the module of the task sets, and a method of its class, too
@ project.py
 from conf import Config
-Config.rate = 1
+Config.rate = 2
 def task(): return Config.rate
@ conf.py
 class Config:
     rate = 0
     @classmethod
     def reset(cls): Config.rate = 0
== change: entry that the module of the task puts into a registry by its class
@ project.py
 from base import Registry
-Registry.add("small", {"width": 64})
+Registry.add("small", {"width": 32})
 def task(): return Registry.items["small"]
@ base.py
 class Registry:
     items = {}
     @staticmethod
     def add(name, value): Registry.items[name] = value
== change: attribute of an instance that the module of the task sets by a method of its class
@ project.py
 from conf import config
-config.rate = 1
+config.rate = 2
 def task(): return config.rate
@ conf.py
 class Config:
     rate = 0
     def reset(self): config.rate = 0
 config = Config()
== keep: constant of that name that is no state
@ project.py
 from tools import put
-C = {1: 2}
+C = {1: 3}
 def task(k): return put(k)
@ tools.py
 C = {}
 def put(k): C[k] = 1
== change: init_subclass registry
 class B:
     reg = {}
     def __init_subclass__(cls, **k): B.reg[cls.__name__] = cls
 class D(B):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return B.reg['D']().f()
== change: init_subclass registry nested
 class B:
     reg = {}
     def __init_subclass__(cls, w=0, **k): B.reg[cls.__name__] = (cls, w)
-class D(B, w=1):
+class D(B, w=2):
     def f(self): return 1
 def task(): return B.reg['D'][1]
== change: init_subclass registry nested code
 class B:
     reg = {}
     def __init_subclass__(cls, w=0, **k): B.reg[cls.__name__] = (cls, w)
 class D(B, w=1):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return B.reg['D'][0]().f()
== change: key by which a class in another module registers itself
@ project.py
 import base, nets
 def task(): return base.Model.kinds["a"]
@ base.py
 class Model:
     kinds = {}
     def __init_subclass__(cls, key, **k): Model.kinds[key] = cls
@ nets.py
 from base import Model
-class A(Model, key="a"): pass
+class A(Model, key="b"): pass
-class B(Model, key="b"): pass
+class B(Model, key="a"): pass
== change: option with which a function in another module is registered
@ project.py
 import base, steps
 def task(x):
     f, options = base.Registry.items["scale"]
     return f(x, **options)
@ base.py
 class Registry:
     items = {}
     @staticmethod
     def add(name, **options):
         def put(f):
             Registry.items[name] = (f, options)
             return f
         return put
@ steps.py
 from base import Registry
-@Registry.add("scale", by=2)
+@Registry.add("scale", by=3)
 def scale(x, by): return x * by
== change: call by which an instance is registered in the module of its class
@ project.py
 import base, steps
 def task(x): return base.Registry.items["scale"](x)
@ base.py
 class Registry:
     items = {}
     @staticmethod
     def add(name, step): Registry.items[name] = step
@ steps.py
 from base import Registry
 class Scale:
     def __init__(self, by): self.by = by
     def __call__(self, x): return x * self.by
-Registry.add("scale", Scale(2))
+Registry.add("scale", Scale(3))
== keep: code beside a class that registers itself
@ project.py
 import base, nets
 def task(): return base.Model.kinds["a"]
@ base.py
 class Model:
     kinds = {}
     def __init_subclass__(cls, key, **k): Model.kinds[key] = cls
@ nets.py
 from base import Model
 class A(Model, key="a"): pass
-LIMIT = 1
+LIMIT = 2
== keep: comment and docstring around state
 C = {}
+# a comment
 def task(k):
+    'doc'
     C[k] = 1
== keep: unrelated constant next to state
 C = {}
+D = {1: 2}
 def task(k):
     C[k] = 1

-- what does not show its content counts by the code that makes it

== change: hidden in class
 import contextvars
 class M:
-    cv = contextvars.ContextVar('a', default=1)
+    cv = contextvars.ContextVar('a', default=2)
 def task(): return M.cv.get()
== change: hidden in dict
 import io
-T = {'a': io.StringIO('a')}
+T = {'a': io.StringIO('b')}
 def task(): return T
== change: hidden in an instance
 import io
 class M:
     def __init__(self, a): self.f = io.StringIO(a)
-m = M('a')
+m = M('b')
 def task(): return m.f.read()
== change: generator constant
-G = (x for x in range(3))
+G = (x for x in range(4))
 def task(): return list(G)
== change: hidden imported
@ project.py
 from tools import B
 def task(): return B.read()
@ tools.py
 import io
-B = io.StringIO('a')
+B = io.StringIO('b')
== change: hidden through a helper
@ project.py
 from tools import B
 def task(): return B.read()
@ tools.py
 import io
-def make(): return io.StringIO('a')
+def make(): return io.StringIO('b')
 B = make()
== keep: lock next to other code
 import threading
 L = threading.Lock()
+def other(): return 1
 def task():
     with L: return 1
== change: contextvar default
 import contextvars
-A = contextvars.ContextVar('a', default=1)
+A = contextvars.ContextVar('a', default=2)
 def task(x): return A.get()
== change: weak proxied helper
 import weakref
 class M:
-    def f(self): return 1
+    def f(self): return 2
 m = M()
 w = weakref.ref(m)
 def task(x): return w().f()
== change: bytesio
 import io
-A = io.BytesIO(b'a')
+A = io.BytesIO(b'b')
 def task(x): return A.getvalue()
== change: start of a counter
 import itertools
-N = itertools.count(1)
+N = itertools.count(2)
 def task(): return next(N)
== change: struct
 import struct
-K = struct.Struct('i')
+K = struct.Struct('q')
 def task(): return K.size
== change: bound method of a compiled object that has a name
 import struct
-packer = struct.Struct('i')
+packer = struct.Struct('q')
 pack = packer.pack
 def task(): return pack(3)
== change: hidden under three names
 import io
-A = io.StringIO('a')
+A = io.StringIO('b')
 B = A
 C = B
 def task(): return C.read()
== change: ufunc
 import numpy
-def h(a): return a
+def h(a): return a + 1
 A = numpy.frompyfunc(h, 1, 1)
 def task(x): return A(x)

-- names in strings, and attributes that no name leads to

== change: global read by query through a global string
-K = 1
+K = 2
 Q = 'a > @K'
 def task(df): return df.query(Q)
== change: local read by query keyword
 def task(df, name):
-    x = 3
+    y = 3
     return df.query(expr='a > @' + name)
== change: local read by query bound method
 def task(df, name):
-    x = 3
+    y = 3
     f = df.query
     return f('a > @' + name)
== change: local read by query built
 def task(df, name):
-    x = 3
+    y = 3
     return df.query('a > @' + name)
== change: local read by query map
 def task(df, names):
-    x = 3
+    y = 3
     return list(map(df.query, names))
== change: patsy formula
-def h(x): return x
+def h(x): return x + 1
 def task(df, ols): return ols('y ~ h(x)', df)
== change: duckdb table by name
 import pandas
-T = pandas.DataFrame({'a': [1]})
+T = pandas.DataFrame({'a': [2]})
 def task(con): return con.execute('select * from T')
== change: pandas monkeypatch
 import pandas
-def clean(df): return df
+def clean(df): return df + 1
 pandas.DataFrame.clean = clean
 def task(df): return df.clean()
== change: pandas accessor
 import pandas
 @pandas.api.extensions.register_dataframe_accessor('geo9')
 class Geo:
     def __init__(self, df): self.df = df
-    def f(self): return 1
+    def f(self): return 2
 def task(df): return df.geo9.f()
== change: frame attribute set accessor series
 import pandas
-def up(s): return s
+def up(s): return s + 1
 pandas.Series.up = property(up)
 def task(df): return df['a'].up
== change: method put into series and frames
 import pandas
 pandas.DataFrame.tidy7 = lambda self: self
-pandas.Series.tidy7 = lambda self: self
+pandas.Series.tidy7 = lambda self: self + 1
 def task(df): return df['a'].tidy7()
== change: accessor of series beside one of frames
 import pandas
 @pandas.api.extensions.register_dataframe_accessor('geo8')
 class Geo:
     def __init__(self, df): self.df = df
 @pandas.api.extensions.register_series_accessor('geo8')
 class Line:
     def __init__(self, s): self.s = s
-    def f(self): return 1
+    def f(self): return 2
 def task(df): return df['a'].geo8.f()
== change: function below a wrapper of a library that is put into frames
 import functools, pandas
-def tidy8(df, n): return df + n
+def tidy8(df, n): return df - n
 pandas.DataFrame.tidy8 = functools.partialmethod(tidy8, 1)
 def task(df): return df.tidy8()
== change: argument of a wrapper of a library that is put into frames
 import functools, pandas
 def tidy9(df, n): return df + n
-pandas.DataFrame.tidy9 = functools.partialmethod(tidy9, 1)
+pandas.DataFrame.tidy9 = functools.partialmethod(tidy9, 2)
 def task(df): return df.tidy9()
== change: descriptor of the project that is put into frames
 import pandas
 class Half:
-    def __get__(self, df, cls): return 2
+    def __get__(self, df, cls): return 3
 pandas.DataFrame.half9 = Half()
 def task(df): return df.half9
== change: submodule that its package loads when it is asked for
@ project.py
 import pkg
 def task(): return pkg.features.h()
@ pkg/__init__.py
 import importlib
 LAZY = ['features']
 def __getattr__(name):
     if name not in LAZY: raise AttributeError(name)
     return importlib.import_module(f'{__name__}.{name}')
@ pkg/features.py
-def h(): return 1
+def h(): return 2
== change: import package attr
@ project.py
 import pkg.sub
 def task():
     import pkg
     return pkg.sub.h()
@ pkg/__init__.py
@ pkg/sub.py
-def h(): return 1
+def h(): return 2
== change: module found by a finder only
@ project.py
 import sys, importlib.util, pathlib
 here = pathlib.Path(__file__).parent
 class F:
     @staticmethod
     def find_spec(name, path=None, target=None):
         if name == 'edit_x': return importlib.util.spec_from_file_location(name, here / 'src' / 'edit_x.py')
 sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, '__name__', '') != 'F'] + [F]
 def task():
     import edit_x
     return edit_x.h()
@ src/edit_x.py
-def h(): return 1
+def h(): return 2
== change: module getattr
@ project.py
 import lazy
 def task(): return lazy.h()
@ lazy.py
 def __getattr__(name):
     import impl
     return getattr(impl, name)
@ impl.py
-def h(): return 1
+def h(): return 2
== change: module getattr value
@ project.py
 import lazy
 def task(): return lazy.K
@ lazy.py
 def __getattr__(name):
-    return 1
+    return 2

-- more classes

== change: class docstring read
 class M:
-    'a'
+    'b'
 def task(): return M.__doc__
== change: pydantic docstring in schema
 import pydantic
 class M(pydantic.BaseModel):
-    'a'
+    'b'
     x: int
 def task(): return M.model_json_schema()
== change: subclasses
 class B: pass
 class D(B):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return [c().f() for c in B.__subclasses__()]
== change: class attribute order seen
 class M:
-    a = 1
-    b = 2
+    b = 2
+    a = 1
 def task(): return [k for k in vars(M)]
== change: constructor of a class below a protocol
 import typing
 class P(typing.Protocol):
     def f(self): ...
 class M(P):
-    def __init__(self): self.x = 1
+    def __init__(self): self.x = 2
     def f(self): return self.x
 def task(): return M().f()
== change: value of a flag
 import enum
 class F(enum.Flag):
     A = 1
-    B = 2
+    B = 4
 def task(): return (F.A | F.B).value
== change: abc register
 import abc
 class A(abc.ABC): pass
 class B: pass
+A.register(B)
 def task(): return isinstance(B(), A)
== change: dataclass field default in metadata
 import dataclasses
 @dataclasses.dataclass
 class M:
-    x: int = dataclasses.field(default=1, metadata={'a': 1})
+    x: int = dataclasses.field(default=1, metadata={'a': 2})
 def task(): return dataclasses.fields(M)[0].metadata
== change: dataclass field compare
 import dataclasses
 @dataclasses.dataclass
 class M:
-    x: int = dataclasses.field(default=1)
+    x: int = dataclasses.field(default=1, compare=False)
 def task(): return M(1) == M(2)
== change: dataclass field order
 import dataclasses
 @dataclasses.dataclass
 class M:
-    x: int = 1
-    y: int = 1
+    y: int = 1
+    x: int = 1
 def task(): return M(1, 2)
== change: default factory
 import dataclasses
-def h(): return [1]
+def h(): return [2]
 @dataclasses.dataclass
 class M:
     x: list = dataclasses.field(default_factory=h)
 def task(): return M()
== change: enum method
 import enum
 class E(enum.Enum):
     A = 1
-    def f(self): return 1
+    def f(self): return 2
 def task(): return E.A.f()
== change: attribute that the constructor of an enum sets on a member
 import enum
 class Metric(str, enum.Enum):
     RMSE = 'rmse', 1.0
-    MAE = 'mae', 0.5
+    MAE = 'mae', 0.25
     def __new__(cls, value, weight):
         member = str.__new__(cls, value)
         member._value_ = value
         member.weight = weight
         return member
 def task(): return Metric.MAE.weight
== change: function that the constructor of an enum sets on a member
 import enum
 class Scale(enum.Enum):
-    HALF = 1, lambda x: x / 2
+    HALF = 1, lambda x: x / 3
     def __new__(cls, number, scale):
         member = object.__new__(cls)
         member._value_ = number
         member.scale = scale
         return member
 def task(x): return Scale.HALF.scale(x)
== change: enum order
 import enum
 class E(enum.Enum):
-    A = 1
-    B = 2
+    B = 2
+    A = 1
 def task(): return list(E)
== change: namedtuple field
 import typing
 class M(typing.NamedTuple):
-    a: int
-    b: int
+    b: int
+    a: int
 def task(): return M(1, 2)
== change: generic
 import typing
 T = typing.TypeVar('T')
 class M(typing.Generic[T]):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M[int]().f()
== change: protocol
 import typing
 class P(typing.Protocol):
-    def f(self): return 1
+    def f(self): return 2
 class M(P): pass
 def task(): return M().f()
== change: class decorator
 def d(c):
-    c.f = lambda self: 1
+    c.f = lambda self: 2
     return c
 @d
 class M: pass
 def task(): return M().f()
== change: class replaced by decorator
 def d(c):
     class N(c):
-        def f(self): return 1
+        def f(self): return 2
     return N
 @d
 class M: pass
 def task(): return M().f()
== change: decorator class
 class d:
     def __init__(self, f): self.f = f
-    def __call__(self): return self.f() + 1
+    def __call__(self): return self.f() + 2
 @d
 def h(): return 1
 def task(): return h()
== change: property setter
 class M:
     @property
     def f(self): return self._f
     @f.setter
-    def f(self, v): self._f = v
+    def f(self, v): self._f = v + 1
 def task():
     m = M(); m.f = 1
     return m.f
== change: descriptor
 class D:
-    def __get__(self, i, o): return 1
+    def __get__(self, i, o): return 2
 class M:
     f = D()
 def task(): return M().f
== change: super chain
 class A:
-    def f(self): return 1
+    def f(self): return 2
 class B(A):
     def f(self): return super().f()
 class C(B):
     def f(self): return super().f()
 def task(): return C().f()
== change: monkeypatched method
 class M:
     def f(self): return 1
-def g(self): return 2
+def g(self): return 3
 M.f = g
 def task(): return M().f()
== change: match class
 class P:
-    __match_args__ = ('a', 'b')
+    __match_args__ = ('b', 'a')
 def task(x):
     match x:
         case P(a, b): return a
== change: method resolution order
 class A:
     def f(self): return 1
 class B:
     def f(self): return 2
-class C(A, B): pass
+class C(B, A): pass
 def task(x): return C().f()
== change: class getattr
 class M:
     def __getattr__(self, n):
-        return 1
+        return 2
 def task(k): return M().anything
== change: singledispatchmethod
 import functools
 class M:
     @functools.singledispatchmethod
     def f(self, x): return 1
     @f.register
-    def _(self, x: int): return 1
+    def _(self, x: int): return 2
 def task(): return M().f(1)
== change: partialmethod
 import functools
 class M:
     def h(self, a=1): return a
-    g = functools.partialmethod(h, a=1)
+    g = functools.partialmethod(h, a=2)
 def task(): return M().g()
== change: pydantic field validator
 import pydantic
 class M(pydantic.BaseModel):
     x: int
     @pydantic.field_validator('x')
     @classmethod
-    def v(cls, x): return x
+    def v(cls, x): return x + 1
 def task(): return M(x=1)
== change: pydantic validator helper
 import pydantic
-def h(x): return x
+def h(x): return x + 1
 class M(pydantic.BaseModel):
     x: int
     @pydantic.field_validator('x')
     @classmethod
     def v(cls, x): return h(x)
 def task(): return M(x=1)
== change: pydantic annotated validator
 import pydantic, typing_extensions as typing
-def h(x): return x
+def h(x): return x + 1
 class M(pydantic.BaseModel):
     x: typing.Annotated[int, pydantic.AfterValidator(h)]
 def task(): return M(x=1)
== change: pydantic model validator mode
 import pydantic
 class M(pydantic.BaseModel):
     x: int
-    @pydantic.field_validator('x', mode='after')
+    @pydantic.field_validator('x', mode='before')
     @classmethod
     def v(cls, x): return x
 def task(d): return M(**d)
== change: configuration of a data class of pydantic
 import pydantic.dataclasses
-@pydantic.dataclasses.dataclass(config={'str_to_lower': False})
+@pydantic.dataclasses.dataclass(config={'str_to_lower': True})
 class M:
     x: str
 def task(): return M('A')
== change: configuration of a typed dict for pydantic
 import pydantic, typing_extensions as typing
 class D(typing.TypedDict):
-    __pydantic_config__ = {'str_to_lower': False}
+    __pydantic_config__ = {'str_to_lower': True}
     x: str
 def task(): return pydantic.TypeAdapter(D).validate_python({'x': 'A'})
== change: what a model does with its subclasses
 import pydantic
 class B(pydantic.BaseModel):
     @classmethod
-    def __pydantic_init_subclass__(cls, **more): cls.rate = 1
+    def __pydantic_init_subclass__(cls, **more): cls.rate = 2
 def task():
     class M(B): pass
     return M.rate
== keep: local next to a model
 import pydantic
 class N(pydantic.BaseModel):
     y: int
 class M(pydantic.BaseModel):
     x: N
     z: list[N] = []
     @pydantic.model_validator(mode='after')
     def v(self): return self
     @pydantic.computed_field
     @property
     def q(self) -> int: return 1
 def task(d):
-    a = M(**d)
+    b = M(**d)
-    return a
+    return b
== change: pydantic string annotation
 from __future__ import annotations
 import pydantic
 class N(pydantic.BaseModel):
-    y: int
+    y: float
 class M(pydantic.BaseModel):
     x: N
 def task(d): return M(**d)
== change: bound of the type variable of a model
 import typing, pydantic
-T = typing.TypeVar('T', bound=int)
+T = typing.TypeVar('T', bound=float)
 class M(pydantic.BaseModel, typing.Generic[T]):
     x: T
 def task(): return M(x=3)
== change: constraints of the type variable of a model
 import typing, pydantic
-T = typing.TypeVar('T', int, str)
+T = typing.TypeVar('T', float, str)
 class M(pydantic.BaseModel, typing.Generic[T]):
     x: T
 def task(): return M(x=3)
== change: default of the type variable of a model
 import typing, pydantic, typing_extensions
-T = typing_extensions.TypeVar('T', default=int)
+T = typing_extensions.TypeVar('T', default=float)
 class M(pydantic.BaseModel, typing.Generic[T]):
     x: T
 def task(): return M(x=3)
== change: named alias in a model
 import typing, pydantic, typing_extensions
-Limit = typing_extensions.TypeAliasType('Limit', typing.Annotated[int, pydantic.Field(gt=3)])
+Limit = typing_extensions.TypeAliasType('Limit', typing.Annotated[int, pydantic.Field(gt=4)])
 class M(pydantic.BaseModel):
     x: Limit
 def task(): return M(x=4)
== change: typeddict adapter
 import pydantic, typing_extensions as typing
 class D(typing.TypedDict):
-    x: int
+    x: float
 A = pydantic.TypeAdapter(D)
 def task(x): return A.validate_python(x)

-- more values

== change: union alias
-A = int | str
+A = int | float
 def task(x): return isinstance(x, A)
== change: newtype
 import typing
-A = typing.NewType('A', int)
+A = typing.NewType('A', float)
 def task(x): return A.__supertype__
== change: annotated alias
 import typing
-A = typing.Annotated[int, 1]
+A = typing.Annotated[int, 2]
 def task(x): return A
== change: attrgetter
 import operator
-g = operator.attrgetter('a')
+g = operator.attrgetter('b')
 def task(x): return g(x)
== change: methodcaller
 import operator
-g = operator.methodcaller('a', 1)
+g = operator.methodcaller('a', 2)
 def task(x): return g(x)
== change: bound builtin
-K = {'a': 1}.get
+K = {'a': 2}.get
 def task(): return K('a')
== change: function in an instance attribute
 class M: pass
 m = M()
-m.f = lambda: 1
+m.f = lambda: 2
 def task(): return m.f()
== change: loop closures
-fs = [lambda x, i=i: x + i for i in range(3)]
+fs = [lambda x, i=i: x + i for i in range(1, 4)]
 def task(x): return fs[0](x)
== change: lambda in dict
-K = {'a': lambda: 1}
+K = {'a': lambda: 2}
 def task(): return K['a']()
== change: mappingproxy fn
 import types
-A = types.MappingProxyType({'a': lambda: 1})
+A = types.MappingProxyType({'a': lambda: 2})
 def task(x): return A['a']()
== change: object array of functions
 import numpy
-def h(): return 1
+def h(): return 2
 K = numpy.array([h], dtype=object)
 def task(): return K[0]()
== change: pipeline
 from sklearn.pipeline import make_pipeline
 from sklearn.preprocessing import StandardScaler
 from sklearn.linear_model import Ridge
-P = make_pipeline(StandardScaler(), Ridge(alpha=1.0))
+P = make_pipeline(StandardScaler(), Ridge(alpha=2.0))
 def task(x, y): return P.fit(x, y)
== change: pipeline with function
 from sklearn.pipeline import make_pipeline
 from sklearn.preprocessing import FunctionTransformer
-def h(x): return x
+def h(x): return x + 1
 P = make_pipeline(FunctionTransformer(h))
 def task(x, y): return P.fit(x, y)
== change: pipeline of project class
 from sklearn.pipeline import make_pipeline
 from sklearn.base import BaseEstimator, TransformerMixin
 class T(TransformerMixin, BaseEstimator):
     def __init__(self, a=1): self.a = a
     def fit(self, x, y=None): return self
-    def transform(self, x): return x
+    def transform(self, x): return x + 1
 P = make_pipeline(T())
 def task(x, y): return P.fit(x, y)
== change: grid
 from sklearn.model_selection import GridSearchCV
 from sklearn.linear_model import Ridge
-S = GridSearchCV(Ridge(), {'alpha': [1, 2]})
+S = GridSearchCV(Ridge(), {'alpha': [1, 3]})
 def task(x): return S
== change: frame attrs
 import pandas
 K = pandas.DataFrame({'a': [1]})
-K.attrs['x'] = 1
+K.attrs['x'] = 2
 def task(): return K.attrs
== change: str subclass attribute
 class D(str): pass
 A = D('a')
-A.x = 1
+A.x = 2
 def task(x): return A.x
== change: regex
 import re
-K = re.compile('a')
+K = re.compile('a', re.I)
 def task(): return K
== change: config object chain
@ project.py
 from cfg import settings
 def task(x): return settings.model.alpha
@ cfg.py
 import dataclasses
 @dataclasses.dataclass
 class Model: alpha: float = 1
 @dataclasses.dataclass
 class Settings: model: Model = dataclasses.field(default_factory=Model)
-settings = Settings()
+settings = Settings(Model(2))

-- descriptors and wrappers of the project's own, and what is set on them

== change: property of a subclass
 class classproperty(property):
     def __get__(self, obj, cls): return self.fget(cls)
 class C:
     @classproperty
-    def scale(cls): return 2
+    def scale(cls): return 3
 def task(): return C.scale
== change: code of a subclass of property
 class classproperty(property):
-    def __get__(self, obj, cls): return self.fget(cls)
+    def __get__(self, obj, cls): return -self.fget(cls)
 class C:
     @classproperty
     def scale(cls): return 2
 def task(): return C.scale
== change: attribute of a subclass of property
 class unit(property):
     def __init__(self, fget, factor):
         super().__init__(fget)
         self.factor = factor
     def __get__(self, obj, cls): return self.fget(cls) * self.factor
-class C: scale = unit(lambda cls: 2, 10)
+class C: scale = unit(lambda cls: 2, 100)
 def task(): return C.scale
== change: class method of a subclass
 class maker(classmethod): pass
 class C:
     @maker
-    def scale(cls): return 2
+    def scale(cls): return 3
 def task(): return C.scale()
== change: static method of a subclass
 class plain(staticmethod): pass
 class C:
     @plain
-    def scale(): return 2
+    def scale(): return 3
 def task(): return C.scale()
== change: abstract class method
 import abc
 class C:
     @abc.abstractclassmethod
-    def scale(cls): return 2
+    def scale(cls): return 3
 def task(): return C.scale()
== change: cached property that never calls its base
 import functools
 class once(functools.cached_property):
     def __init__(self, make): self.make = make
     def __set_name__(self, cls, name): pass
     def __get__(self, obj, cls): return self.make(obj)
 class C:
     @once
-    def scale(self): return 2
+    def scale(self): return 3
 def task(): return C().scale
== change: attribute of a partial
 import functools
 f = functools.partial(pow, 2)
-f.scale = 2
+f.scale = 3
 def task(): return f.scale
== change: function that a partial stands for
 import functools
-def h(): return 1
+def h(): return 2
 f = functools.update_wrapper(functools.partial(pow, 2), h)
 def task(): return f.__wrapped__()
== change: attribute of a function with a cache
 import functools
 @functools.lru_cache
 def f(x): return x
-f.scale = 2
+f.scale = 3
 def task(): return f.scale
== change: attribute of a context manager
 import contextlib
 @contextlib.contextmanager
 def f(): yield
-f.scale = 2
+f.scale = 3
 def task(): return f.scale
== change: string that a bound method looks into
-vowel = 'aeiou'.__contains__
+vowel = 'aeiouy'.__contains__
 def task(): return vowel('y')
== change: tuple that a bound method looks into
-get = (5, 6).__getitem__
+get = (5, 7).__getitem__
 def task(): return get(1)
== change: array that a bound method looks into
 import numpy
-get = numpy.array([1, 2]).__getitem__
+get = numpy.array([1, 3]).__getitem__
 def task(): return get(1)
== change: empty string that a bound method looks into
-vowel = ''.__contains__
+vowel = 'y'.__contains__
 def task(): return vowel('y')
== change: default of a class made by dataclasses
 import dataclasses
-P = dataclasses.make_dataclass('P', [('x', int, 3)])
+P = dataclasses.make_dataclass('P', [('x', int, 4)])
 def task(): return P().x
== change: method of a class made by its metaclass
 import abc
-P = abc.ABCMeta('P', (), {'f': lambda self: 1})
+P = abc.ABCMeta('P', (), {'f': lambda self: 2})
 def task(): return P().f()
== change: member of a class made by types
 import types
-P = types.new_class('P', (), {}, lambda members: members.update(x=1))
+P = types.new_class('P', (), {}, lambda members: members.update(x=2))
 def task(): return P.x
== change: class in exec'd code of no module
 names = {}
-exec('class P: x = 1', names)
+exec('class P: x = 2', names)
 P = names['P']
 def task(): return P.x
== change: base of a class that a library makes
 import types
 class B:
-    x = 1
+    x = 2
 P = types.new_class('P', (B,))
 def task(): return P.x
== change: base of a class that another library makes
 from sqlalchemy.orm import Session, sessionmaker
 class S(Session):
-    def f(self): return 1
+    def f(self): return 2
 make = sessionmaker(class_=S)
 def task(): return make.class_.f(None)
== keep: class that is not used of those made by dataclasses
 import dataclasses
 P = dataclasses.make_dataclass('P', [('x', int, 3)])
-Q = dataclasses.make_dataclass('Q', [('x', int, 3)])
+Q = dataclasses.make_dataclass('Q', [('x', int, 4)])
 def task(): return P().x
== change: order of attributes that are listed
 import types
-K = types.SimpleNamespace(a=1, b=2)
+K = types.SimpleNamespace(b=2, a=1)
 def task(): return list(vars(K))
== keep: order of attributes that are read by name
 import types
-K = types.SimpleNamespace(a=1, b=2)
+K = types.SimpleNamespace(b=2, a=1)
 def task(): return K.a
== keep: layout in a property of a subclass
 class lazy(property): pass
 class C:
     @lazy
-    def scale(self): return 2
+    def scale(self):
+        return 2  # a comment
 def task(): return C().scale

-- names, strings and nothing, which are no constants of the same text

== change: column named by a parameter
-def task(df, column): return df['column']
+def task(df, column): return df[column]
== change: key named by a parameter
-def task(kind): return {'kind': 1}
+def task(kind): return {kind: 1}
== change: argument given by a parameter
-def task(f, x): return f('x')
+def task(f, x): return f(x)
== change: text in an f-string
-def task(name): return f'{"name"}'
+def task(name): return f'{name}'
== change: import given as a string
 def task():
     import json
-    return 'json'
+    return json
== change: name of a class member as a string
 def task():
     class C:
         a = 1
-        b = 'a'
+        b = a
     return C
== change: dict unpacked for a key None
-def task(x): return {None: x}
+def task(x): return {**x}
== change: keyword argument without default
-def task(): return lambda *, a: a
+def task(): return lambda *, a=None: a
== change: cause of an exception suppressed
 def task(x):
-    raise x
+    raise x from None
== change: getattr under another name with one more value
 import math
 get = getattr
-def task(): return [getattr(math, 'pi')]
+def task(): return [get(math, 'pi'), math.pi]

-- a class in a function that binds a name from the outer one

== change: static method made of the function of its name
-def scale(x): return x
+def scale(x): return 2 * x
 def task(x):
     class Step: scale = staticmethod(scale)
     return Step.scale(x)
== change: class member from the global of its name
-lr = 1
+lr = 2
 def task(x):
     class Step: lr = lr
     return Step.lr
== change: class member from the attribute of a module of its name
@ project.py
 import conf
 def task(x):
     class Step: conf = conf.lr
     return Step.conf
@ conf.py
-lr = 1
+lr = 2
== keep: class member of the name of a global it does not read
-lr = 1
+lr = 2
 def task(x):
     class Step: lr = 3
     return Step.lr

-- more code

== keep: walrus renamed
 def task(x):
-    if (n := x) > 1: return n
+    if (m := x) > 1: return m
== change: match key
 def task(x):
     match x:
-        case {'a': v, **rest}: return v
+        case {'b': v, **rest}: return v
== change: fstring spec
-def task(x): return f'{x:.2f}'
+def task(x): return f'{x:.3f}'
== change: fstring debug
 def task(x):
-    a = x
+    b = x
-    return f'{a=}'
+    return f'{b=}'
== change: default referencing helper
-def h(): return 1
+def h(): return 2
 def task(f=h): return f()
== change: default from constant
-K = 1
+K = 2
 def task(f=K): return f

-- what is read of a name: the name of an attribute is no part of what the name stands for

== change: attribute of a constant that is read
 import types
 K = types.SimpleNamespace(alpha=1, beta=2)
-def task(): return K.alpha
+def task(): return K.beta
== change: attribute of an attribute of a constant
 import types
 K = types.SimpleNamespace(model=types.SimpleNamespace(alpha=1, beta=2))
-def task(): return K.model.alpha
+def task(): return K.model.beta
== change: member of an enum that is named
 import enum
 class Metric(enum.Enum):
     RMSE = 1
     MAE = 2
-def task(score): return score(Metric.RMSE)
+def task(score): return score(Metric.MAE)
== change: member of an enum in a pattern
 import enum
 class Metric(enum.Enum):
     RMSE = 1
     MAE = 2
 def task(x):
     match x:
-        case Metric.RMSE: return 1
+        case Metric.MAE: return 1
== change: method of an array that is called
 import numpy
 K = numpy.array([1, 2])
-def task(): return K.min()
+def task(): return K.max()
== change: method of a class of Python
-def task(names): return sorted(names, key=str.lower)
+def task(names): return sorted(names, key=str.upper)
== change: constructor of an imported class
 from pandas import DataFrame
-def task(x): return DataFrame.from_dict(x)
+def task(x): return DataFrame.from_records(x)
== change: attribute of what a closure holds
 import types
 def make(k):
-    def task(): return k.alpha
+    def task(): return k.beta
     return task
 task = make(types.SimpleNamespace(alpha=1, beta=2))
== change: name that a module makes when it is asked for
 import lazy
-def task(): return lazy.one
+def task(): return lazy.two
@ lazy.py
 def __getattr__(name): return name
== change: method that makes the first value of state
 class Memo:
     @staticmethod
     def cold(): return {}
     @staticmethod
     def warm(): return {1: 2}
-C = Memo.cold()
+C = Memo.warm()
 def task(k):
     C[k] = 1
     return C
== keep: object with attributes reached through its module
@ project.py
-import conf
+from conf import settings
-def task(): return conf.settings.alpha
+def task(): return settings.alpha
@ conf.py
 import types
 settings = types.SimpleNamespace(alpha=1)

-- more code, continued

== change: constant reassigned
 K = 1
 def task(): return K
+K = 2
== change: star all
@ project.py
 from m import *
 def task(): return h()
@ m.py
-__all__ = ['h']
+__all__ = []
 def h(): return 1
== change: relative import inside function
@ project.py
 from pkg.one import task
@ pkg/__init__.py
@ pkg/one.py
 def task():
     from . import two
     return two.h()
@ pkg/two.py
-def h(): return 1
+def h(): return 2
== change: import inside a function that reaches beyond its package, and what is imported instead
@ project.py
 from pkg.steps import task
@ pkg/__init__.py
@ pkg/steps.py
 def task():
     try:
         from ..common import h
     except ImportError:
         from common import h
     return h()
@ common.py
-def h(): return 1
+def h(): return 2
== change: conditional def
 import os
-if True:
+if False:
     def h(): return 1
 else:
     def h(): return 2
 def task(): return h()
== change: try import appears
@ project.py
 try:
     from impl import h
 except ImportError:
     def h(): return 1
 def task(): return h()
@ impl.py
-raise ImportError
+def h(): return 1 + 0
== keep: type checking import
 from typing import TYPE_CHECKING
 if TYPE_CHECKING:
-    from typing import List
+    from typing import Dict
 def task(x): return 1
== change: helper only in comprehension condition
-def h(x): return True
+def h(x): return False
 def task(k): return {a: b for a, b in k if h(a)}
== change: reduce helper
 import functools
-def h(a, b): return a + b
+def h(a, b): return a - b
 def task(x): return functools.reduce(h, x)
== change: registered in another module
@ project.py
 from base import REG
 import impl
 def task(n): return REG[n]()
@ base.py
 REG = {}
 def reg(f):
     REG[f.__name__] = f
     return f
@ impl.py
 from base import reg
 @reg
-def h(): return 1
+def h(): return 2
== change: order of registered hooks
@ project.py
 import base, ext
 def task(x): return base.run(x)
@ base.py
 HOOKS = []
 def hook(f): HOOKS.append(f); return f
 def run(x): return [h(x) for h in HOOKS]
@ ext.py
 from base import hook
-@hook
-def f(x): return 1
 @hook
 def g(x): return 2
+@hook
+def f(x): return 1
== change: prefect task as helper through submit
 import prefect
 @prefect.task
-def h(): return 1
+def h(): return 2
 def task(): return h.submit().result()
== change: prefect task with_options
 import prefect
 @prefect.task
-def h(): return 1
+def h(): return 2
 g = h.with_options(retries=2)
 def task(): return g()
== change: helix_task options helper
 from prefect_helix import helix_task
 @helix_task(retries=2)
-def h(): return 1
+def h(): return 2
 def task(): return h()
== change: helper's depends_on
 from prefect_helix import helix_task
-K = 1
+K = 2
 @helix_task(depends_on=[K])
 def h(): return 1
 def task(): return h()
== change: helper's code_version
 from prefect_helix import helix_task
-@helix_task(code_version='1')
+@helix_task(code_version='2')
 def h(): return 1
 def task(): return h()

-- code that is made where it cannot be seen

== change: what a closure makes a compiled object from
 import struct
 def packer(fmt):
     s = struct.Struct(fmt)
     def pack(x): return s.pack(x)
     return pack
-pack = packer("<i")
+pack = packer("<q")
 def task(): return pack(3)
== change: what a default makes a compiled object from
 import struct
-def task(s=struct.Struct("<i")): return s.pack(3)
+def task(s=struct.Struct("<q")): return s.pack(3)
== change: what the default of a method makes a compiled object from
 import struct
 class Packer:
-    def pack(self, x, s=struct.Struct("<i")): return s.pack(x)
+    def pack(self, x, s=struct.Struct("<q")): return s.pack(x)
 def task(): return Packer().pack(3)
== keep: the layout of code that makes a compiled object in a closure
 import struct
 def packer(fmt):
-    s = struct.Struct(fmt)
+    s = struct.Struct(
+        fmt
+    )
     def pack(x): return s.pack(x)
     return pack
 pack = packer("<i")
 def task(): return pack(3)
== change: the body of a function that a decorator makes a compiled object from
 import functools
 @functools.cmp_to_key
-def order(a, b): return a - b
+def order(a, b): return b - a
 def task(): return sorted([2, 1, 3], key=order)
== keep: another function beside one that a decorator makes a compiled object from
 import functools
 @functools.cmp_to_key
 def order(a, b): return a - b
-def other(): return 1
+def other(): return 2
 def task(): return sorted([2, 1, 3], key=order)
== change: None is no state, though items of an argument that may be None are set
 class Base: x = 5
 class Sub(Base):
     y = 1
-    x = None
 def count(x, out=None):
     out = {} if out is None else out
     out[x] = 1
     return out
 def task(): return count(Sub().x)
== change: what the annotation of a field names
 from __future__ import annotations
 from dataclasses import dataclass
 from typing import Annotated
 from pydantic import Field, TypeAdapter
-Limit = Annotated[int, Field(gt=3)]
+Limit = Annotated[int, Field(gt=4)]
 @dataclass
 class P: x: Limit
 def task(): return TypeAdapter(P).validate_python({"x": 4})
== change: what the annotation of a function that foreign code holds names
 import typing
 from pydantic import Field, TypeAdapter
-Limit = typing.Annotated[int, Field(gt=3)]
+Limit = typing.Annotated[int, Field(gt=4)]
 def f(x: Limit): return x
 def task(): return TypeAdapter(f)
== keep: what the annotation of a function names that nobody looks at
 import typing
-Limit = typing.Annotated[int, 3]
+Limit = typing.Annotated[int, 4]
 def f(x: Limit): return x
 def task(): return f(1)
== change: a module of the project that is named like one of Python's
 def task():
     from code.features import clean
     return clean(1)
@ code/__init__.py
 # a package
@ code/features.py
-def clean(x): return x + 1
+def clean(x): return x + 2

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
== change: what a try block of exec'd code covers
 exec('''
 def h(x):
+    y = int(x)
     try:
-        y = int(x)
         z = y + 1
     except ValueError:
         return 1
     return z
 ''')
 def task(): return h('x')
== keep: layout of exec'd code
-exec('def h(): return 1')
+exec('\n\ndef h():  # x\n    return 1')
 def task(): return h()
""")
if sys.version_info >= (3, 12):
    EDITS += parse(r"""
-- type parameters

== change: bound of a type parameter of a model
 import pydantic
-class M[T: int](pydantic.BaseModel):
+class M[T: float](pydantic.BaseModel):
     x: T
 def task(): return M(x=3)
== change: bound of a type parameter of a model in a task
 import pydantic
 def task():
-    class M[T: int](pydantic.BaseModel):
+    class M[T: float](pydantic.BaseModel):
         x: T
     return M(x=3)
== change: bound of a type parameter in a module that is imported inside a task
@ project.py
 def task():
     from models import M
     return M(x=3)
@ models.py
 import pydantic
-class M[T: int](pydantic.BaseModel):
+class M[T: float](pydantic.BaseModel):
     x: T
== change: alias of a type in a model
 import pydantic, typing
-type Limit = typing.Annotated[int, pydantic.Field(gt=3)]
+type Limit = typing.Annotated[int, pydantic.Field(gt=4)]
 class M(pydantic.BaseModel):
     x: Limit
 def task(): return M(x=4)
== keep: local of a function next to type parameters
 def task(x):
     def first[T](items: list[T]) -> T: return items[0]
-    found = first(x)
+    item = first(x)
-    return found
+    return item
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


SETS = {
    "members of an enum": "class Kind(enum.Enum): A = 1; B = 2; C = 3\nS = frozenset(Kind)",
    "members of an enum of strings": "class Kind(str, enum.Enum): A = 'a'; B = 'b'; C = 'c'\nS = {*Kind}",
    "paths": "S = {pathlib.Path('a'), pathlib.Path('b'), pathlib.Path('c')}",
    "records": "@dataclasses.dataclass(frozen=True)\nclass P: x: str\nS = {P('a'), P('b'), P('c')}",
    "named tuples": "P = collections.namedtuple('P', 'x')\nS = {P('a'), P('b'), P('c')}",
    "tuples with code": "S = {('a', len), ('b', len), ('c', len)}",
    "strings of numpy": "S = {numpy.str_('a'), numpy.str_('b'), numpy.str_('c')}",
    "partials": "S = {functools.partial(print, n) for n in range(5)}",
    "closures": "def make(n):\n    return lambda: n\nS = {make(n) for n in range(5)}",
    "frozen sets and code": "S = {frozenset({'a', 'b', 'c'}), frozenset({'d', 'e'}), len}",
    "strings in a set of a subclass": "class Tags(set): pass\nS = Tags('abc')",
    "paths in a frozen set of a subclass": "class Paths(frozenset): pass\nS = Paths(map(pathlib.Path, 'abc'))",
}


@pytest.fixture(scope="module")
def sets_by_seed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The fingerprint of a task with each of the sets, in processes of several hash seeds."""
    root = tmp_path_factory.mktemp("sets")
    for name, text in SETS.items():
        (root / name).mkdir()
        modules = "import collections, dataclasses, enum, functools, numpy, pathlib"
        (root / name / "project.py").write_text(f"{modules}\n{text}\ndef task(x): return x in S\n")
    return [load({name: str(root / name) for name in SETS}, seed=seed) for seed in ("1", "2", "3")]


@pytest.mark.parametrize("name", SETS)
def test_the_order_of_a_set_does_not_count(name: str, sets_by_seed: list[dict[str, str]]) -> None:
    found = {by_name[name] for by_name in sets_by_seed}
    assert len(found) == 1
    assert len(found.pop()) == 32


def test_the_order_of_a_set_that_is_a_default_does_not_count_where_signatures_are_read(tmp_path: Path) -> None:
    text = "import dataclasses, inspect\n@dataclasses.dataclass\nclass P: x: frozenset = frozenset('abcdef')\n"
    (tmp_path / "project.py").write_text(f"{text}def task(): return inspect.signature(P)\n")
    found = {load({"only": str(tmp_path)}, seed=seed)["only"] for seed in ("1", "2", "3")}
    assert len(found) == 1
    assert len(found.pop()) == 32


def test_hash_seed_does_not_count_where_code_changes_several_containers(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d", "e")
    text = "".join(f"def {name}(): return 1\n{name.upper()} = {{0: {name}}}\n" for name in names)
    text += "def task(x): " + "; ".join(f"{name.upper()}[1] = x" for name in names) + "\n"
    (tmp_path / "project.py").write_text(text)
    found = {load({"only": str(tmp_path)}, seed=seed)["only"] for seed in ("1", "2", "3")}
    assert len(found) == 1
    assert len(found.pop()) == 32


def test_what_seeds_the_generators_that_all_share_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(
        "from random import random, shuffle\nfrom numpy.random import rand\nfrom scipy.stats import norm\n"
        "def task(x): return random(), shuffle(x), rand(2), norm.cdf(1)\n"
    )
    found = [load({"only": str(tmp_path)})["only"] for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0]) == 32


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
