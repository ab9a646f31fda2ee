"""Edits of code that lives elsewhere than in a module: scripts, notebooks, archives, bytecode, installed packages."""

from .table import Case, parse

INSTALLED = parse(r"""
-- installed distributions

== computes: an installed library upgraded
 from upgraded_library import h
 def task(): return h()
@ /installed/upgraded_library.py
-def h(): return 1
+def h(): return 2
@ /installed/upgraded_library.dist
-1.0
+2.0
== computes: an installed library with other files but the same version
 from rebuilt_library import h
 def task(): return h()
@ /installed/rebuilt_library.py
-def h(): return 1
+def h(): return 2
@ /installed/rebuilt_library.dist
 0.1.0
== computes (policy: a library counts as a whole): a file of an installed library that is not used
 from whole_library import h
 def task(): return h()
@ /installed/whole_library/__init__.py
 def h(): return 1
@ /installed/whole_library/other.py
-def g(): return 1
+def g(): return 2
@ /installed/whole_library.dist
 1.0
== computes: what an installed library requires
 from front_library import h
 def task(): return h()
@ /installed/front_library.py
 from back_library import g
 def h(): return g()
@ /installed/front_library.dist
 1.0
 Requires-Dist: back-library>=1
@ /installed/back_library.py
-def g(): return 1
+def g(): return 2
@ /installed/back_library.dist
-1.0
+1.1
== keeps: an installed library that nobody uses
 import idle_library
 def task(): return 1
@ /installed/idle_library.py
-def h(): return 1
+def h(): return 2
@ /installed/idle_library.dist
-1.0
+2.0
== computes: a function of an editable installation
 from editable_library import h
 def task(): return h()
@ /sources/editable_library/editable_library.py
-def h(): return 1
+def h(): return 2
@ /installed/editable_library.dist
 1.0
== keeps: a comment in an editable installation
 from commented_library import h
 def task(): return h()
@ /sources/commented_library/commented_library.py
+# a comment
 def h(): return 1
@ /installed/commented_library.dist
-1.0
+1.1
== computes: a class of an installed library in a constant
 from shaped_library import Shape
 SHAPE = Shape()
 def task(): return SHAPE.area()
@ /installed/shaped_library.py
 class Shape:
-    def area(self): return 1
+    def area(self): return 2
@ /installed/shaped_library.dist
-1.0
+2.0
== computes: a namespace package of installed parts
 from spread.part import h
 def task(): return h()
@ /installed/spread/part.py
-def h(): return 1
+def h(): return 2
@ /installed/spread.dist
-1.0
+2.0
""")

ARCHIVES = r"""
== computes: a helper
 from .tools import h
 def task(): return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a constant
 from . import tools
 def task(): return tools.K
@ tools.py
-K = 1
+K = 2
== keeps: a comment
 from .tools import h
 def task():
+    # in here
     return h()
@ tools.py
+# out there
 def h(): return 1
"""

LOOSE = r"""
== computes: a helper of its own
-def h_CASE(): return 1
+def h_CASE(): return 2
 @helix_task
 def task(): return h_CASE()
== computes: a constant of its own
-K_CASE = 1
+K_CASE = 2
 @helix_task
 def task(): return K_CASE
== computes: a method of its own class
 class M_CASE:
-    def f(self): return 1
+    def f(self): return 2
 @helix_task
 def task(): return M_CASE().f()
== keeps: a comment of its own
+# about this
 def h_CASE(): return 1
 @helix_task
 def task():
-    found = h_CASE()
+    result = h_CASE()  # which is one
-    return found
+    return result
== keeps: code next to it
 @helix_task
 def task(): return 1
-other_CASE = 1
+other_CASE = 2
== computes: the task itself
 @helix_task
-def task(): return 1
+def task(): return 2
"""

CELLS = r"""
== computes: a helper in an earlier cell
-def h_CASE(): return 1
+def h_CASE(): return 2
 # %%
 @helix_task
 def task(): return h_CASE()
== computes: a helper defined again in a later cell
 def h_CASE(): return 1
 # %%
 @helix_task
 def task(): return h_CASE()
+# %%
+def h_CASE(): return 2
== keeps: a cell put in between
 def h_CASE(): return 1
 # %%
+unrelated_CASE = 1
+# %%
 @helix_task
 def task(): return h_CASE()
== keeps: a cell run twice
 def h_CASE(): return 1
 # %%
+def h_CASE(): return 1
+# %%
 @helix_task
 def task(): return h_CASE()
"""

EXECUTED = r"""
== computes: a helper that is executed text
-def h(): return 1
+def h(): return 2
 def task(): return h()
== keeps: a comment and a blank line in executed text
+
+# a comment
 def h(): return 1
 def task(): return h()
== computes: a constant of executed text
-K = 1
+K = 2
 def h(): return K
 def task(): return h()
"""

CASES: list[Case] = [
    *INSTALLED,
    *(case.placed("zip", "in a zip file") for case in parse(ARCHIVES)),
    *(case.placed("bytecode", "without source") for case in parse(ARCHIVES)),
    *(case.placed("script", "in the script itself") for case in parse(LOOSE)),
    *(case.placed("cell", "in a notebook") for case in [*parse(LOOSE), *parse(CELLS)]),
    *(case.placed("console", "in a console") for case in parse(CELLS)),
    *(case.placed("exec", "of exec()") for case in parse(EXECUTED)),
]
