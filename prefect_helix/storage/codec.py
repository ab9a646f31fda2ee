"""Values to blobs and back: pickle protocol 5 with its buffers outside the stream.

A loaded value computes what the encoded one would, bit for bit. NumPy's and pandas' own pickles drop the strides of
views with gaps (every `frame.iloc[:n]` is one), and pandas' join the chunks of Arrow columns; either changes how floats
are summed. Both are kept here, and of masked arrays whether the mask is hard, or none, which NumPy's drop. PyTorch's
copies a tensor three times, and forgets its gradient; see `tensors`.
Known exceptions: strided arrays of objects, and masked ones over a subclass, come back contiguous, in C order.

Classes and functions are kept by name, those of a script too: an instance of a copied class is none of the class.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

import cloudpickle

from prefect_helix.core.digest_frames import attributes_of
from prefect_helix.core.errors import NotStorableError
from prefect_helix.core.naming import is_script
from prefect_helix.storage.blob import Chunk, Code, DecodingError, Encoded, assemble, verified_parts
from prefect_helix.storage.lookup import find, findable_name
from prefect_helix.storage.mapped import Look
from prefect_helix.storage.tensors import reduce_tensor, restore_tensor

if TYPE_CHECKING:
    import numpy


_SPARE_SHARE = 1 / 8
"""So much of an Arrow array may be stored without need: that is cheaper than a copy."""


def encode(value: object) -> Encoded:
    """Return `value` as a blob.

    Arrays and frames are not copied unless their memory has gaps, or much that is not theirs.
    Complexity: O(bytes), one pass to hash them.

    Raises:
        NotStorableError: If the value cannot be pickled.
    """
    type_name = f"{type(value).__module__}.{type(value).__qualname__}"
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = _Pickler(stream, protocol=5, buffer_callback=buffers.append)
    try:
        pickler.dump(value)
        parts: list[Chunk] = [stream.getvalue(), *(buffer.raw() for buffer in buffers)]
    except Exception as error:
        raise NotStorableError(type_name, f"{type(error).__name__}: {error}") from error
    if pickler.copied:
        raise NotStorableError(type_name, f"{pickler.copied[0]} is not to be found. Define the class in a module.")

    return assemble(parts, list(map(Look().hash_of, parts)), type_name, frozenset(pickler.code))


def code_in(value: object) -> frozenset[Code]:
    """Return the classes of the objects in `value`, and the classes and functions that are values in it.

    A value that cannot be pickled is known by its own class alone. Complexity: O(objects); buffers are not read.
    """
    pickler = _Pickler(io.BytesIO(), protocol=5, buffer_callback=lambda _: False)
    try:
        pickler.dump(value)
    except Exception:  # pickling runs the code of the value's classes, which may raise anything
        return frozenset({type(value)})
    return frozenset(pickler.code)


def decode(data: Chunk | bytearray, *, name: str | None = None, verified: bool = False) -> object:
    """Return the value of a blob after checking every byte of it.

    Arrays lie in `data` itself where it is writable (a private map, a bytearray) and in a copy where it is not, so
    that a loaded array can be written like the one that was stored.

    Args:
        data: The whole blob.
        name: The content name it must have, if known.
        verified: Whether the content is known to be whole, so that the header alone is checked.

    Raises:
        DecodingError: If the blob is damaged, foreign, of a newer format or another name, or if unpickling fails
            (a module is missing, a class has changed).
    """
    view = memoryview(data).cast("B")
    parts = verified_parts(view, name, content=not verified)
    buffers = [bytearray(part) if view.readonly else part for part in parts[1:]]
    try:
        return _Unpickler(io.BytesIO(parts[0]), buffers=buffers).load()
    except Exception as error:
        raise DecodingError(f"it cannot be unpickled here ({type(error).__name__}: {error})") from error


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, with the memory layout of arrays and columns kept, and code taken by name wherever it has one.

    Attributes:
        code: The code that the value relies on.
        copied: Names of classes that no process finds by them: all that could be stored is a copy.
    """

    def __init__(self, file: io.BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self.code: set[Code] = set()
        self.copied: list[str] = []

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if isinstance(obj, (type, FunctionType)):
            if obj.__module__ not in _RESTORING:  # what restores a value is no part of it
                self.code.add(obj)
            if is_script(obj.__module__):
                name = findable_name(obj)
                if name is not None:
                    return _found, (name,)
                if isinstance(obj, type) and "<locals>" not in obj.__qualname__:
                    self.copied.append(f"{obj.__module__}.{obj.__qualname__}")
        else:
            self.code.add(kind)
        reduce = _LAYOUT_REDUCERS.get((kind.__module__, kind.__qualname__))
        reduced = NotImplemented if reduce is None else reduce(obj)
        return super().reducer_override(obj) if reduced is NotImplemented else reduced


class _Unpickler(pickle.Unpickler):
    """pickle, with what was imported then and is in a script now found there, and the other way round."""

    def find_class(self, module: str, name: str) -> Any:
        found = find(f"{module}:{name}")
        return super().find_class(module, name) if found is None else found


def _found(name: str) -> object:
    found = find(name)
    if found is None:
        raise AttributeError(f"{name} is not to be found")
    return found


def _reduce_array(array: numpy.ndarray[Any, Any]) -> Any:
    if array.flags.c_contiguous or array.flags.f_contiguous or array.dtype.hasobject:
        return NotImplemented
    return _restore_array, (array.copy(order="C"), array.strides, array.flags.writeable)


def _restore_array(
    content: numpy.ndarray[Any, Any], strides: tuple[int, ...], writeable: bool
) -> numpy.ndarray[Any, Any]:
    """Return `content` laid out by `strides`, in a block as large as the one the original was a view on."""
    reaches = [(length - 1) * stride for length, stride in zip(content.shape, strides, strict=True)]
    block = bytearray(sum(map(abs, reaches)) + content.itemsize)
    offset = -sum(reach for reach in reaches if reach < 0)
    array = type(content)(content.shape, content.dtype, block, offset, strides)
    array[...] = content
    array.flags.writeable = writeable
    return array


def _reduce_masked(array: Any) -> Any:
    ma: Any = sys.modules["numpy.ma"]
    data, mask = array.data, ma.getmask(array)
    if array._optinfo or type(data) is not sys.modules["numpy"].ndarray:
        return NotImplemented
    return _restore_masked, (data, None if mask is ma.nomask else mask, array._fill_value, array.hardmask)


def _restore_masked(data: Any, mask: Any, fill_value: Any, hard: bool) -> Any:
    ma: Any = import_module("numpy.ma")
    array = ma.MaskedArray(data, ma.nomask if mask is None else mask, hard_mask=hard)
    array._fill_value = fill_value  # the argument of that name would check and copy it
    return array


def _reduce_labelled(value: Any) -> Any:
    """Keep what somebody set as an attribute of a frame or a series: pandas leaves it out."""
    own = attributes_of(value)
    if not own:
        return NotImplemented
    function, arguments, state = value.__reduce_ex__(5)[:3]
    return function, arguments, {**state, **own}


def _reduce_block(block: Any) -> Any:
    # Block.__reduce_ex__ would make a view contiguous first; __reduce__ leaves that to `_reduce_array`.
    return block.__reduce__()


def _reduce_arrow_column(column: Any) -> Any:
    chunks = column._pa_array.chunks
    if not chunks:
        return NotImplemented
    compact = [_without_spare(chunk) for chunk in chunks]
    return copyreg.__newobj__, (type(column),), {**column.__dict__, "_pa_array": compact, "_cache": {}}  # type: ignore[attr-defined]


def _without_spare(chunk: Any) -> Any:
    """Return a chunk that holds little more than its own rows: itself, or a copy if it was cut from a longer one."""
    if chunk.get_total_buffer_size() - chunk.nbytes <= _SPARE_SHARE * chunk.nbytes:
        return chunk
    return sys.modules["pyarrow"].concat_arrays([chunk])  # with nothing, which leaves out the rows of others


_RESTORING = (__name__, restore_tensor.__module__)

_LAYOUT_REDUCERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("numpy", "ndarray"): _reduce_array,
    ("numpy.ma", "MaskedArray"): _reduce_masked,
    ("numpy.ma.core", "MaskedArray"): _reduce_masked,  # in older releases of NumPy
    ("pandas.core.internals.blocks", "NumpyBlock"): _reduce_block,
    ("pandas", "DataFrame"): _reduce_labelled,  # in pandas 3; before, its modules have longer names
    ("pandas.core.frame", "DataFrame"): _reduce_labelled,
    ("pandas", "Series"): _reduce_labelled,
    ("pandas.core.series", "Series"): _reduce_labelled,
    ("pandas.arrays", "ArrowExtensionArray"): _reduce_arrow_column,
    ("pandas.arrays", "ArrowStringArray"): _reduce_arrow_column,
    ("torch", "Tensor"): reduce_tensor,
    ("torch.nn.parameter", "Parameter"): reduce_tensor,
}
