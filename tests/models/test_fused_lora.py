"""LoRA's forward pass in few calls gives what peft's gives, and takes no more calls than it says."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from models.low_rank.fused import fuse
from models.low_rank.lora import LowRank, add_lora

LAYERS = 2
LINEAR = 7 * LAYERS
"Linear layers with adapters beside them."


class Calls(TorchDispatchMode):
    """Counts what is called of torch; views cost nothing."""

    FREE = (
        "view",
        "t.default",
        "transpose",
        "detach",
        "_unsafe_view",
        "expand",
        "unsqueeze",
        "slice",
        "alias",
        "permute",
        "select",
    )

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += not any(word in str(function) for word in self.FREE)
        return function(*args, **(kwargs or {}))


def adapted(*, dtype=torch.float32, dropout=0.0, variant="lora", seed=1):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=64, hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    trained = add_lora(model, LowRank(rank=4, alpha=8, dropout=dropout, variant=variant), seed=seed)
    torch.manual_seed(2)
    for name, parameter in trained.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return trained


IDS = torch.tensor([[*range(3, 23)], [*range(30, 50)]])


def run(model, *, autocast=False, seed=3):
    """Logits, and the gradients of their squares."""
    model.zero_grad()
    torch.manual_seed(seed)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(input_ids=IDS).logits
    logits.float().square().mean().backward()
    return logits.detach().float(), {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def farthest(one, other):
    """The largest difference of logits and of gradients, by the largest of each."""
    gradients = [(one[1][name] - other[1][name]).norm() / other[1][name].norm() for name in other[1]]
    assert one[1].keys() == other[1].keys()
    return float((one[0] - other[0]).norm() / other[0].norm()), float(max(gradients))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_it_gives_what_peft_gives(dropout, variant):
    model = adapted(dropout=dropout, variant=variant).train()
    expected = run(model)
    fuse(model)
    found = run(model)
    assert max(farthest(found, expected)) < 1e-5
    assert not torch.equal(run(model, seed=4)[0], found[0]) or not dropout
    with model.disable_adapter():
        without = run_base(model)
    assert not torch.allclose(without, found[0])


def run_base(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_in_bfloat16_it_is_no_further_from_the_truth_than_peft():
    by_peft, fused = [], []
    for seed in range(6):
        truth = run(adapted(seed=seed).train())
        model = adapted(dtype=torch.bfloat16, seed=seed).train()
        by_peft.append(farthest(run(model, autocast=True), truth))
        fuse(model)
        fused.append(farthest(run(model, autocast=True), truth))
    for own, other in zip(np.mean(fused, axis=0), np.mean(by_peft, axis=0), strict=True):
        assert own < 1.2 * other < 0.05


def calls_of(model):
    with Calls() as forward, torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=IDS)
    return forward.number


def test_a_layer_takes_few_calls():
    model = adapted(dtype=torch.bfloat16).train()
    with model.disable_adapter():
        plain = calls_of(model)
    assert calls_of(model) - plain == 8 * LINEAR
    fuse(model)
    assert calls_of(model) - plain == 4 * LINEAR  # two products, and the two weights in bfloat16


def test_weights_and_adapters_of_other_formats_are_left_to_peft_where_nothing_converts_them():
    model = adapted(dtype=torch.bfloat16).train()
    expected = run(model)[0]
    fuse(model)
    assert torch.equal(run(model)[0], expected)
