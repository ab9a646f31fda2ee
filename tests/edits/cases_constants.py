"""Edits of constants that code reads, and of what a run may write."""

from .table import parse

CASES = parse(r"""
-- where a constant is

== computes: a constant
-K = 1
+K = 2
 def task(): return K
== computes: a constant that a helper reads
-K = 1
+K = 2
 def h(): return K
 def task(): return h()
== computes: a constant read through its module
 from . import config
 def task(): return config.K
@ config.py
-K = 1
+K = 2
== computes: a constant imported by name
 from .config import K as LIMIT
 def task(): return LIMIT
@ config.py
-K = 1
+K = 2
== computes: a constant computed from another
-BASE = 1
+BASE = 2
 K = BASE * 10
 def task(): return K
== computes: a constant of a constant's module
 from .config import settings
 def task(): return settings.model.alpha
@ config.py
 import dataclasses
 from .model import Model
 @dataclasses.dataclass
 class Settings:
     model: Model = dataclasses.field(default_factory=Model)
 settings = Settings()
@ model.py
 import dataclasses
 @dataclasses.dataclass
 class Model:
-    alpha: float = 1.0
+    alpha: float = 2.0
== computes: a constant assigned twice
 K = 1
 def task(): return K
+K = 2
== computes: a constant read by a query
 import pandas as pd
-K = 1
+K = 2
 def task(): return pd.DataFrame({'a': [1, 2, 3]}).query('a > @K').to_dict()
== computes: a constant of a namespace object
 import types
-config = types.SimpleNamespace(alpha=1)
+config = types.SimpleNamespace(alpha=2)
 def task(): return config.alpha
== computes: another attribute of a constant read
 import types
 config = types.SimpleNamespace(alpha=1, beta=2)
-def task(): return config.alpha
+def task(): return config.beta
== computes: another member of an enum named
 import enum
 class Metric(enum.Enum):
     RMSE = 1
     MAE = 2
-def task(): return Metric.RMSE.value
+def task(): return Metric.MAE.value
== keeps: a constant written otherwise
-DAY = 86400
+DAY = 24 * 60 * 60
 def task(): return DAY
== keeps: a constant moved to another module, its value the same
+from .config import K
-K = 1
 def task(): return K
@ config.py
+K = 1
 OTHER = 2

-- kinds of constants

== computes: an integer for its text
-K = 1
+K = '1'
 def task(): return K
== computes: a list for a tuple
-K = [1, 2]
+K = (1, 2)
 def task(): return K
== computes: an entry of a dict
-K = {'a': 1}
+K = {'a': 2}
 def task(): return K
== computes: the order of a dict
-K = {'a': 1, 'b': 2}
+K = {'b': 2, 'a': 1}
 def task(): return list(K)
== keeps: the order of a set
-K = {'a', 'b', 'c'}
+K = {'c', 'b', 'a'}
 def task(): return sorted(K)
== computes: a nested value
-K = {'a': [{'b': (1, 2)}]}
+K = {'a': [{'b': (1, 3)}]}
 def task(): return K['a'][0]['b']
== computes: one element of a large array
 import numpy as np
 K = np.zeros(200_000)
-K[123_456] = 1
+K[123_456] = 2
 def task(): return float(K.sum())
== computes: the type of an array
 import numpy as np
-K = np.ones(2, 'f4')
+K = np.ones(2, 'f8')
 def task(): return K.dtype.name
== computes: the shape of an array
 import numpy as np
-K = np.ones((2, 3))
+K = np.ones((3, 2))
 def task(): return K.shape
== computes: the memory order of an array
 import numpy as np
-K = np.ones((2, 3), order='C')
+K = np.ones((2, 3), order='F')
 def task(): return K.flags.c_contiguous
== computes: a column of a frame
 import pandas as pd
-K = pd.DataFrame({'a': [1]})
+K = pd.DataFrame({'b': [1]})
 def task(): return list(K)
== computes: an attribute of a frame
 import pandas as pd
 K = pd.DataFrame({'a': [1]})
-K.attrs['unit'] = 'm'
+K.attrs['unit'] = 'km'
 def task(): return K.attrs['unit']
== computes: flags of a pattern
 import re
-K = re.compile('a')
+K = re.compile('a', re.IGNORECASE)
 def task(): return bool(K.match('A'))
== computes: a time zone
 import datetime
-K = datetime.timezone(datetime.timedelta(hours=1))
+K = datetime.timezone(datetime.timedelta(hours=2))
 def task(): return datetime.datetime(2024, 1, 1, tzinfo=K).isoformat()
== computes: a path
 from pathlib import Path
-K = Path('a') / 'b'
+K = Path('a') / 'c'
 def task(): return K.name
== computes: the state of an instance
 class M:
     def __init__(self, n): self.n = n
-K = M(1)
+K = M(2)
 def task(): return K.n
== computes: the state of an instance with slots
 class M:
     __slots__ = ('n',)
     def __init__(self, n): self.n = n
-K = M(1)
+K = M(2)
 def task(): return K.n
== always: the seed of a generator
 import random
-R = random.Random(1)
+R = random.Random(2)
 def task(): return R.getstate()[1][5]
! R is a random generator
== always: what draws from a generator, as another task does before
 import random
 from prefect_helix import helix_task
 R = random.Random(1)
 @helix_task
 def draw(): return R.random()
 @helix_task
 def task(): return R.random()
-def call(): return draw(), task()
+def call(): return draw(), task()  # as before
! R is a random generator
== keeps: the name of a logger
 import logging
-log = logging.getLogger('a')
+log = logging.getLogger('b')
 def task():
     log.info('x')
     return 1
== computes (policy: what shows no content counts by the code that makes it): a lock of another kind
 import threading
-lock = threading.Lock()
+lock = threading.RLock()
 def task():
     with lock: return 1

-- changed in place

== computes: a constant changed in place before the call
 K = {'a': 1}
 def task(): return K['a']
-def call(): return task()
+def call():
+    K['a'] = 2
+    return task()
== computes: a constant rebound before the call
 from . import config
 def task(): return config.K
-def call(): return task()
+def call():
+    config.K = 2
+    return task()
@ config.py
 K = 1
== computes: an array changed in place before the call
 import numpy as np
 K = np.zeros(3)
 def task(): return K.tolist()
 def call():
-    K[0] = 1
+    K[0] = 2
     return task()
== computes: the first value of what a task writes
-MEMO = {}
+MEMO = {1: 'known'}
 def task():
     MEMO.setdefault(1, 'found')
     return MEMO[1]
! MEMO is written
== computes: the first value of a counter in a class
 class C:
-    n = 0
+    n = 5
 def task():
     C.n += 1
     return C.n
! is written
== computes: what fills a registry at import
 TABLE = {}
 def fill(n): TABLE['a'] = n
-fill(1)
+fill(2)
 def task(): return TABLE['a']
""")
