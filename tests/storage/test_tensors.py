"""Tensors of PyTorch, which is large and so no dependency of the tests: ``pip install torch`` runs these, too."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import NotStorableError
from prefect_helix.storage.codec import decode, encode

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

MATRIX = torch.arange(12.0).reshape(3, 4) / 7
TENSORS = {
    "contiguous": MATRIX,
    "transposed": MATRIX.T,
    "permuted": torch.arange(24.0).reshape(2, 3, 4).permute(1, 2, 0),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "columns": MATRIX[:, :2],
    "every second": MATRIX[::2, ::2],
    "expanded": MATRIX[:1].expand(3, 4),
    "windows": torch.arange(9.0).unfold(0, 4, 2),
    "strange stride": MATRIX[:1].as_strided((1, 4), (99, 1)),
    "scalar": torch.tensor(3.5),
    "empty": torch.empty(0, 3),
    "requires gradient": torch.ones(3, requires_grad=True),
    "parameter": torch.nn.Parameter(MATRIX.clone()),
    "frozen parameter": torch.nn.Parameter(MATRIX.clone(), requires_grad=False),
    "not a number": torch.tensor([float("nan"), -0.0, float("-inf")]),
    **{str(dtype): MATRIX.to(dtype) for dtype in (torch.bfloat16, torch.float8_e5m2, torch.float16, torch.uint16)},
    **{str(dtype): MATRIX.to(dtype) for dtype in (torch.bool, torch.int8, torch.complex64, torch.complex128)},
}


def round_trip(value: Any) -> Any:
    return decode(bytearray(b"".join(map(bytes, encode(value).chunks))))


def bits(tensor: Any) -> bytes:
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy())


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_tensors_come_back_bit_for_bit_as_they_lay_and_have_one_exact_digest(tensor: Any) -> None:
    loaded = round_trip(tensor)
    facts = [
        (type(one), one.dtype, one.shape, one.stride(), one.requires_grad, one.is_leaf) for one in (tensor, loaded)
    ]
    assert facts[0] == facts[1]
    assert bits(loaded) == bits(tensor)
    assert digest(loaded) == digest(tensor)
    assert digest(tensor).exact


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch is about to move what makes quantized tensors
def test_tensors_that_differ_in_anything_that_counts_have_different_digests() -> None:
    ones = torch.ones(4, 4)
    different = [
        ones,
        ones.T.contiguous().as_strided((4, 4), (1, 4)),
        ones.double(),
        ones.int(),
        ones.reshape(2, 8),
        ones.clone().requires_grad_(),
        torch.nn.Parameter(ones.clone()),
        ones.index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(2.0)),
        ones.numpy(),
        torch.quantize_per_tensor(ones, 0.1, 3, torch.quint8),
        torch.quantize_per_tensor(2 * ones, 0.2, 3, torch.quint8),
    ]
    assert len({digest(one) for one in different}) == len(different)


@pytest.mark.parametrize("name", ["contiguous", "transposed", "channels last", "parameter", "expanded"])
def test_memory_without_gaps_is_stored_from_where_it_lies_and_used_where_it_was_loaded(name: str) -> None:
    tensor = TENSORS[name].detach()
    encoded = encode(TENSORS[name])
    views = [np.frombuffer(chunk, "u1") for chunk in encoded.chunks if isinstance(chunk, memoryview)]
    assert any(view.ctypes.data == tensor.data_ptr() for view in views)
    blob = bytearray(b"".join(map(bytes, encoded.chunks)))
    start = np.frombuffer(blob, "u1").ctypes.data
    assert start < decode(blob).data_ptr() < start + len(blob)  # type: ignore[attr-defined]


def test_what_lies_between_the_elements_is_not_stored() -> None:
    wide = torch.rand(100, 1000)
    loaded = round_trip(wide[:, :2])
    assert encode(wide[:, :2]).size_bytes < 3_000
    assert (loaded.stride(), bits(loaded)) == ((1000, 1), bits(wide[:, :2]))


def test_loaded_tensors_can_be_written() -> None:
    loaded = round_trip(MATRIX)
    loaded += 1
    assert bits(loaded) == bits(MATRIX + 1)


def test_models_come_back_with_ties_and_gradients_and_train_on_alike() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].weight = model[0].weight
    model(MATRIX).sum().backward()
    loaded = round_trip(model)
    assert digest(loaded) == digest(model)
    assert loaded[1].weight is loaded[0].weight
    assert bits(loaded[0].weight.grad) == bits(model[0].weight.grad)
    for one in (model, loaded):
        torch.optim.SGD(one.parameters(), lr=0.1).step()
    assert bits(loaded(MATRIX)) == bits(model(MATRIX))
    assert digest(loaded) == digest(model) != digest(copy.deepcopy(model).double())


def test_a_tensor_whose_gradient_leads_to_others_is_not_stored_and_its_digest_proves_nothing() -> None:
    computed = torch.ones(3, requires_grad=True) * 2
    with pytest.raises(NotStorableError, match=r"return tensor\.detach\(\)"):
        encode(computed)
    assert not digest(computed).exact
    assert round_trip(computed.detach()).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "tensor", [torch.complex(MATRIX, MATRIX).conj(), MATRIX.to_sparse(), torch.empty(3, device="meta")], ids=str
)
def test_other_tensors_are_left_to_pytorch(tensor: Any) -> None:
    loaded = round_trip(tensor)
    assert (loaded.dtype, loaded.layout, loaded.shape) == (tensor.dtype, tensor.layout, tensor.shape)
    assert tensor.is_meta or torch.equal(loaded.to_dense(), tensor.to_dense())


def test_how_tensors_are_restored_is_no_code_of_theirs() -> None:
    assert not [code for code in encode(MATRIX).code if code.__module__.startswith("prefect_helix")]
