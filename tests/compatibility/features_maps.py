"""Maps: each element is a call of its own."""

from .feature import Feature

FEATURES = [
    Feature(
        "one changed element of a map computes alone",
        """
        ITEMS = [1, 2, 3]

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def main():
            return double.map(ITEMS).result()
        """,
        edit=("[1, 2, 3]", "[1, 5, 3]"),
        ran=("double1 double2 double3", "", "double5"),
        concurrent=True,
    ),
    Feature(
        "reordered elements of a map compute nothing",
        """
        ITEMS = [1, 2, 3]

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_task
        def total(numbers):
            ran("total")
            return sum(n * i for i, n in enumerate(numbers))

        @helix_flow
        def main():
            return total(double.map(ITEMS))
        """,
        edit=("[1, 2, 3]", "[3, 2, 1]"),
        ran=("double1 double2 double3 total", "", "total"),
        concurrent=True,
    ),
    Feature(
        "unmapped arguments go to each element",
        """
        @helix_task
        def add(x, many):
            ran(f"add{x}")
            return x + sum(many)

        @helix_flow
        def main():
            return [future.result() for future in add.map([1, 2], unmapped([10, 20]))]
        """,
        edit=("[1, 2]", "[2, 3]"),
        ran=("add1 add2", "", "add3"),
        concurrent=True,
    ),
    Feature(
        "keyword arguments are mapped",
        """
        @helix_task
        def power(base, exponent=2, plus=0):
            ran(f"power{base}")
            return base**exponent + plus

        @helix_flow
        def main():
            return power.map(base=[2, 3], exponent=[3, 4], plus=1).result()
        """,
        edit=("[3, 4]", "[3, 5]"),
        ran=("power2 power3", "", "power3"),
        concurrent=True,
    ),
    Feature(
        "a range and a tuple are mapped",
        """
        @helix_task
        def add(x, y):
            ran(f"add{x}")
            return x + y

        @helix_flow
        def main():
            return add.map(range(3), (1, 1, 1)).result()
        """,
        edit=("(1, 1, 1)", "(1, 1, 2)"),
        ran=("add0 add1 add2", "", "add2"),
        concurrent=True,
    ),
    Feature(
        "a generator is mapped",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double.map(n for n in range(3)).result()
        """,
        edit=("range(3)", "range(4)"),
        ran=("double double double", "", "double"),
    ),
    Feature(
        "a list of futures is mapped",
        """
        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def main():
            return double.map([double.submit(n) for n in (1, 5)]).result()
        """,
        edit=("(1, 5)", "(1, 7)"),
        ran=("double1 double5 double2 double10", "", "double7 double14"),
        concurrent=True,
    ),
    Feature(
        "the result of a future is mapped",
        """
        @helix_task
        def listed(n):
            ran("listed")
            return list(range(n))

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def main():
            return double.map(listed.submit(2)).result()
        """,
        edit=("listed.submit(2)", "listed.submit(3)"),
        ran=("listed double0 double1", "", "listed double2"),
        concurrent=True,
    ),
    Feature(
        "the result of a direct call is mapped",
        """
        @helix_task
        def listed(n):
            ran("listed")
            return list(range(n))

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def main():
            return double.map(listed(2)).result()
        """,
        edit=("listed(2)", "listed(3)"),
        ran=("listed double0 double1", "", "listed double2"),
        concurrent=True,
    ),
    Feature(
        "large results of direct calls are mapped",
        """
        import pandas as pd

        @helix_task
        def table(rows):
            ran(f"table{rows}")
            return pd.DataFrame({"a": range(rows)})

        @helix_task
        def texts(n):
            ran(f"texts{n}")
            return pd.Series([str(i) * 30_000 for i in range(n)])

        @helix_task
        def length(x):
            ran("length")
            return len(x)

        @helix_flow
        def main():
            return length.map([table(10_000), table(ROWS)]).result() + length.map(texts(N)).result()

        ROWS, N = 11_000, 3
        """,
        edit=("ROWS, N = 11_000, 3", "ROWS, N = 12_000, 3"),
        ran=("table10000 table11000 texts3 length length length length length", "", "table12000 length"),
        concurrent=True,
    ),
    Feature(
        "a map over a map",
        """
        def step(x):
            return x + 1

        @helix_task
        def first(x):
            ran(f"first{x}")
            return x % 2

        @helix_task
        def second(x, y):
            ran(f"second{y}")
            return step(x) * y

        @helix_flow
        def main():
            return second.map(first.map([1, 2]), [10, 20]).result()
        """,
        edit=("x % 2", "x & 1"),
        ran=("first1 first2 second10 second20", "", "first1 first2"),
        concurrent=True,
    ),
    Feature(
        "maps over results of plain maps, and the other way round",
        """
        @task
        def plain(x):
            ran("plain")
            return x

        @helix_task
        def double(x):
            ran(f"double{x}")
            return 2 * x

        @helix_flow
        def main():
            return plain.map(double.map(plain.map([1, 2]))).result()
        """,
        edit=("[1, 2]", "[1, 3]"),
        ran=("plain plain double1 double2 plain plain", "plain plain plain plain", "plain plain double3 plain plain"),
        concurrent=True,
    ),
    Feature(
        "a map in the elements of a map",
        """
        @helix_task
        def add(x, y):
            ran(f"add{x}{y}")
            return x + y

        @helix_flow
        def main():
            return [add.map([1, 2], unmapped(y)).result() for y in add.map([1, 2], 0).result()]
        """,
        edit=("add.map([1, 2], 0)", "add.map([1, 3], 0)"),
        ran=("add10 add20 add11 add21 add12 add22", "", "add30 add13 add23"),
        concurrent=True,
    ),
    Feature(
        "a map gives states",
        """
        @helix_task
        def half(x):
            ran("half")
            if x % 2:
                raise ValueError(f"{x} is odd")
            return x // 2

        @helix_flow
        def main():
            return [(s.is_failed(), s.is_completed()) for s in half.map([1, 2], return_state=True)]
        """,
        edit=("x // 2", "x / 2"),
        ran=("half half", "half", "half half"),
        concurrent=True,
    ),
    Feature(
        "a map of one element that fails raises it",
        """
        @helix_task
        def half(x):
            ran(f"half{x}")
            if x % 2:
                raise ValueError(f"{x} is odd")
            return x // 2

        @helix_flow
        def main():
            return half.map([2, 3, 4]).result()
        """,
        edit=("[2, 3, 4]", "[2, 6, 4]"),
        ran=("half2 half3 half4", "half3", "half6"),
        concurrent=True,
    ),
    Feature(
        "failures of a map can be left out",
        """
        @helix_task
        def half(x):
            ran(f"half{x}")
            if x % 2:
                raise ValueError(f"{x} is odd")
            return x // 2

        @helix_flow
        def main():
            return [str(part) for part in half.map([2, 3]).result(raise_on_failure=False)]
        """,
        edit=("[2, 3]", "[4, 3]"),
        ran=("half2 half3", "half3", "half4 half3"),
        concurrent=True,
    ),
    Feature(
        "maps of different lengths and without any fail",
        """
        @helix_task
        def add(x, y):
            ran("add")
            return x + y

        def tried(*args):
            try:
                return add.map(*args)
            except Exception as error:
                return error

        @helix_flow
        def main():
            return [add(1, 2), tried([1, 2], [1]), tried(1, 2)]
        """,
        edit=("add(1, 2)", "add(1, 3)"),
        ran=("add", "", "add"),
    ),
    Feature(
        "an empty map",
        """
        @helix_task
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def total(numbers):
            ran("total")
            return sum(numbers)

        @helix_flow
        def main():
            return total(double.map([]))
        """,
        edit=("sum(numbers)", "sum(numbers) + 1"),
        ran=("total", "", "total"),
    ),
]
