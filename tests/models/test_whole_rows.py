"""Where each token stands in one row, gradients are gathered: the same ones, and nothing is added up."""

from collections import Counter

import pytest
import torch
from test_packing import spans_of
from torch.utils._python_dispatch import TorchDispatchMode

from models.packing import rows as query_rows
from models.packing.attention import LayerAttention, Packing
from models.packing.layout import PackedLayout, PackedSpan

LAYOUTS = {
    "one": [5],
    "as long": [4, 4, 4],
    "padded": [3, 9, 4, 1, 7],
    "alone": [120, 3, 130, 9, 64, 64, 5],
    "many": [*range(1, 70)],
}


class Calls(TorchDispatchMode):
    """Counts what torch is asked for, views left out."""

    def __init__(self):
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[function._schema.name] += 1
        return function(*args, **(kwargs or {}))


def gradients(packing, *, how, heads=(4, 2)):
    """Outputs of a layer, and gradients of the squares of its outputs; calls of torch for both."""
    torch.manual_seed(0)
    num_tokens, module = len(packing.positions), torch.nn.Identity()
    states = [torch.randn(1, number, num_tokens, 8, requires_grad=True) for number in (heads[0], heads[1], heads[1])]
    torch.manual_seed(1)
    with Calls() as calls:
        outputs = packing.attended(module, *states, how=how)
        outputs.square().sum().backward()
    return [outputs.detach(), *(one.grad for one in states)], calls.names


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_those_of_tokens_that_may_stand_in_several_rows(name, causal, window, dropout, monkeypatch):
    monkeypatch.setattr(query_rows, "CPU_BLOCK", 1 << 20)
    how = LayerAttention(causal, window, dropout, None)
    found, calls = gradients(Packing(PackedLayout(spans_of(LAYOUTS[name]))), how=how)
    monkeypatch.setattr(PackedLayout, "whole_rows", lambda *_: None)
    expected, others = gradients(Packing(PackedLayout(spans_of(LAYOUTS[name]))), how=how)
    for own, other in zip(found, expected, strict=True):
        assert torch.equal(own, other)
    assert not calls["aten::index_add"]
    assert not calls["aten::slice_backward"]
    if name in {"padded", "alone", "many"}:
        assert others["aten::index_add"] + others["aten::slice_backward"] >= 3


@pytest.mark.parametrize(
    "layout",
    [
        PackedLayout([PackedSpan(0, 3), PackedSpan(3, 2, ((0, 3),))]),
        PackedLayout([PackedSpan(0, 3)], num_kept=2),
        PackedLayout(spans_of([2 * query_rows.CPU_BLOCK])),
    ],
    ids=["behind another", "behind kept ones", "in blocks"],
)
def test_tokens_that_stand_in_several_rows_have_the_gradients_of_all(layout):
    how = LayerAttention(True, None, 0.0, None)
    kind = layout.kind(causal=True, window=None, dtype=torch.float32, device=torch.device("cpu"))
    assert layout.whole_rows(kind) is None
    if layout.num_kept:
        return
    (_, *found), _ = gradients(Packing(layout), how=how)
    assert all(bool((one.abs().sum(dim=-1) > 0).all()) for one in found[1:])


@pytest.mark.parametrize("lengths", [[200, 130], [4, 4, 4], [7]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_nothing_is_copied_that_lies_in_order(lengths, dtype, monkeypatch):
    torch.manual_seed(0)
    states = [torch.randn(1, 2, sum(lengths), 8, dtype=dtype) for _ in range(3)]
    how = LayerAttention(False, None, 0.0, None)
    with Calls() as calls:
        found = Packing(PackedLayout(spans_of(lengths))).attended(torch.nn.Identity(), *states, how=how)
    assert not calls.names["aten::index_select"]
    monkeypatch.setattr(PackedLayout, "whole_rows", lambda *_: None)
    expected = Packing(PackedLayout(spans_of(lengths))).attended(torch.nn.Identity(), *states, how=how)
    assert torch.equal(found, expected)
