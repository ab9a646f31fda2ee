"""Prefect's own options for keeping results, on helix tasks."""

from .feature import Feature

FEATURES = [
    Feature(
        "a cache policy of Prefect's",
        """
        from prefect.cache_policies import INPUTS, TASK_SOURCE

        @helix_task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return [double(1), double(2)]
        """,
        edit=("double(2)", "double(3)"),
        ran=("double double", "", "double"),
    ),
    Feature(
        "a cache policy that does not look at the code",
        """
        from prefect.cache_policies import INPUTS

        @helix_task(cache_policy=INPUTS, persist_result=True)
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("2 * x", "3 * x"),
        ran=("double", "", ""),
    ),
    Feature(
        "the policy that caches nothing",
        """
        from prefect.cache_policies import NO_CACHE

        @helix_task(cache_policy=NO_CACHE)
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("2 * x", "3 * x"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a refreshed cache",
        """
        from prefect.cache_policies import INPUTS

        @helix_task(cache_policy=INPUTS, persist_result=True, refresh_cache=True)
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return add(double(1))
        """,
        edit=("x + 1", "x + 2"),
        ran=("double add", "double", "double add"),
    ),
    Feature(
        "a cache that expires at once",
        """
        import datetime

        from prefect.cache_policies import INPUTS

        @helix_task(cache_policy=INPUTS, persist_result=True, cache_expiration=datetime.timedelta(0))
        def double(x):
            ran("double")
            return 2 * x

        @helix_task
        def add(x):
            ran("add")
            return x + 1

        @helix_flow
        def main():
            return add(double(1))
        """,
        edit=("x + 1", "x + 2"),
        ran=("double add", "double", "double add"),
    ),
    Feature(
        "a cache that expires later",
        """
        import datetime

        from prefect.cache_policies import INPUTS

        @helix_task(cache_policy=INPUTS, persist_result=True, cache_expiration=datetime.timedelta(days=1))
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
    Feature(
        "a result is persisted under a name",
        """
        @helix_task(persist_result=True, result_storage_key="doubled-{parameters[x]}")
        def double(x):
            ran("double")
            return 2 * x

        @helix_flow
        def main():
            return double(1)

        def play(turn):
            from prefect.results import ResultStore

            return [main(), ResultStore().read(f"doubled-{X}").result]

        X = 1
        """,
        edit=("X = 1", "X = True and 1"),
        ran=("double", "", ""),
    ),
    Feature(
        "a result is persisted with a serializer, and not kept in memory",
        """
        @helix_task(persist_result=True, result_serializer="json", cache_result_in_memory=False)
        def double(x):
            ran("double")
            return {"a": 2 * x}

        @helix_flow
        def main():
            return double(1)
        """,
        edit=("double(1)", "double(2)"),
        ran=("double", "", "double"),
    ),
]
