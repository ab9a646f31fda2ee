"""What is written for NumPy arrays, scalars and dtypes, and for SciPy's sparse arrays.

NumPy is looked up where it is used: a value of one of these types is there only if the caller has loaded it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from prefect_helix.core.digest_objects import Encoder
from prefect_helix.core.digest_writer import Writer
from prefect_helix.core.naming import type_name

_PIECE_BYTES = 1 << 18
_LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow", "pytz", "torch")


def library_name(value: object, out: Writer) -> str:
    """Return ``library:Class`` of a value, free of private modules; of a subclass from elsewhere, make a witness."""
    cls = type(value)
    library = str(cls.__module__).partition(".")[0]
    if library in _LIBRARIES:
        return f"{library}:{cls.__qualname__}"
    out.witness()
    return type_name(cls)


def set_on(value: Any, theirs: Collection[str]) -> dict[str, Any]:
    """Return the attributes that somebody set on an object of a library, whose own ones are `theirs`, or private."""
    return {name: part for name, part in sorted(vars(value).items()) if not (name.startswith("_") or name in theirs)}


def write_set(attributes: Mapping[str, Any], out: Writer) -> None:
    """Write attributes that somebody set; nothing if there are none, as with most values."""
    if attributes:
        out.attributes(attributes)


def _array(value: Any, out: Writer) -> None:
    np: Any = sys.modules["numpy"]
    if type(value) is np.memmap:  # an array, wherever its memory is
        out.add("numpy:ndarray")
    else:
        out.add(library_name(value, out))
        if type(value) is not np.ndarray:
            out.attributes(getattr(value, "__dict__", {}))
    write_content(value.view(np.ndarray), out)


def _masked_array(value: Any, out: Writer) -> None:
    ma: Any = sys.modules["numpy.ma"]
    fill_value = value._fill_value  # the public property would set it
    if fill_value is None:
        fill_value = sys.modules["numpy"].array(ma.default_fill_value(value.dtype), value.dtype)
    out.add(library_name(value, out), str(value.hardmask))
    out.attributes({"data": value.data, "mask": ma.getmask(value), "fill_value": fill_value})


def _scalar(value: Any, out: Writer) -> None:
    out.add("numpy:scalar")
    write_content(sys.modules["numpy"].asarray(value), out)


def _dtype(value: Any, out: Writer) -> None:
    out.add("numpy:dtype", _dtype_text(value))
    out.child(_missing(value))


def write_content(array: Any, out: Writer) -> None:
    """Write dtype, shape, memory layout, and the elements in the order in which they lie in memory."""
    dtype, layout = array.dtype, _layout(array)
    out.add(_dtype_text(dtype), str(array.shape), layout)
    if dtype.names is not None and not _is_all_content(dtype):
        for name in dtype.names:
            write_content(array[name], out)
        return
    strides = [-abs(stride) for stride in array.strides]
    axes = range(array.ndim) if layout == "C" else sorted(range(array.ndim), key=strides.__getitem__)
    view = array.transpose([*axes])
    if dtype.hasobject:
        out.child(_missing(dtype))
        out.items(view.flat, ".flat[{}]".format)
    elif array.nbytes:
        if view.flags.c_contiguous and _is_all_content(dtype):
            out.whole(view.reshape(-1).view("u1"))
            return
        for piece in _pieces(view):
            out.stream(piece)


def _pieces(view: Any) -> Iterator[Any]:
    """Yield the bytes of `view` in C order, copied in bounded pieces."""
    np: Any = sys.modules["numpy"]
    is_all_content = _is_all_content(view.dtype)
    pieces = np.nditer(
        view,
        flags=["external_loop", "buffered"],
        op_flags=[["readonly", "contig"]],
        order="C",
        buffersize=max(1, _PIECE_BYTES // view.itemsize),
    )
    for piece in pieces:
        octets = piece.reshape(-1).view("u1")
        yield octets if is_all_content else _without_padding(octets)


def _without_padding(octets: Any) -> Any:
    """Return the ten bytes that count of each 80-bit float."""
    np: Any = sys.modules["numpy"]
    return np.ascontiguousarray(octets.reshape(-1, np.dtype("g").itemsize)[:, :10]).reshape(-1)


def _layout(array: Any) -> str:
    if array.flags.c_contiguous or (array.dtype.hasobject and not array.flags.f_contiguous):
        return "C"  # that is how objects come back, however they lay
    if array.flags.f_contiguous:
        return "F"
    return str(tuple(stride if length > 1 else 0 for stride, length in zip(array.strides, array.shape, strict=True)))


def _dtype_text(dtype: Any) -> str:
    """Return a text that only equal dtypes share, byte order and alignment included."""
    if dtype.names is not None:
        fields = [
            f"{name!r}:{_dtype_text(part)}@{offset}:{title!r}"
            for name, (part, offset, title) in ((name, (*dtype.fields[name], None)[:3]) for name in dtype.names)
        ]
        return f"{{{','.join(fields)}}}{dtype.itemsize}:{dtype.isalignedstruct}:{dtype.type.__name__}"
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return f"{_dtype_text(base)}{shape}"
    if dtype.kind == "T":
        return f"StringDType(coerce={dtype.coerce})"
    return f"{dtype.str}:{dtype.type.__name__}" if dtype.kind == "V" else str(dtype.str)


def _missing(dtype: Any) -> tuple[object] | None:
    """Return what stands for a missing string, which may be None; None of a type that knows no missing ones."""
    return (dtype.na_object,) if hasattr(dtype, "na_object") else None


def _is_all_content(dtype: Any) -> bool:
    """Tell whether every byte of an element is part of its value: no padding, no pointers."""
    if dtype.names is not None:
        end = 0
        for part, offset in sorted((dtype.fields[name][:2] for name in dtype.names), key=lambda field: field[1]):
            if offset != end or not _is_all_content(part):
                return False
            end += part.itemsize
        return bool(end == dtype.itemsize)
    if dtype.subdtype is not None:
        return _is_all_content(dtype.subdtype[0])
    has_padding = dtype.char in "gG" and sys.modules["numpy"].finfo(dtype).nmant == 63
    return not (dtype.hasobject or has_padding)


_SPARSE_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
    "lil": ("data", "rows"),
    "dok": ("_dict",),
}
_SPARSE_OWN = ("dtype", "has_canonical_format", "maxprint")


def _sparse(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), str(value.shape), _dtype_text(value.dtype))
    out.attributes({name: getattr(value, name) for name in _SPARSE_PARTS[value.format]})
    write_set(set_on(value, {*_SPARSE_PARTS[value.format], *_SPARSE_OWN}), out)


ARRAY_TYPES: dict[tuple[str, str], Encoder] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "MaskedArray"): _masked_array,
    ("numpy", "generic"): _scalar,
    ("numpy", "dtype"): _dtype,
    ("scipy", "_spbase"): _sparse,
}
"""By library and class: encoders for the class and its subclasses."""
