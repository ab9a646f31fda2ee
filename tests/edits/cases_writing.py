"""Edits of how code is written: text, names and order, of which few can change a result."""

from dataclasses import replace

from .table import parse

ROWS = r"""
-- text

== keeps: a comment
+# the whole project
 def task():
-    total = 40 + 2
+    total = 40 + 2  # the answer
     return total
== keeps: a docstring
+"Steps."
 def task():
-    "Add."
+    "Add the numbers."
     return 40 + 2
== keeps: a docstring of a helper
 def h():
+    "Help."
     return 1
 def task(): return h()
== keeps: formatting
 def task():
-    return sum([1, 2, 3])
+    return sum(
+        [
+            1,
+            2,
+            3,
+        ]
+    )
== keeps: blank lines
 import math
+
+
 def task():
+
     return math.floor(2.5)
== keeps: quotes and escapes
-def task(): return 'a\n'
+def task(): return "a\x0a"
== keeps: a number written otherwise
-def task(): return 1000 + 0xff
+def task(): return 1_000 + 255
== keeps: parentheses
-def task(): return (1 + (2 * 3))
+def task(): return 1 + 2 * 3
== keeps: an annotation
-def task(n=1):
+def task(n: int = 1) -> int:
     return n
== keeps: an annotation of a local
 def task():
-    n = 1
+    n: int = 1
     return n
== keeps: an annotation of a helper
-def h(n): return n
+def h(n: int) -> int: return n
 def task(): return h(1)
== computes (policy: what cannot be reached is code too): dead code
 def task():
     return 1
+    return 2
== computes (policy: an assert is code, and may fail): an assert that holds
 def task():
+    assert True
     return 1
== keeps: a constant folded by the compiler
-WEEK = 7 * 24
+WEEK = 168
 def task(): return WEEK
== computes (policy: expressions are compared as they are written): a folded expression
-def task(): return 7 * 24
+def task(): return 168
== keeps: imports reordered
-import json
-import math
+import math
+import json
 def task(): return json.dumps(math.floor(2.5))
== keeps: an import that nobody uses
+import base64
 def task(): return 1
== keeps: a function moved in its file
-def h(): return 1
 def task(): return h()
+def h(): return 1
== keeps: a function nobody calls
 def task(): return 1
-def other(): return 2
+def other(): return 3
== keeps: a constant nobody reads
-LIMIT = 2
+LIMIT = 3
 def task(): return 1
== keeps: a module nobody needs
 from . import tools
 def task(): return 1
@ tools.py
-def h(): return 1
+def h(): return 2

-- names

== keeps: a local renamed
 def task():
-    total = 40 + 2
+    answer = 40 + 2
-    return total
+    return answer
== keeps: a loop variable renamed
 def task():
     total = 0
-    for i in range(3):
+    for number in range(3):
-        total += i
+        total += number
     return total
== keeps: a comprehension variable renamed
-def task(): return [x * 2 for x in range(3)]
+def task(): return [n * 2 for n in range(3)]
== keeps: a local of an inner function renamed
 def task():
     def inner(x):
-        twice = x * 2
+        double = x * 2
-        return twice
+        return double
     return inner(1)
== computes (policy: callers may give an argument by its name): an argument renamed
-def h(x): return x + 1
+def h(n): return n + 1
 def task(): return h(1)
== computes: a local renamed that a query reads
 import pandas as pd
 def task():
     frame = pd.DataFrame({'a': [1, 2, 3]})
-    x, y = 1, 2
+    y, x = 1, 2
     return frame.query('a > @x').to_dict()
== computes: a local renamed under locals()
 def task():
-    first = 1
+    second = 1
     return sorted(locals())
== computes: a function renamed that gives a column its name
 import pandas as pd
-def low(column): return column.min()
+def least(column): return column.min()
-def task(): return pd.DataFrame({'a': [1]}).agg([low]).to_dict()
+def task(): return pd.DataFrame({'a': [1]}).agg([least]).to_dict()
== computes (policy: the name of a function may be seen): a helper renamed
-def h(): return 1
+def helper(): return 1
-def task(): return h()
+def task(): return helper()
== computes (policy: the name of a class may be seen): a class renamed
-class P: n = 1
+class Q: n = 1
-def task(): return P().n
+def task(): return Q().n
== computes: a local named in a debugging f-string
 def task():
-    a = 1
+    b = 1
-    return f'{a=}'
+    return f'{b=}'

-- the body

== computes: the body
-def task(): return 1
+def task(): return 2
== computes: an integer for a float
-def task(): return 1
+def task(): return 1.0
== computes: an integer for a bool
-def task(): return 1
+def task(): return True
== computes: an operator
-def task(): return 7 / 2
+def task(): return 7 // 2
== computes: operands swapped
-def task(): return 7 - 2
+def task(): return 2 - 7
== computes: the order of two statements
 def task():
     found = []
-    found.append(1)
     found.append(2)
+    found.append(1)
     return found
== computes: a format specification
-def task(): return f'{2.5:.1f}'
+def task(): return f'{2.5:.2f}'
== computes: the exception that is caught
 def task():
     try:
         return [][0]
-    except LookupError:
+    except IndexError:
-        return 1
+        return 2
     except Exception:
         return 3
== computes: a pattern of a match
 def task():
     match {'a': 1, 'b': 2}:
-        case {'a': found}: return found
+        case {'b': found}: return found
== computes: a string of the body
-def task(): return 'north'
+def task(): return 'south'
== computes: a string for the argument of that name
-def task(column='a'): return {'a': 1, 'column': 2}['column']
+def task(column='a'): return {'a': 1, 'column': 2}[column]
== computes: a dict unpacked that was a value
-def task(found={'a': 1}): return {None: found}
+def task(found={'a': 1}): return {**found}
"""

LINES = """
== keeps: line endings
 WORDS = '''a
 b'''
 def h():
     return WORDS
 def task():
     return h()
"""

CASES = [
    *parse(ROWS),
    *(
        replace(case, after={path: text.replace("\n", "\r\n") for path, text in case.after.items()})
        for case in parse(LINES)
    ),
]
