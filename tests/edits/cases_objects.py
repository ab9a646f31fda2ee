"""Pairs of objects as arguments: instances, models, functions, files; and ways of passing an argument."""

from .arguments import parse_arguments
from .table import parse

OBJECTS = parse_arguments(r"""
-- instances

== keeps: a dataclass
-Point(1, 2)
+Point(y=2, x=1)
== computes: a field of a dataclass
-Point(1, 2)
+Point(1, 3)
== computes: the type of a field of a dataclass
-Point(1)
+Point(1.0)
== computes: another dataclass with the same fields
-Point(1, 2)
+Spot(1, 2)
== keeps: a pydantic model
-Config(rate=1)
+Config(rate=1.0)
@ use
 value.rate
== computes: a field of a pydantic model
-Config(rate=1, names=['a'])
+Config(rate=1, names=['b'])
== computes (policy: pydantic itself tells fields that were given from defaults): a default of a pydantic model given
-Config(rate=1)
+Config(rate=1, names=[])
== keeps: an estimator
-Ridge(alpha=1.0)
+Ridge()
== computes: a parameter of an estimator
-Ridge(alpha=1.0)
+Ridge(alpha=2.0)
== computes: an estimator that has been fitted
-LinearRegression()
+fitted(2.0)
@ use
 sorted(vars(value))
== computes: an estimator fitted to other data
-fitted(2.0)
+fitted(3.0)
@ use
 round(float(value.coef_[0]), 6)
== keeps: an estimator fitted again
-fitted(2.0)
+fitted(2.0)
@ use
 round(float(value.coef_[0]), 6)
== computes: a step of a pipeline
-make_pipeline(StandardScaler(), Ridge())
+make_pipeline(StandardScaler(with_mean=False), Ridge())
== computes: a function inside an estimator
-FunctionTransformer(plus(1))
+FunctionTransformer(plus(2))
@ use
 value.func(1)
== computes: the seed of a random generator
-random.Random(1)
+random.Random(2)
@ use
 value.getstate()[1][5]
== keeps: a random state of numpy
-np.random.RandomState(1)
+np.random.RandomState(1)
@ use
 value.get_state()[1][5]
== computes: a generator of numpy that has been used
-np.random.default_rng(1)
+(lambda rng: rng.random() and rng)(np.random.default_rng(1))
@ use
 value.bit_generator.state['state']['state']
== computes: an argument in a container of instances
-[Point(1), Point(2)]
+[Point(1), Point(3)]

-- functions and classes

== keeps: a function
-twice
+twice
@ use
 value(3)
== computes: another function
-twice
+abs
@ use
 value(3)
== computes: a lambda
-lambda x: x + 1
+lambda x: x + 2
@ use
 value(3)
== keeps: a lambda written otherwise
-lambda x: x + 1
+lambda x: (x + 1)
@ use
 value(3)
== computes: what a closure holds
-plus(1)
+plus(2)
@ use
 value(3)
== computes: an argument of a partial
-functools.partial(pow, 2)
+functools.partial(pow, 3)
@ use
 value(3)
== computes: a class
-Point
+Spot
@ use
 value.__name__
== computes: a method bound to an instance
-Point([1]).x.count
+Point([1, 1]).x.count
@ use
 value(1)
== computes: a function of numpy
-np.minimum
+np.maximum
@ use
 int(value(1, 2))

-- files

== computes: the content of a file
-File(HERE / 'one.txt')
+File(HERE / 'one.txt')
@ use
 Path(value).read_text()
@ one.txt
-one
+two
== keeps: a file of the same content at another path
-File(HERE / 'one.txt')
+File(HERE / 'two.txt')
@ use
 Path(value).read_text()
@ one.txt
 same
@ two.txt
 same
== computes: a file in a list
-[File(HERE / 'one.txt')]
+[File(HERE / 'one.txt')]
@ use
 Path(value[0]).read_text()
@ one.txt
-one
+two
== keeps (stale: a path is only a path, as the documentation says): the content of a file given by its path
-'a_file_given_by_its_path.txt'
+'a_file_given_by_its_path.txt'
@ use
 (Path(__file__).parents[1] / value).read_text()
@ /a_file_given_by_its_path.txt
-one
+two

-- what has no content

== always: a lock
-threading.Lock()
+threading.Lock()
@ use
 type(value).__name__
! value
== always: an object that cannot be pickled
-Handle()
+Handle()
@ use
 type(value).__name__
! value
""")

CALLS = parse(r"""
-- ways of passing an argument

== keeps: a default given explicitly
 def task(n=1): return n
-def call(): return task()
+def call(): return task(1)
== computes: another value than the default
 def task(n=1): return n
-def call(): return task()
+def call(): return task(2)
== keeps: an argument given by its name
 def task(n): return n
-def call(): return task(1)
+def call(): return task(n=1)
== keeps: arguments by name in another order
 def task(a, b): return a - b
-def call(): return task(a=1, b=2)
+def call(): return task(b=2, a=1)
== computes: two arguments exchanged
 def task(a, b): return a - b
-def call(): return task(1, 2)
+def call(): return task(2, 1)
== computes: one more of any number of arguments
 def task(*numbers): return sum(numbers)
-def call(): return task(1, 2)
+def call(): return task(1, 2, 3)
== keeps: arguments unpacked
 def task(*numbers): return sum(numbers)
-def call(): return task(1, 2)
+def call(): return task(*[1, 2])
== computes: another name of any named arguments
 def task(**named): return named
-def call(): return task(a=1)
+def call(): return task(b=1)
== computes: the order of any named arguments
 def task(**named): return list(named)
-def call(): return task(a=1, b=2)
+def call(): return task(b=2, a=1)
== computes: an argument that moves from one parameter to the other
 def task(a=None, b=None): return a, b
-def call(): return task(a=1)
+def call(): return task(b=1)
== keeps (stale: ignore= says that the argument does not matter): an ignored parameter
 @helix_task(ignore=['jobs'])
 def task(n, jobs=1): return n, jobs
-def call(): return task(1, jobs=1)
+def call(): return task(1, jobs=2)
== keeps: an ignored parameter without content
 import threading
 @helix_task(ignore=['lock'])
 def task(n, lock):
     with lock: return n
 def call(): return task(1, threading.Lock())
== computes: what the flow computes for the argument
 def task(n): return n
 def given():
-    return 1
+    return 2
 def call(): return task(given())
== keeps: the way the flow computes the argument
 def task(n): return n
 def given():
-    return 2
+    return 1 + 1
 def call(): return task(given())
== computes: an annotation of a function that is an argument
 import typing
-def order(count: int): return count
+def order(count: float): return count
 def task(tool): return [kind.__name__ for kind in typing.get_type_hints(tool).values()]
 def call(): return task(order)
== computes: a method of an enum that is a key of an argument
 import enum
 class Metric(enum.Enum):
     RMSE = 1
-    def sign(self): return 1
+    def sign(self): return -1
 def task(weights): return [metric.sign() for metric in weights]
 def call(): return task({Metric.RMSE: 0.5})
== computes: a method of a class in a frozen set
 class Model:
-    def fit(self): return 1
+    def fit(self): return 2
 def task(models): return [model().fit() for model in models]
 def call(): return task(frozenset({Model}))
== computes: an argument changed in place before the call
 def task(numbers): return sum(numbers)
 def call():
     numbers = [1, 2]
-    numbers.append(3)
+    numbers.append(4)
     return task(numbers)
""")

CASES = [*OBJECTS, *CALLS]
