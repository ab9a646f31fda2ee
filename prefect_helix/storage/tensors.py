"""Tensors of PyTorch as pickles: their memory is a buffer outside the stream, and strides and gradients are kept."""

from __future__ import annotations

import sys
from typing import Any

from prefect_helix.core.digest_tensors import elements


def reduce_tensor(tensor: Any) -> Any:
    """Return how pickle makes a tensor again; NotImplemented where PyTorch's own way has to do.

    Raises:
        TypeError: If the tensor was computed from others that take part in its gradient: these are not stored.
    """
    if not tensor.is_leaf:
        raise TypeError("its gradient leads on to other tensors; return tensor.detach()")
    if elements(tensor) is None:
        return NotImplemented
    shape, strides = tuple(tensor.shape), tensor.stride()
    span, gaps, overlaps = _spread(shape, strides)
    whole = tensor.detach()
    whole = whole.reshape(-1) if gaps and not overlaps else whole.as_strided((span,), (1,))
    is_parameter = isinstance(tensor, sys.modules["torch"].nn.Parameter)
    state = (tensor.dtype, shape, strides, tensor.requires_grad, is_parameter, tensor.grad)
    return restore_tensor, (elements(whole), *state)


def restore_tensor(
    memory: Any,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    is_parameter: bool,
    grad: Any,
) -> Any:
    """Return the tensor in `memory`, or, if it had gaps, in a block as large as the one that it was a view on."""
    torch: Any = sys.modules["torch"]
    whole = torch.from_numpy(memory).view(dtype)
    whole = whole[..., 0] if whole.is_complex() else whole
    span, gaps, overlaps = _spread(shape, strides)
    if gaps and not overlaps:
        tensor = torch.zeros(span, dtype=dtype).as_strided(shape, strides)
        tensor.copy_(whole.view(shape))
    else:
        tensor = whole.as_strided(shape, strides)
    if is_parameter:
        tensor = torch.nn.Parameter(tensor, requires_grad)
    tensor.requires_grad_(requires_grad).grad = grad
    return tensor


def _spread(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, bool, bool]:
    """Return the length of the memory that a tensor spans, whether it leaves some of it out, and uses some twice."""
    if 0 in shape:
        return 0, False, False
    span, gaps, overlaps = 1, False, False
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if length > 1:
            gaps, overlaps = gaps or stride > span, overlaps or stride < span
            span += (length - 1) * stride
    return span, gaps, overlaps
