"""The last layer gives tokens that are read what it gives them among all, in every family; what it computes is counted."""

from itertools import accumulate, chain
from typing import Any

import numpy as np
import pytest
import torch
from test_packing import LENGTHS, SIZES, alone, batch_of, body_of, branching, causal_model, spans_of, texts
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from harness.api.packable_families import CAUSAL, ENCODERS
from harness.api.protocols import Feature, HeadSpec, Pooling
from models.causal.network import DecoderNetwork
from models.headed.heads import ChoiceHead, HeadShape, SequenceHead
from models.headed.network import HeadedNetwork
from models.inference.language_model import SplitModel
from models.inference.likelihood import loglikelihood
from models.inference.packed_passes import CPU_PASS_TOKENS, in_full_passes, packed_beginnings, packed_passes
from models.inference.prefix_tree import build_tree
from models.loading.layers import find_layers
from models.packing import last_layer
from models.packing.attention import Packing, exchange_attention, packed_inputs
from models.packing.last_layer import last_layer_of_reads, worth_choosing
from models.packing.layout import PackedLayout, PackedSpan

CPU = torch.device("cpu")
READS = np.array([0, 3, 4, 5, 40, 74, 75, 76, 107, 108, 120, 238, 239, 271, 273])
"Of sequences of LENGTHS, one behind the other: first and last tokens, neighbours, single ones; of 274."


def last_of(model: nn.Module) -> nn.Module:
    owner, name = find_layers(model)  # type: ignore[arg-type]
    layer: nn.Module = getattr(owner, name)[-1]
    return layer


def rows_of_linear_layers(module: nn.Module) -> dict[str, int]:
    """How many rows each of them computes from now on."""
    found: dict[str, int] = {}

    def count(name: str, args: tuple[torch.Tensor, ...]) -> None:
        found[name] = found.get(name, 0) + args[0].shape[:-1].numel()

    for name, one in module.named_modules():
        if isinstance(one, nn.Linear):
            one.register_forward_hook(lambda _, args, __, name=name: count(name, args))
    return found


def of_reads(model: PreTrainedModel, tokens: list[int], packing: Packing) -> torch.Tensor:
    with torch.no_grad(), last_layer_of_reads(model, packing):
        return model(**packed_inputs(torch.tensor(tokens), packing, body=model)).last_hidden_state[0]


@pytest.mark.parametrize("kind", sorted((ENCODERS | CAUSAL) - {"albert"}))
def test_tokens_that_are_read_have_the_hidden_states_that_they_have_among_all(kind):
    """The last layer of modernbert's three has a window in which both sides are seen: it is computed whole."""
    model = body_of(kind)
    own = texts()
    expected = torch.cat([alone(model, one) for one in own])[READS]
    assert exchange_attention(model)
    with torch.no_grad():
        assert worth_choosing(model, [*READS[::-1], 0], num_tokens=sum(LENGTHS)).tolist() == READS.tolist()
    rows = rows_of_linear_layers(last_of(model))
    before = {**vars(last_of(model))}
    found = of_reads(model, [*chain(*own)], Packing(PackedLayout(spans_of(LENGTHS)), reads=READS))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5
    assert vars(last_of(model)) == before
    assert min(rows.values()) == (sum(LENGTHS) if kind == "modernbert" else len(READS))


@pytest.mark.parametrize("kind", sorted(CAUSAL))
def test_tokens_that_are_read_behind_others_of_earlier_passes(kind):
    model = body_of(kind)
    start, a, b = texts((40, 30, 75))
    expected = [alone(model, start + a)[[0, 39, 41, 69]], alone(model, start + b)[[45, 113, 114]]]
    assert exchange_attention(model)
    layout = PackedLayout([PackedSpan(0, 40), PackedSpan(40, 30, ((0, 40),))])
    first = Packing(layout, keeps=np.arange(40), reads=np.array([0, 39, 41, 69]))
    assert (of_reads(model, start + a, first) - expected[0]).abs().max() < 1e-5
    second = Packing(PackedLayout([PackedSpan(0, 75, ((0, 40),))], num_kept=40), kept=first.later, reads=np.array([5, 73, 74]))
    assert (of_reads(model, b, second) - expected[1]).abs().max() < 1e-5
    assert not first.later.layers  # let go


@pytest.mark.parametrize("kind", ["llama", "xlm-roberta", "gpt_neox"])
def test_of_other_tokens_the_last_layer_computes_what_attention_takes_alone(kind):
    model = body_of(kind)
    assert exchange_attention(model)
    counts = rows_of_linear_layers(last_of(model))
    of_reads(model, [*chain(*texts())], Packing(PackedLayout(spans_of(LENGTHS)), reads=READS))
    many = sum(LENGTHS) + len(READS)
    assert {*counts.values()} == {many, len(READS)}
    assert [*counts.values()].count(many) == {"llama": 3, "xlm-roberta": 3, "gpt_neox": 1}[kind]


def test_when_the_last_layer_is_computed_for_all():
    model, few = body_of("llama"), [3, 7]
    assert worth_choosing(model, few, num_tokens=100) is None  # gradients are asked for
    with torch.no_grad():
        assert worth_choosing(model, few, num_tokens=100).tolist() == few
        assert worth_choosing(model, few, num_tokens=3) is None
        assert worth_choosing(model, [], num_tokens=3).tolist() == [0]  # a pass of which nothing is read
        assert worth_choosing(body_of("albert"), few, num_tokens=100) is None  # its layers are one and the same
        packing = Packing(PackedLayout(spans_of(LENGTHS)))
        assert exchange_attention(model)
        assert len(of_reads(model, [*chain(*texts())], packing)) == sum(LENGTHS)


@pytest.mark.parametrize("call", [0, 1])
def test_a_layer_is_as_it_was_after_an_error_in_either_call(call, monkeypatch):
    model = body_of("llama")
    assert exchange_attention(model)
    packing = Packing(PackedLayout(spans_of(LENGTHS)), reads=READS)
    calls: list[int] = []

    def interrupted(self: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        calls.append(hidden.shape[1])
        if len(calls) > call:
            raise KeyboardInterrupt
        return own(self, hidden)

    norm = type(last_of(model).input_layernorm)
    own = norm.forward
    model.layers = model.layers[-1:]
    model.config.num_hidden_layers = 1
    monkeypatch.setattr(norm, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        of_reads(model, [*chain(*texts())], packing)
    assert calls == [sum(LENGTHS), len(READS)][: call + 1]
    assert raised.value.__context__ is None  # how the first call ended is nobody's concern
    assert "forward" not in vars(last_of(model))
    monkeypatch.setattr(norm, "forward", own)
    again = Packing(PackedLayout(spans_of(LENGTHS)), reads=READS)
    assert len(of_reads(model, [*chain(*texts())], again)) == len(READS)


@pytest.mark.parametrize("kind", ["llama", "xlm-roberta"])
def test_in_bfloat16_it_is_as_near_to_float32_as_the_whole_layer_is(kind, monkeypatch):
    model, ids = body_of(kind), [*chain(*texts())]
    assert exchange_attention(model)
    expected = of_reads(model, ids, Packing(PackedLayout(spans_of(LENGTHS)), reads=READS))
    model = model.to(torch.bfloat16)
    found = of_reads(model, ids, Packing(PackedLayout(spans_of(LENGTHS)), reads=READS))
    whole = of_reads(model, ids, Packing(PackedLayout(spans_of(LENGTHS))))[READS]
    off = (whole - expected).abs().max()
    assert (found - expected).abs().max() < 2 * off
    assert 0 < off < 0.2


def classifier(kind: str, head: type[SequenceHead], *, pooling: str, first: int | None = None) -> HeadedNetwork:
    torch.manual_seed(0)
    heads = {"labels": head(HeadSpec(kind="sequence", num_outputs=3), HeadShape(hidden_size=32, pooling=pooling))}
    if kind in ENCODERS:
        network = HeadedNetwork(body_of(kind), heads, type_ids=False)
    else:
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES))
        network = DecoderNetwork(model, heads, first=first)
    return network.eval()


@pytest.mark.parametrize("head", [SequenceHead, ChoiceHead])
@pytest.mark.parametrize(
    ("kind", "pooling", "first", "chooses"),
    [
        *(("xlm-roberta", "first", None, True), ("xlm-roberta", "mean", None, False), ("bert", "first", None, True)),
        *(
            ("qwen3", "last", 5, True),
            ("qwen3", "last", None, True),
            ("qwen3", "first", 5, False),
            ("llama", "first", None, True),
        ),
    ],
)
def test_heads_that_read_one_token_of_each_text(kind, pooling, first, chooses, head, monkeypatch):
    network = classifier(kind, head, pooling=pooling, first=first)
    rows: list[int] = []
    last_of(network.body).register_forward_hook(lambda _, args, output: rows.append(output.shape[1]))
    batch = batch_of(LENGTHS)
    with torch.no_grad():
        found = network(batch, head="labels")
        vectors = network(batch, pooling=Pooling(method=pooling))
        every = sum(LENGTHS) + (0 if first is None else len(LENGTHS))
        assert rows == [len(LENGTHS) if chooses else every] * 2
        monkeypatch.setattr(last_layer, "READS", 0)
        assert (network(batch, head="labels") - found).abs().max() < 1e-5
        assert (network(batch, pooling=Pooling(method=pooling)) - vectors).abs().max() < 1e-5
        assert rows[2:] == [every] * 2
    network.train()
    network(batch, head="labels").sum().backward()
    assert rows[-1] == every


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "gemma3_text"])
@pytest.mark.parametrize("max_tokens", [30, 4096])
def test_likelihoods_and_beginnings_are_those_of_whole_layers(kind, max_tokens, monkeypatch):
    model = causal_model(kind)
    features = [
        Feature(example=n, input_ids=[*one[:-3]], continuations=[[*one[-3:]], [*one[-3:-1]], [7]])
        for n, one in enumerate(branching())
    ]
    rows: list[int] = []
    last_of(model.base_model).register_forward_hook(lambda _, args, output: rows.append(output.shape[1]))

    def both() -> tuple[Any, Any]:
        found = loglikelihood(model, features, device=CPU, max_tokens=max_tokens)
        with torch.no_grad():
            return found, packed_beginnings(branching(), SplitModel(model, device=CPU), max_tokens=max_tokens).hidden_BH

    found, hidden_BH = both()
    few, passes = sum(rows), len(rows)
    monkeypatch.setattr(last_layer, "READS", 0)
    expected, all_BH = both()
    assert sum(rows) - few > few
    assert len(rows) == 2 * passes
    assert max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True)) < 1e-5
    assert (hidden_BH - all_BH).abs().max() < 1e-5


def test_on_a_cpu_passes_are_full():
    """Kernels are made anew for each number of rows: all passes but the last have the same one."""
    split_model = SplitModel(causal_model(), device=CPU)
    sequences = branching()
    tree = build_tree(sequences)
    for most in (1, 7, 50, 64, 4096):
        cut = in_full_passes(tree, split_model, max_tokens=most)
        sizes = [len(node.tokens) for node in cut.nodes]
        assert all(sizes)
        ends = {*accumulate(sizes)}
        assert ends >= {*range(most, cut.num_tokens, most)}
        assert cut.num_tokens == tree.num_tokens
        assert len(cut.nodes) <= len(tree.nodes) + cut.num_tokens // most
        for number, sequence in enumerate(sequences):
            path = cut.path(cut.ends[number])
            whole = [token for node in path for token in cut.nodes[node].tokens]
            assert tuple(whole[: len(sequence)]) == sequence
            assert [cut.nodes[node].parent for node in path] == [None, *path[:-1]]
        with torch.no_grad():
            passes = [len(one.hidden_NH) for one in packed_passes(cut, split_model, max_tokens=most)]
        assert passes[:-1] == [most] * (len(passes) - 1)
        assert 0 < passes[-1] <= most
    assert sum(passes) == tree.num_tokens < CPU_PASS_TOKENS
    split_model.device = torch.device("meta")  # no CPU
    assert in_full_passes(tree, split_model, max_tokens=50) is tree
