"""What keeping and loading results costs beside the limits of the machine, measured in turns in one run.

    python benchmarks/store_throughput.py [MEGABYTES] [REPEATS]

A float array: written beside a plain `write` of the same bytes plus their checksum, loaded beside the checksum alone.
A frame with strings: beside Parquet and joblib. S3 (moto, and rclone where it is installed): beside s3fs `put` and
`get` of the same bytes. Ratios above 1 are faster than the limit named.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import s3fs
from blake3 import blake3

from prefect_helix.core.digest import digest
from prefect_helix.storage.codec import encode
from prefect_helix.storage.mapped import known_hash
from prefect_helix.storage.store import Store, open_store

KEY, SECRET = "AKIDHELIXHELIX", "helixhelixhelix"


def in_turns(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median time of each way; all of them are tried before one is tried again."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def show(title: str, times: dict[str, float], size_bytes: int) -> None:
    """Print a line for each way."""
    print(f"\n{title}, {size_bytes / 1e6:.0f} MB")
    for name, seconds in times.items():
        print(f"  {name:<44}{seconds * 1e3:>10.1f} ms{size_bytes / seconds / 1e9:>9.2f} GB/s", flush=True)


def plain_write(path: Path, data: memoryview) -> None:
    """Write bytes to a new file."""
    path.unlink(missing_ok=True)
    with path.open("xb", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def arrays(folder: Path, megabytes: int, repeats: int) -> None:
    """Write and load a float array."""
    array = np.random.default_rng(1).random(megabytes * 125_000)
    data, encoded = memoryview(array).cast("B"), encode(array)
    store = open_store(folder / "store")
    path = folder / "store" / "blobs" / encoded.name[:2] / encoded.name

    def put() -> None:
        path.unlink(missing_ok=True)
        store.put_blob(encoded)

    def limit() -> None:
        plain_write(folder / "plain", data)
        blake3(data).digest()

    times = in_turns(
        {"plain write and checksum": limit, "put": put, "digest while encoding": lambda: encode(array)}, repeats
    )
    show("A float array is written", times, array.nbytes)
    print(f"  put / limit: {times['plain write and checksum'] / times['put']:.2f}")
    (folder / "plain").unlink()
    time.sleep(2.5)  # a file is remembered as whole once it is older than the clock is coarse

    def first() -> None:
        path.touch()
        unseen().get_blob(encoded.name)

    def unseen() -> Store:
        return open_store(folder / "store")

    times = {"the first time": in_turns({"": first}, 1)[""]}
    path.touch()
    time.sleep(2.5)
    unseen().get_blob(encoded.name)
    times |= in_turns(
        {
            "checksum alone": lambda: blake3(data).digest(),
            "checked (touched just now)": first,
        },
        repeats,
    )
    time.sleep(2.5)
    unseen().get_blob(encoded.name)
    times |= in_turns({"verified before by this machine": lambda: unseen().get_blob(encoded.name)}, repeats)
    show("It is loaded from a folder", times, array.nbytes)
    print(f"  checked / checksum: {times['checksum alone'] / times['checked (touched just now)']:.2f}")
    loaded: Any = unseen().get_blob(encoded.name)
    loaded.sum()  # every page is there
    ways = {"reading it": lambda: digest(loaded), "asking the kernel": lambda: digest(loaded, known_hash)}
    show("That nobody changed it in place is seen", in_turns(ways, repeats), array.nbytes)


def frames(folder: Path, repeats: int) -> None:
    """Write and load a frame with strings."""
    chance = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "city": [f"city {i % 5_000}" for i in range(2_000_000)],
            "note": [f"note {i}" for i in range(2_000_000)],
            "x": chance.random(2_000_000),
            "n": chance.integers(0, 100, 2_000_000),
        }
    )
    store, encoded = open_store(folder / "frames"), encode(frame)
    parquet, dump = folder / "frame.parquet", folder / "frame.joblib"
    writing = {
        "to_parquet": lambda: frame.to_parquet(parquet),
        "joblib.dump": lambda: joblib.dump(frame, dump),
        "encode and put": lambda: store.put_blob(encode(frame)),
    }
    show("A frame with strings is written", in_turns(writing, repeats), encoded.size_bytes)
    time.sleep(2.5)
    reading = {
        "read_parquet": lambda: pd.read_parquet(parquet),
        "joblib.load": lambda: joblib.load(dump),
        "load": lambda: open_store(folder / "frames").get_blob(encoded.name),
    }
    show("It is loaded", in_turns(reading, repeats), encoded.size_bytes)


@contextmanager
def moto() -> Iterator[dict[str, Any]]:
    """Storage options for moto's server."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": KEY, "secret": SECRET, "endpoint_url": f"http://{host}:{port}"}
    server.stop()


@contextmanager
def rclone() -> Iterator[dict[str, Any]]:
    """Storage options for rclone's server."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("rclone")
        serve = ["serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", "127.0.0.1:0", folder]
        server = subprocess.Popen([program, *serve], stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        line = next(line for line in server.stderr if "http://" in line)
        config = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        url = "http://" + line.partition("http://")[2].partition("/")[0]
        yield {"key": KEY, "secret": SECRET, "endpoint_url": url, "config_kwargs": config}
        server.terminate()
        server.wait()


def far(name: str, options: dict[str, Any], folder: Path, repeats: int) -> None:
    """Write and load over a server of S3."""
    plain = s3fs.S3FileSystem(**options, skip_instance_cache=True)
    plain.mkdir("bucket")
    chance = np.random.default_rng(3)
    values = {"noise": chance.random(16_000_000), "counts": chance.poisson(3, 16_000_000)}
    for kind, value in values.items():
        show(f"An array of {kind} over {name}", *over_s3(value, plain, options, folder, repeats))


def over_s3(
    value: Any, plain: Any, options: dict[str, Any], folder: Path, repeats: int
) -> tuple[dict[str, float], int]:
    """Return the time of each way to move a value over S3, and its size."""
    encoded = encode(value)
    source, target = folder / "source", folder / "target"
    source.write_bytes(b"".join(map(bytes, encoded.verified_chunks())))
    ways: dict[str, Callable[[], Any]] = {
        "s3fs put": lambda: plain.put_file(str(source), "bucket/plain"),
        "s3fs get": lambda: plain.get_file("bucket/plain", str(target)),
    }
    for compression in (None, "lz4", "zstd"):
        store = open_store("s3://bucket/store", storage_options=options, compression=compression)
        ways[f"put, {compression or 'as it is'}"] = partial(store.put_blob, encoded)
        ways[f"load, {compression or 'as it is'}"] = partial(store.get_blob, encoded.name)
    return in_turns(ways, repeats), encoded.size_bytes


def main(megabytes: int, repeats: int) -> None:
    """Print everything."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays(folder, megabytes, repeats)
        frames(folder, repeats)
        for name, server in {"moto": moto, "rclone": rclone}.items():
            with server() as options:
                far(name, options, folder, repeats)


if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:], *["1000", "5"][len(sys.argv) - 1 :]]))
