"""Edits of functions that a task calls: helpers, closures, decorators, wrappers, and functions kept in containers."""

from .table import parse

CASES = parse(r"""
-- helpers

== computes: a helper in the same module
-def h(): return 1
+def h(): return 2
 def task(): return h()
== computes: a helper in another module
 from .tools import h
 def task(): return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a helper called through its module
 from . import tools as m
 def task(): return m.h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a helper of a helper
 from .tools import h
 def task(): return h()
@ tools.py
 from .deep import g
 def h(): return g()
@ deep.py
-def g(): return 1
+def g(): return 2
== computes: an async helper
 import asyncio
 async def h():
     await asyncio.sleep(0)
-    return 1
+    return 2
 def task(): return asyncio.run(h())
== computes: an async generator as a helper
 import asyncio
 async def h():
     yield 1
-    yield 2
+    yield 3
 async def collected(): return [n async for n in h()]
 def task(): return asyncio.run(collected())
== computes: a generator as a helper
 def h():
     yield 1
-    yield 2
+    yield 3
 def task(): return list(h())
== computes: a generator that delegates
 def g():
-    yield 1
+    yield 2
 def h():
     yield from g()
 def task(): return list(h())
== computes: a lambda
-h = lambda: 1
+h = lambda: 2
 def task(): return h()
== computes: the second lambda of a line
-g, h = lambda: 1, lambda: 2
+g, h = lambda: 1, lambda: 3
 def task(): return h()
== keeps: the first lambda of a line
-g, h = lambda: 1, lambda: 2
+g, h = lambda: 3, lambda: 2
 def task(): return h()
== computes: a nested function
 def task():
-    def inner(): return 1
+    def inner(): return 2
     return inner()
== computes: a function returned by a helper
 def make():
-    def inner(): return 1
+    def inner(): return 2
     return inner
 def task(): return make()()
== computes: mutual recursion
 def even(n): return n == 0 or odd(n - 1)
-def odd(n): return n != 0 and even(n - 1)
+def odd(n): return n == 4 or n != 0 and even(n - 1)
 def task(): return [even(n) for n in range(6)]
== computes: self-recursion
 def fold(n):
-    return 1 if n == 0 else n * fold(n - 1)
+    return 1 if n == 0 else n + fold(n - 1)
 def task(): return fold(5)
== computes: mutual recursion across modules
 from . import one
 def task(): return one.even(5)
@ one.py
 from . import two
 def even(n): return 'even' if n == 0 else two.odd(n - 1)
@ two.py
 from . import one
-def odd(n): return 'odd' if n == 0 else one.even(n - 1)
+def odd(n): return 'uneven' if n == 0 else one.even(n - 1)
== computes: a helper that another task is
 @helix_task
-def h(): return 1
+def h(): return 2
 @helix_task
 def task(): return h.fn()
== computes: a helper that is a plain Prefect task
 import prefect
 @prefect.task
-def h(): return 1
+def h(): return 2
 def task(): return h.fn()
== computes: a helper given to another helper
 def apply(f): return f(2)
-def h(n): return n
+def h(n): return -n
 def task(): return apply(h)
== computes: a key function for sorting
-def key(n): return n
+def key(n): return -n
 def task(): return sorted([2, 1, 3], key=key)
== computes: a builtin shadowed
+def len(values): return 0
 def task(): return len([1])

-- closures and defaults

== computes: the value in a closure
 def make(k):
     @helix_task
     def task(): return k
     return task
-task = make(1)
+task = make(2)
== computes: a function in a closure
 def make(f):
     @helix_task
     def task(): return f()
     return task
-task = make(lambda: 1)
+task = make(lambda: 2)
== computes: the value in a helper's closure
 def scaled(by): return lambda n: n * by
-h = scaled(2)
+h = scaled(3)
 def task(): return h(2)
== computes: a default
-def h(n=1): return n
+def h(n=2): return n
 def task(): return h()
== computes: a default of the task
-def task(n=1): return n
+def task(n=2): return n
== computes: a default that is only given by name
-def h(*, n=1): return n
+def h(*, n=2): return n
 def task(): return h()
== computes: a mutable default
-def h(n, seen=[1]): return [*seen, n]
+def h(n, seen=[2]): return [*seen, n]
 def task(): return h(0)
== computes: a computed default
-def size(): return 1
+def size(): return 2
 def h(n=size()): return n
 def task(): return h()
== keeps: a default computed otherwise
-def h(n=60 * 60): return n
+def h(n=3600): return n
 def task(): return h()

-- decorators

== computes: the inner body of a decorator
 def twice(f):
-    def inner(): return f() * 2
+    def inner(): return f() * 3
     return inner
 @twice
 def h(): return 1
 def task(): return h()
== computes: a function below a decorator with functools.wraps
 import functools
 def twice(f):
     @functools.wraps(f)
     def inner(): return f() * 2
     return inner
 @twice
-def h(): return 1
+def h(): return 2
 def task(): return h()
== computes: a decorator with functools.wraps
 import functools
 def twice(f):
     @functools.wraps(f)
-    def inner(): return f() * 2
+    def inner(): return f() * 3
     return inner
 @twice
 def h(): return 1
 def task(): return h()
== computes: a decorator of the task itself
 import functools
 def twice(f):
     @functools.wraps(f)
-    def inner(): return f() * 2
+    def inner(): return f() * 3
     return inner
 @helix_task
 @twice
 def task(): return 1
== computes: the order of a stack of decorators
 def add(f): return lambda: f() + 1
 def double(f): return lambda: f() * 2
-@add
 @double
+@add
 def h(): return 3
 def task(): return h()
== computes: an argument of a decorator
 def plus(n):
     def decorate(f): return lambda: f() + n
     return decorate
-@plus(1)
+@plus(2)
 def h(): return 1
 def task(): return h()
== computes: a decorator that is a class
 class Doubled:
     def __init__(self, f): self.f = f
-    def __call__(self): return self.f() * 2
+    def __call__(self): return self.f() * 3
 @Doubled
 def h(): return 1
 def task(): return h()
== keeps: options of the task that are Prefect's
-@helix_task(retries=1)
+@helix_task(retries=2, description='What it does.')
 def task(): return 1
== computes: a context manager made of a generator
 import contextlib
 @contextlib.contextmanager
-def opened(): yield 1
+def opened(): yield 2
 def task():
     with opened() as found: return found
== computes: what a helper below lru_cache does
 import functools
 @functools.lru_cache
-def h(n): return n
+def h(n): return -n
 def task(): return h(2)
== computes: an overload of singledispatch
 import functools
 @functools.singledispatch
 def h(value): return 'other'
 @h.register
-def _(value: int): return 'integer'
+def _(value: int): return 'number'
 def task(): return h(1)

-- wrapped functions, and functions in containers

== computes: an argument of a partial
 import functools
 def add(a, b): return a + b
-h = functools.partial(add, 1)
+h = functools.partial(add, 2)
 def task(): return h(1)
== computes: the function of a partial of a partial
 import functools
-def add(a, b, c): return a + b + c
+def add(a, b, c): return a + b - c
 h = functools.partial(functools.partial(add, 1), 2)
 def task(): return h(3)
== computes: a function in a dict
-def h(): return 1
+def h(): return 2
 STEPS = {'h': h}
 def task(): return STEPS['h']()
== computes: a function in a list
-def h(n): return n + 1
+def h(n): return n + 2
 STEPS = [h, abs]
 def task(): return [f(-3) for f in STEPS]
== computes: the order of functions in a list
 def f(n): return n + 1
 def g(n): return n * 2
-STEPS = [f, g]
+STEPS = [g, f]
 def task(): return STEPS[0](5)
== computes: a function in a class attribute
-def h(): return 1
+def h(): return 2
 class Steps: first = staticmethod(h)
 def task(): return Steps.first()
== computes: a function in an attribute of a function
 def h(): return h.inner()
-h.inner = lambda: 1
+h.inner = lambda: 2
 def task(): return h()
== computes: a function that a decorator registers
 STEPS = {}
 def register(f):
     STEPS[f.__name__] = f
     return f
 @register
-def h(): return 1
+def h(): return 2
 def task(): return STEPS['h']()
== computes: a vectorized function
 import numpy as np
 @np.vectorize
-def h(n): return n + 1
+def h(n): return n + 2
 def task(): return h([1, 2]).tolist()
== computes: a function inside an estimator
 import numpy as np
 from sklearn.preprocessing import FunctionTransformer
-def h(x): return x + 1
+def h(x): return x + 2
 T = FunctionTransformer(h)
 def task(): return T.transform(np.ones((1, 1))).tolist()
== computes: a method caller
 import operator
-h = operator.methodcaller('upper')
+h = operator.methodcaller('title')
 def task(): return h('abc')
== computes: a helper replaced at run time
 from . import tools
-tools.h = lambda: 1
+tools.h = lambda: 2
 def task(): return tools.h()
@ tools.py
 def h(): return 0
== computes: a helper of a library replaced at run time
 import textwrap
-def shorten(text): return text[:1]
+def shorten(text): return text[:2]
 textwrap.case_shorten = shorten
 def task(): return textwrap.case_shorten('abc')
""")
