"""The attack on the promise that a run with reuse returns what a run from scratch returns.

A **program** (`programs`, of the `kinds` of definitions there are) is a project in real source files, with a flow of
tasks over numbers, arrays, frames, containers, objects and files: branches, loops and maps on results, helpers,
constants and closures, tasks that fail and are caught or retried, lazy ones and such that are not deterministic,
changes in place by tasks and by the flow's body. `edits` change it, with effect and without, and it is known which.

A **series** (`series`) is some versions of a program, with the budget, policy and mode of each run, what is done to the
store between runs (`vandal`), and what befalls runs while they go on (`trouble`): writes and reads that fail or are
cut, files that go, kills, another run at the same time in a thread or process. It follows from its scene and its seed.
It is played in one of the `places`: a folder, or a bucket of an S3 server that gives out a folder, so that its files
can be harmed and looked at behind the server's back.

Each run is a process of its own (`runner`), on the flow runner without Prefect of ``tests/runtime`` or on Prefect.
Beside it the same version runs without reuse, and then `predicate` says what is wrong, if anything is. A series that
goes wrong is made smaller before it is told, as a program with its edits and the command that plays it again. A run
that failed or hung while a request to Prefect's server had no answer is not judged, and told.

`wrong` holds systems that are known to be wrong; the attack has to find each of them out.

    python -m pytest tests/attack          the quick form, a part of all tests
    make attack                            the long form: half an hour, or HELIX_ATTACK_MINUTES
    python -m tests.attack --help          what else it can be told
"""
