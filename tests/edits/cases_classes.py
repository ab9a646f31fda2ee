"""Edits of classes: methods, bases, fields, and what makes classes."""

from .table import parse

CASES = parse(r"""
-- methods

== computes: a method
 class M:
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f()
== computes: a method called through self
 class M:
     def f(self): return self.g()
-    def g(self): return 1
+    def g(self): return 2
 def task(): return M().f()
== computes: an inherited method in another module
 from .base import B
 class M(B): pass
 def task(): return M().f()
@ base.py
 class B:
-    def f(self): return 1
+    def f(self): return 2
== computes: a method called through super
 class A:
-    def f(self): return 1
+    def f(self): return 2
 class B(A):
     def f(self): return super().f() + 1
 def task(): return B().f()
== computes: the order of bases
 class A:
     def f(self): return 1
 class B:
     def f(self): return 2
-class C(A, B): pass
+class C(B, A): pass
 def task(): return C().f()
== computes: a method that hides an inherited one
 class A:
     def f(self): return 1
 class B(A):
-    pass
+    def f(self): return 2
 def task(): return B().f()
== computes: a static method
 class M:
     @staticmethod
-    def f(): return 1
+    def f(): return 2
 def task(): return M.f()
== computes: a function of which a class in the task makes a static method of its name
-def scale(x): return x
+def scale(x): return 2 * x
 def task():
     class Step: scale = staticmethod(scale)
     return Step.scale(1)
== computes: a class method
 class M:
     @classmethod
-    def f(cls): return cls.__name__
+    def f(cls): return cls.__name__ * 2
 def task(): return M.f()
== computes: a property
 class M:
     @property
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f
== computes: a property's setter
 class M:
     @property
     def f(self): return self._f
     @f.setter
-    def f(self, value): self._f = value
+    def f(self, value): self._f = -value
 def task():
     m = M()
     m.f = 1
     return m.f
== computes: a cached property
 import functools
 class M:
     @functools.cached_property
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M().f
== computes: a descriptor
 class D:
-    def __get__(self, instance, owner): return 1
+    def __get__(self, instance, owner): return 2
 class M: f = D()
 def task(): return M().f
== computes: an operator of a class
 class M:
-    def __add__(self, other): return 1
+    def __add__(self, other): return 2
 def task(): return M() + M()
== computes: a constructor
 class M:
-    def __init__(self): self.n = 1
+    def __init__(self): self.n = 2
 def task(): return M().n
== computes: a method bound at run time
 class M: pass
-def f(self): return 1
+def f(self): return 2
 M.f = f
 def task(): return M().f()
== computes: a method bound to one instance at run time
 import types
 class M: pass
 m = M()
-m.f = types.MethodType(lambda self: 1, m)
+m.f = types.MethodType(lambda self: 2, m)
 def task(): return m.f()
== computes: the instance of a bound method
 class M:
     def __init__(self, n): self.n = n
     def f(self): return self.n
-f = M(1).f
+f = M(2).f
 def task(): return f()
== computes: a method of a nested class
 class M:
     class Inner:
-        def f(self): return 1
+        def f(self): return 2
 def task(): return M.Inner().f()
== computes: a class made in a function
 def make():
     class M:
-        def f(self): return 1
+        def f(self): return 2
     return M
 def task(): return make()().f()
== computes: a task that is a method
 class M_CASE:
     def __init__(self, n): self.n = n
     @helix_task
-    def f(self): return self.n
+    def f(self): return -self.n
 task = M_CASE.f
 def call(): return M_CASE(1).f()
== computes: the instance whose method is a task
 class M_CASE:
     def __init__(self, n): self.n = n
     @helix_task
     def f(self): return self.n
 task = M_CASE.f
-def call(): return M_CASE(1).f()
+def call(): return M_CASE(2).f()
== keeps: the order and docstring of a class
 class M:
+    "A model."
+    def g(self): return 2
     def f(self): return 1
-    def g(self): return 2
 def task(): return M().f()
== computes (policy: a class counts as a whole): a method nobody calls
 class M:
     def f(self): return 1
-    def g(self): return 2
+    def g(self): return 3
 def task(): return M().f()

-- values of classes

== computes: a class constant
 class M: K = 1
 class N(M):
-    K = 2
+    K = 3
 def task(): return N.K
== computes: a field's default in a dataclass
 import dataclasses
 @dataclasses.dataclass
 class P:
-    x: int = 1
+    x: int = 2
 def task(): return P().x
== computes: a method of a dataclass
 import dataclasses
 @dataclasses.dataclass
 class P:
     x: int = 1
-    def f(self): return self.x
+    def f(self): return -self.x
 def task(): return P().f()
== computes: the order of fields in a dataclass
 import dataclasses
 @dataclasses.dataclass
 class P:
-    x: int
-    y: int
+    y: int
+    x: int
 def task(): return P(1, 2).x
== computes: a default factory
 import dataclasses
-def start(): return [1]
+def start(): return [2]
 @dataclasses.dataclass
 class P:
     x: list = dataclasses.field(default_factory=start)
 def task(): return P().x
== computes: a value of an enum
 import enum
 class Colour(enum.Enum):
-    RED = 1
+    RED = 2
 def task(): return Colour.RED.value
== computes: the order of an enum
 import enum
 class Colour(enum.Enum):
-    RED = 1
-    BLUE = 2
+    BLUE = 2
+    RED = 1
 def task(): return [c.name for c in Colour]
== computes: a method of an enum
 import enum
 class Colour(enum.Enum):
     RED = 1
-    def f(self): return 1
+    def f(self): return 2
 def task(): return Colour.RED.f()
== computes: a named tuple
 import typing
 class P(typing.NamedTuple):
     x: int
-    y: int = 1
+    y: int = 2
 def task(): return P(1)
== computes: the type of a field of a pydantic model
 import pydantic
 class P(pydantic.BaseModel):
-    x: int
+    x: float
 def task(): return P(x=3).x
== computes: a default of a pydantic model
 import pydantic
 class P(pydantic.BaseModel):
-    x: int = 1
+    x: int = 2
 def task(): return P().x
== computes: a validator of a pydantic model
 import pydantic
 class P(pydantic.BaseModel):
     x: int
     @pydantic.field_validator('x')
     @classmethod
-    def changed(cls, x): return x + 1
+    def changed(cls, x): return x + 2
 def task(): return P(x=1).x
== computes: a helper of a validator
 import pydantic
-def moved(x): return x + 1
+def moved(x): return x + 2
 class P(pydantic.BaseModel):
     x: int
     @pydantic.field_validator('x')
     @classmethod
     def changed(cls, x): return moved(x)
 def task(): return P(x=1).x
== computes: a model inside a model, annotated by a string
 from .models import P
 def task(): return P(inner={'x': 3}).inner.x
@ models.py
 from __future__ import annotations
 import pydantic
 class Inner(pydantic.BaseModel):
-    x: int
+    x: float
 class P(pydantic.BaseModel):
     inner: Inner
== computes: the configuration of an estimator
 from sklearn.linear_model import Ridge
-M = Ridge(alpha=1)
+M = Ridge(alpha=2)
 def task(): return M.fit([[0], [1]], [0, 1]).coef_.tolist()
== computes: a method of an estimator of one's own
 from sklearn.base import BaseEstimator, TransformerMixin
 from sklearn.pipeline import make_pipeline
 class Moved(TransformerMixin, BaseEstimator):
     def fit(self, x, y=None): return self
-    def transform(self, x): return [n + 1 for n in x]
+    def transform(self, x): return [n + 2 for n in x]
 P = make_pipeline(Moved())
 def task(): return P.fit_transform([1])

-- what makes classes

== computes: a metaclass
 class T(type):
-    def f(cls): return 1
+    def f(cls): return 2
 class M(metaclass=T): pass
 def task(): return M.f()
== computes: a metaclass that makes members
 class T(type):
     def __new__(meta, name, bases, members):
-        return super().__new__(meta, name, bases, {**members, 'n': 1})
+        return super().__new__(meta, name, bases, {**members, 'n': 2})
 class M(metaclass=T): pass
 def task(): return M.n
== computes: a decorator of a class
 def marked(cls):
-    cls.n = 1
+    cls.n = 2
     return cls
 @marked
 class M: pass
 def task(): return M.n
== computes: what a base does with its subclasses
 class B:
     def __init_subclass__(cls, **options):
-        cls.n = 1
+        cls.n = 2
 class M(B): pass
 def task(): return M.n
== computes: a subclass found through its base
 class B: pass
 class M(B):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return [cls().f() for cls in B.__subclasses__()]
== computes: a method of a generic class
 import typing
 T = typing.TypeVar('T')
 class M(typing.Generic[T]):
-    def f(self): return 1
+    def f(self): return 2
 def task(): return M[int]().f()
== computes: a class replaced by another of the same name
 from .models import M
 def task(): return M().f()
@ models.py
 class M:
     def f(self): return 1
+class Other:
+    def f(self): return 2
+M = Other
""")
