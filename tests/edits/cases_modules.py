"""Edits that go through modules: ways of importing, names that appear, extensions, and what cannot be seen."""

from .table import parse

CASES = parse(r"""
-- ways of importing

== computes: a module imported under another name
 from . import tools as kit
 def task(): return kit.h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a package imported by its full name
 import CASE.inner.deep
 def task(): return CASE.inner.deep.h()
@ inner/__init__.py
@ inner/deep.py
-def h(): return 1
+def h(): return 2
== computes: an import inside the function
 def task():
     from .tools import h
     return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: an import inside a helper, of a package that imports further
 def h():
     import CASE.inner as inner
     return inner.g()
 def task(): return h()
@ inner/__init__.py
 from .deep import g
@ inner/deep.py
-def g(): return 1
+def g(): return 2
== computes (policy: of a module imported inside a function, all of it counts): beside an import inside the function
 def task():
     from .tools import h
     return h()
@ tools.py
 def h(): return 1
-def other(): return 2
+def other(): return 3
== computes: a star import
 from .tools import *
 def task(): return h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a re-export
 from .inner import h
 def task(): return h()
@ inner/__init__.py
 from .deep import h
@ inner/deep.py
-def h(): return 1
+def h(): return 2
== computes: another function re-exported
 from .inner import h
 def task(): return h()
@ inner/__init__.py
-from .deep import f as h
+from .deep import g as h
@ inner/deep.py
 def f(): return 1
 def g(): return 2
== keeps: an import for the type checker only
 from typing import TYPE_CHECKING
 if TYPE_CHECKING:
-    from .tools import A
+    from .tools import B
-def task(a: 'A' = 1): return a
+def task(a: 'B' = 1): return a
@ tools.py
 class A: pass
 class B: pass
== computes: a conditional definition
 import sys
-if sys.maxsize > 0:
+if sys.maxsize < 0:
     def h(): return 1
 else:
     def h(): return 2
 def task(): return h()
== computes: a module that appears
 try:
     from .fast import h
 except ImportError:
     def h(): return 'slow'
 def task(): return h()
@ fast.py
+def h(): return 'fast'
== computes: a name that a module gives by __getattr__
 from . import lazy
 def task(): return lazy.K
@ lazy.py
 def __getattr__(name):
-    if name == 'K': return 1
+    if name == 'K': return 2
     raise AttributeError(name)
== computes: an import by a literal name
 import importlib
 def task(): return importlib.import_module('CASE.tools').h()
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a module of a namespace package
 from .space.deep import h
 def task(): return h()
@ space/deep.py
-def h(): return 1
+def h(): return 2
== keeps: a helper moved to another module
-from .tools import h
+from .other import h
 def task(): return h()
@ tools.py
-def h(): return 1
 X = 1
@ other.py
+def h(): return 1
 Y = 1
== keeps: a helper imported otherwise
-from .tools import h
+from . import tools
-def task(): return h()
+def task(): return tools.h()
@ tools.py
 def h(): return 1
== computes (policy: a function of a library goes by the way it is reached): a library imported otherwise
-import numpy as np
+from numpy import ones as made
-def task(): return np.ones(2).tolist()
+def task(): return made(2).tolist()
== computes: another function of a library
-from numpy import maximum as chosen
+from numpy import minimum as chosen
 def task(): return int(chosen(1, 2))
== computes: a module that is passed on
 from . import tools
 def use(module): return module.h()
 def task(): return use(tools)
@ tools.py
-def h(): return 1
+def h(): return 2
== computes: a compiled extension module
 from . import fast
 def task(): return fast.answer()
@ fast.c
 #define PY_SSIZE_T_CLEAN
 #include <Python.h>
 static PyObject *answer(PyObject *self, PyObject *arguments) {
-    return PyLong_FromLong(41);
+    return PyLong_FromLong(42);
 }
 static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
 static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};
 PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&definition); }
== keeps: a compiled extension module nobody needs
 from . import fast
 def task(): return 1
@ fast.c
 #define PY_SSIZE_T_CLEAN
 #include <Python.h>
-static int unused = 1;
+static int unused = 2;
 static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "fast", "", -1, 0};
 PyMODINIT_FUNC PyInit_fast(void) { unused++; return PyModule_Create(&definition); }

-- what cannot be seen

== computes: a text that is evaluated
-RULE = '1 + 1'
+RULE = '1 + 2'
 def task(): return eval(RULE)
! eval
== computes: a name in a text that is evaluated
-K = 1
+K = 2
 def task(): return eval('K + 1')
! eval
== computes: an attribute by a computed name
 from . import tools
 def task(): return getattr(tools, ''.join(['ra', 'te']))
@ tools.py
-rate = 1
+rate = 2
! getattr with a computed name
== keeps (stale: a module named at run time is not seen, of which a warning tells): an import by a computed name
 import importlib
 def task(): return importlib.import_module('.'.join([__package__, 'tools'])).h()
@ tools.py
-def h(): return 1
+def h(): return 2
! import_module with a computed name
== computes: an import by a computed name, with depends_on
 import importlib
 from . import tools
 @helix_task(depends_on=[tools])
 def task(): return importlib.import_module('.'.join([__package__, 'tools'])).h()
@ tools.py
-def h(): return 1
+def h(): return 2
! import_module with a computed name
== keeps (stale: the environment is not seen, of which a warning tells): an environment variable
 import os
 def task(): return os.environ['CASE_REGION']
@ .env
-CASE_REGION=north
+CASE_REGION=south
! os.environ
== keeps (stale: the environment is not seen, of which a warning tells): a variable of the imported environment
 from os import environ as settings
 def task(): return settings['CASE_REGION']
@ .env
-CASE_REGION=north
+CASE_REGION=south
! os.environ
== computes: an environment variable, with depends_on
 import os
 @helix_task(depends_on=['CASE_REGION'])
 def task(): return os.environ['CASE_REGION']
@ .env
-CASE_REGION=north
+CASE_REGION=south
! os.environ
== computes: an environment variable that appears, with depends_on
 import os
 @helix_task(depends_on=['CASE_REGION'])
 def task(): return os.getenv('CASE_REGION')
@ .env
+CASE_REGION=south
! os.environ
== keeps (stale: a file by a fixed name is not seen, of which a warning tells): a file read by its name
 from pathlib import Path
 HERE = Path(__package__)
 def task(): return (Path(__import__('sys').path[0]) / 'CASE' / 'data.txt').read_text()
@ data.txt
-one
+two
! read_text of a file that is no argument
== computes: a file read by its name, with depends_on
 from pathlib import Path
 import sys
 DATA = File(Path(__file__).with_name('data.txt'))
 @helix_task(depends_on=[DATA])
 def task(): return (Path(sys.path[0]) / 'CASE' / 'data.txt').read_text()
@ data.txt
-one
+two
! read_text of a file that is no argument
== computes: a file as an argument
 from pathlib import Path
 def task(source): return Path(source).read_text()
 def call(): return task(File(Path(__file__).with_name('data.txt')))
@ data.txt
-one
+two
== computes: a file as a constant
 from pathlib import Path
 DATA = File(Path(__file__).with_name('data.txt'))
 def task():
     with DATA.open() as lines: return lines.read()
@ data.txt
-one
+two
! open of a file that is no argument

-- what the user says

== keeps (stale: the code version says that the code does not matter): the body under a code version
 @helix_task(code_version='1')
-def task(): return 1
+def task(): return 2
== computes (policy: the version says that the code matters): another code version
-@helix_task(code_version='1')
+@helix_task(code_version='2')
 def task(): return 1
== computes: what a task with a code version depends on
-K = 1
+K = 2
 @helix_task(code_version='1', depends_on=[K])
 def task(): return K
== computes: a function that is depended on
 from . import tools
 @helix_task(depends_on=[tools.h])
 def task(): return vars(tools)['h']()
@ tools.py
-def h(): return 1
+def h(): return 2
== keeps (stale: ignore= says that the argument does not matter): an ignored argument
 @helix_task(ignore=['jobs'])
 def task(jobs): return jobs
-def call(): return task(1)
+def call(): return task(2)
== always: a task that is not deterministic
 @helix_task(deterministic=False)
 def task(): return 1
== keeps: a task that is no longer lazy
-@helix_task(lazy=True)
+@helix_task
 def task() -> int: return 1
== keeps: a task that is no longer kept for long
-@helix_task
+@helix_task(materialize='never')
 def task(): return 1
""")
