"""What is written for PyTorch's tensors and parameters.

PyTorch is looked up where it is used: a value of one of these types is there only if the caller has loaded it.
"""

from __future__ import annotations

import sys
from typing import Any

from prefect_helix.core.digest_arrays import library_name, write_content
from prefect_helix.core.digest_objects import Encoder, encode_object
from prefect_helix.core.digest_writer import Writer

_INTEGERS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


def elements(tensor: Any) -> Any:
    """Return the elements of a tensor as a NumPy array of integers in its own memory, complex ones as two of them.

    None where they do not lie plainly in this machine's memory (on another device, sparse, lazily conjugated), or are
    not all there is to it.
    """
    torch: Any = sys.modules["torch"]
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or vars(tensor):
        return None
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_conj() or tensor.is_neg():
        return None
    if tensor.is_quantized or tensor._backward_hooks:  # more than its elements
        return None
    try:
        numbers = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
        return numbers.view(getattr(torch, _INTEGERS[numbers.element_size()])).numpy()
    except RuntimeError:  # a type that is not made of whole bytes, or is more than its bytes
        return None


def _tensor(value: Any, out: Writer) -> None:
    content = elements(value)
    if content is None:
        encode_object(value, out)
        return
    if not value.is_leaf:  # the graph that it was computed by is a part of it
        out.witness()
    out.add(library_name(value, out), str(value.dtype), str(value.stride()), str(value.requires_grad))
    write_content(content, out)
    out.child(value.grad if value.is_leaf else None, ".grad")


TENSOR_TYPES: dict[tuple[str, str], Encoder] = {("torch", "Tensor"): _tensor}
"""By library and class: encoders for the class and its subclasses."""
