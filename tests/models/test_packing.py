"""Packed sequences give what sequences alone give, in every family that is packed; what is computed for it is counted."""

import random
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pytest
import torch
from small_models import DECODERS
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel

from harness.api.packable_families import CAUSAL, ENCODERS, family_packs
from harness.api.protocols import Batch, Feature, HeadSpec
from harness.prediction.batching import collate
from models.causal.network import DecoderNetwork
from models.headed.heads import HeadShape, LmHead, TokenHead
from models.headed.hidden_states import hidden_state
from models.headed.network import HeadedNetwork
from models.inference.language_model import SplitModel
from models.inference.likelihood import loglikelihood
from models.inference.packed_passes import packed_passes, packed_prefill
from models.inference.prefix_passes import prefill
from models.inference.prefix_tree import build_tree
from models.packing import rows as query_rows
from models.packing.attention import KeptTokens, Packing, exchange_attention, is_packable, packed_inputs
from models.packing.layout import AttentionKind, PackedLayout, PackedSpan
from models.packing.unpadded import Unpadded, is_worth_packing

SIZES = {
    **{"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2},
    **{"intermediate_size": 48, "head_dim": 8, "max_position_embeddings": 300, "embedding_size": 16, "pad_token_id": 0},
    **{"bos_token_id": 1, "eos_token_id": 2, "sliding_window": 16, "local_attention": 16, "num_local_experts": 2},
    **{"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "type_vocab_size": 2},
}
LENGTHS = (5, 70, 33, 1, 130, 33, 2)
"One longer than a block, several alike, all on both sides of a window of 16."


def body_of(kind: str, **settings: Any) -> PreTrainedModel:
    """A small model whose weights are large enough for every token to matter."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModel.from_config(AutoConfig.for_model(kind, **{**SIZES, **settings}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model.eval()


def texts(lengths=LENGTHS, *, seed=1) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(3, 64) for _ in range(length)] for length in lengths]


def alone(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Hidden states of one text, as transformers computes them."""
    mask = torch.ones((1, len(tokens)), dtype=torch.int64)
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), attention_mask=mask).last_hidden_state[0]


def spans_of(lengths) -> list[PackedSpan]:
    return [PackedSpan(end - length, length) for end, length in zip(accumulate(lengths), lengths, strict=True)]


def packed(model: PreTrainedModel, tokens: list[int], packing: Packing) -> torch.Tensor:
    with torch.no_grad():
        return model(**packed_inputs(torch.tensor(tokens), packing, body=model)).last_hidden_state[0]


@pytest.mark.parametrize("kind", sorted(ENCODERS | CAUSAL))
def test_packed_sequences_have_the_hidden_states_that_they_have_alone(kind):
    model = body_of(kind)
    own = texts()
    expected = torch.cat([alone(model, one) for one in own])
    assert exchange_attention(model)
    found = packed(model, [*chain(*own)], Packing(PackedLayout(spans_of(LENGTHS))))
    assert (found - expected).abs().max() < 1e-5
    assert (torch.cat([alone(model, one) for one in own]) - expected).abs().max() < 1e-6  # what is not packed is as it was


@pytest.mark.parametrize("kind", sorted(CAUSAL))
def test_sequences_go_on_from_tokens_of_the_same_pass_and_of_earlier_ones(kind):
    model = body_of(kind)
    start, a, b, c = texts((40, 30, 3, 75))
    expected = [alone(model, start + one)[40:] for one in (a, b, c)]
    expected.append(alone(model, start + a + b)[70:])
    assert exchange_attention(model)
    layout = PackedLayout([PackedSpan(0, 3), PackedSpan(3, 40), PackedSpan(43, 30, ((3, 43),))])
    first = Packing(layout, keeps=np.arange(73) if kind < "m" else np.arange(3, 73))
    states = packed(model, b + start + a, first)
    assert (states[43:] - expected[0]).abs().max() < 1e-5
    at = first.later.num_tokens - 70
    own, more = (at, at + 40), (at + 40, at + 70)
    spans = [PackedSpan(0, 3, (own,)), PackedSpan(3, 75, (own,)), PackedSpan(78, 3, (own, more))]
    second = Packing(PackedLayout(spans, num_kept=first.later.num_tokens), kept=first.later)
    found = packed(model, b + c + b, second)
    assert (found - torch.cat(expected[1:])).abs().max() < 1e-5
    assert not first.later.layers  # let go


@pytest.mark.parametrize("kind", ["qwen3", "gemma3_text", "llama"])
def test_causal_models_that_look_both_ways(kind):
    both = {"use_bidirectional_attention": True} if kind == "gemma3_text" else {"is_causal": False}
    model = body_of(kind, **both, **({} if kind == "gemma3_text" else {"sliding_window": None}))
    for module in model.modules():
        if getattr(module, "is_causal", None) is True:
            module.is_causal = False  # type: ignore[assignment]
    own = texts()
    expected = torch.cat([alone(model, one) for one in own])
    assert exchange_attention(model)
    assert (packed(model, [*chain(*own)], Packing(PackedLayout(spans_of(LENGTHS)))) - expected).abs().max() < 1e-5


def test_what_is_not_packed(monkeypatch):
    assert not exchange_attention(AutoModel.from_config(AutoConfig.for_model("bloom", **DECODERS["bloom"])))
    assert not exchange_attention(body_of("llama", attn_implementation="eager"))  # as the user asked for
    assert not exchange_attention(body_of("mistral", is_causal=False))
    assert not exchange_attention(body_of("llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}))
    own = type("OwnLlama", (type(body_of("llama")),), {"__module__": "transformers_modules.someone.model"})
    of_someone = own(body_of("llama").config)
    assert not exchange_attention(of_someone)
    assert not is_packable(of_someone)
    fixed = body_of("llama")
    monkeypatch.setattr(type(fixed), "_can_set_attn_implementation", classmethod(lambda cls: False))
    assert not exchange_attention(fixed)


@pytest.mark.parametrize(
    ("config", "packs"),
    [
        ({"model_type": "qwen3"}, True),
        ({"model_type": "lfm2"}, False),
        ({"model_type": "qwen3", "layer_types": ["full_attention", "linear_attention"]}, False),
        ({"model_type": "phi3", "rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, False),
        ({"model_type": "gemma3_text", "rope_parameters": {"full_attention": {"rope_type": "dynamic"}}}, False),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, True),
    ],
)
def test_families_by_their_configuration(config, packs):
    assert family_packs(config) is packs


def test_padding_within_a_text_has_no_position_in_roberta():
    model = body_of("xlm-roberta")
    own = texts()
    own[1][5] = own[1][6] = own[3][0] = 0
    expected = torch.cat([alone(model, one) for one in own])
    assert exchange_attention(model)
    found = packed(model, [*chain(*own)], Packing(PackedLayout(spans_of(LENGTHS))))
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["llama", "xlm-roberta", "gemma3_text", "modernbert"])
def test_under_autocast_results_are_as_near_to_the_truth(kind):
    model = body_of(kind)
    own = texts()
    truth = torch.cat([alone(model, one) for one in own])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        by_text = torch.cat([alone(model, one) for one in own]).float()
        exchange_attention(model)
        found = packed(model, [*chain(*own)], Packing(PackedLayout(spans_of(LENGTHS)))).float()
    assert (found - truth).norm() < 1.2 * (by_text - truth).norm()
    assert (by_text - truth).norm() < 0.1 * truth.norm()


def drawn_layout(rng):
    lengths = [rng.choice([0, 1, 2, 3, 7, 20, 64, 65, 200]) for _ in range(rng.randint(1, 12))] + [5]
    kept = rng.choice([0, 30])
    spans: list[PackedSpan] = []
    for one in spans_of(lengths):
        before: tuple[tuple[int, int], ...] = ((0, rng.randint(1, kept)),) if kept and rng.random() < 0.5 else ()
        if spans and spans[-1].length and rng.random() < 0.4:  # it goes on from the one before it
            own = kept + spans[-1].first
            before = (*spans[-1].before, (own, own + spans[-1].length))
        spans.append(one._replace(before=before))
    return PackedLayout(spans, num_kept=kept), sum(lengths)


def allowed(seen, part):
    """Bool [R, Q, S]."""
    shape = (len(part.rows), part.num_queries, part.num_sources)
    if seen.mask is None:
        return np.tril(np.ones(shape, dtype=bool)) if seen.is_causal else np.ones(shape, dtype=bool)
    return np.broadcast_to((seen.mask == 0)[:, 0].numpy(), shape)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("like", ["cpu", "gpu"])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_token_is_computed_once_and_sees_what_it_may(dtype, causal, like, seed, monkeypatch):
    if like == "gpu":  # as long rows, and lengths of eight, would be on one
        monkeypatch.setattr(query_rows, "CPU_ALONE", 5000)
        monkeypatch.setattr(query_rows, "CPU_BLOCK", 1 << 20)
    layout, num_tokens = drawn_layout(random.Random(seed))
    cpu, window = torch.device("cpu"), 7 if seed % 2 else None
    found: dict[int, set[int]] = {}
    kind = layout.kind(causal=causal, window=window, dtype=dtype, device=cpu)
    for part in layout.parts(kind):
        seen = layout.seen(part, kind)
        for row, queries in zip(part.rows, allowed(seen, part), strict=True):
            sources = [source for begin, end in row.seen for source in range(begin, end)]
            for number in range(row.length):
                assert row.first + number not in found
                assert not queries[number][len(sources) :].any()
                found[row.first + number] = {sources[at] for at in np.flatnonzero(queries[number])}
    assert sorted(found) == [*range(num_tokens)]
    for span in layout.spans:
        own = layout.num_kept + span.first
        path = [*(one for run in span.before for one in range(*run)), *range(own, own + span.length)]
        for number in range(span.length):
            position = span.num_before + number
            begin, end = (max(0, position - 6), position + 7) if window else (0, len(path))
            assert found[span.first + number] == set(path[begin : min(end, position + 1) if causal else end])


def test_short_rows_share_calls_as_long_as_their_padding_is_small():
    kind = AttentionKind(causal=False, window=None, dtype=torch.float32, device=torch.device("cpu"))
    parts = PackedLayout(spans_of([9] * 50 + [10] * 50 + [300])).parts(kind)
    assert sorted(len(part.rows) for part in parts) == [1, 100]
    for part in PackedLayout(spans_of([*range(1, 90)])).parts(kind._replace(causal=True)):
        area = len(part.rows) * part.num_queries * part.num_sources
        assert area - sum(row.area for row in part.rows) <= query_rows.CPU_ALONE


def test_a_call_copies_a_bounded_number_of_tokens_and_masks_share_memory():
    behind = [query_rows.QueryRow(2 * number, 2, ((0, 1000), (1000 + 2 * number, 1002 + 2 * number))) for number in range(100)]
    groups = query_rows.grouped(behind, on_cpu=True)
    assert sum(map(len, groups)) == 100
    assert max(len(group) for group in groups) == query_rows.MOST_COPIED // 1002
    layout = PackedLayout(spans_of([4000]))
    kind = AttentionKind(causal=True, window=None, dtype=torch.float32, device=torch.device("cpu"))
    masks = [layout.seen(part, kind).mask for part in layout.parts(kind)]
    assert masks[0] is None
    assert len({one.untyped_storage().data_ptr() for one in masks if one is not None}) == 1
    assert masks[1].untyped_storage().nbytes() <= 4 * query_rows.CPU_BLOCK * 4000


def test_rows_behind_one_beginning_are_one_row_on_a_cpu():
    """Premise, and two hypotheses behind it; then a sequence that has nothing in common with them."""
    premise, near = PackedSpan(0, 3), ((10, 13),)
    spans = [premise, PackedSpan(3, 2, near), PackedSpan(5, 2, near), PackedSpan(7, 3)]
    how = {"num_kept": 10, "causal": True}
    first, last = query_rows.query_rows(spans, **how, on_cpu=True)
    assert (first.first, first.length, first.seen, first.area) == (0, 7, ((10, 17),), 49)
    assert first.sees(window=None).astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 1, 1],
    ]
    assert first.sees(window=2)[6].astype(int).tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert (last.first, last.seen, last.merged) == (7, ((17, 20),), ())
    assert len(query_rows.query_rows(spans, **how, on_cpu=False)) == 4
    assert len(query_rows.query_rows(spans, num_kept=10, causal=False, on_cpu=True)) == 4


def test_rows_are_merged_as_long_as_little_is_masked():
    """Each continuation sees the beginning and itself: what the others' tokens would add is bounded."""
    spans = [one._replace(before=((0, 100),)) for one in spans_of([40] * 9)]
    found = query_rows.query_rows(spans, num_kept=100, causal=True, on_cpu=True)
    assert [len(row.merged or (row,)) for row in found] == [2] * 4 + [1]
    for row in found:
        assert row.area - sum(one.area for one in row.merged or (row,)) <= query_rows.CPU_MERGED
    many = [one._replace(before=((0, 3000),)) for one in spans_of([2] * 1000)]
    found = query_rows.query_rows(many, num_kept=3000, causal=True, on_cpu=True)
    assert max(row.length for row in found) == query_rows.MOST_MERGED
    assert sum(row.length for row in found) == 2000


class Counter:
    """Counts the tokens that go through a model's first linear layer."""

    def __init__(self, model: nn.Module) -> None:
        self.tokens = 0
        linear = next(module for module in model.modules() if isinstance(module, nn.Linear))
        linear.register_forward_hook(self._count)

    def _count(self, module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self.tokens += args[0].shape[:-1].numel()


def batch_of(lengths, **more: Any) -> Batch:
    return collate([Feature(example=n, input_ids=ids, **more) for n, ids in enumerate(texts(lengths))], pad_id=0)


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "modernbert"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_batches_of_an_encoder_are_computed_without_their_padding(kind, layer):
    model = body_of(kind)
    assert exchange_attention(model)
    batch = batch_of(LENGTHS)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    expected = hidden_state(model, inputs, layer=layer)
    counter = Counter(model)
    found = hidden_state(model, inputs, layer=layer, lengths=LENGTHS)
    assert counter.tokens == sum(LENGTHS)
    real = batch.attention_mask.bool()
    assert (found[real] - expected[real]).abs().max() < 1e-5
    assert not found[~real].any()
    even = batch_of([20, 19, 20])
    assert not is_worth_packing([20, 19, 20], 20, trains=False)
    assert is_worth_packing([20, 19, 20], 20, trains=True)
    assert not is_worth_packing([20, 20], 20, trains=True)
    hidden_state(model, {"input_ids": even.input_ids, "attention_mask": even.attention_mask}, layer=3, lengths=[20, 19, 20])
    assert counter.tokens == sum(LENGTHS) + 60


@pytest.mark.parametrize("kind", sorted(ENCODERS | CAUSAL))
def test_off_a_cpu_what_has_no_padding_is_packed_and_nothing_is_looked_at(kind, monkeypatch):
    """A mask would be looked at, which waits for a GPU; on the device `meta`, which computes nothing, it is an error."""
    model = body_of(kind)
    assert exchange_attention(model)
    batch = batch_of([20, 20, 20])
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    expected = hidden_state(model, inputs, layer=3)
    unpadded = Unpadded.of([20, 20, 20], batch.input_ids.shape, device=batch.input_ids.device)
    with torch.no_grad():
        found = packed(model, unpadded.taken(batch.input_ids).tolist(), Packing(unpadded.layout))
    assert (unpadded.put_back(found) - expected).abs().max() < 1e-5
    there = batch.on("meta")
    model.to("meta", torch.bfloat16)
    attended, seen = Packing.attended, set()
    monkeypatch.setattr(
        Packing, "attended", lambda own, *args, **how: seen.add(len(own.positions)) or attended(own, *args, **how)
    )
    for trains in (False, True):
        hidden_state(model.train(trains), {"input_ids": there.input_ids}, layer=3, lengths=[20, 20, 20])
    assert seen == {60}


def test_token_types_are_packed_as_well():
    model = body_of("bert")
    assert exchange_attention(model)
    batch = collate([Feature(example=n, input_ids=ids, type_ids=[i % 2 for i in ids]) for n, ids in enumerate(texts())], pad_id=0)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "token_type_ids": batch.type_ids}
    expected = hidden_state(model, inputs, layer=3)
    found = hidden_state(model, inputs, layer=3, lengths=LENGTHS)
    real = batch.attention_mask.bool()
    assert (found[real] - expected[real]).abs().max() < 1e-5


def tag_head() -> TokenHead:
    return TokenHead(HeadSpec(kind="token", num_outputs=5), HeadShape(hidden_size=32, dropout=0.0))


def gradients(network: nn.Module, batch: Batch, *, head: str, seed: int | None = None) -> dict[str, torch.Tensor]:
    """Of the sum of squares of what is no padding."""
    network.zero_grad()
    if seed is not None:
        torch.manual_seed(seed)
    outputs = network(batch, head=head)
    real = outputs[batch.attention_mask.bool()] if outputs.shape[:2] == batch.attention_mask.shape else outputs
    real.square().sum().backward()
    return {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}


def farthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of gradients, by the largest number of each (those of keys' biases are next to 0)."""
    assert a.keys() == b.keys()
    least = 1e-3 * max(float(one.abs().max()) for one in b.values())
    return max(float((a[name] - b[name]).abs().max()) / max(least, float(b[name].abs().max())) for name in a)


@pytest.mark.parametrize("kind", ["xlm-roberta", "llama", "gemma3_text", "qwen3"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_padded_batches(kind, checkpointing):
    labels = [[-100, *ids[1:]] for ids in texts()]
    features = [Feature(example=n, input_ids=ids, labels=own) for n, (ids, own) in enumerate(zip(texts(), labels, strict=True))]
    batch = collate(features, pad_id=0)
    unknown = Batch(**{name: getattr(batch, name) for name in Batch.__slots__} | {"features": ()})
    if kind == "xlm-roberta":
        body = body_of(kind, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        network: HeadedNetwork = HeadedNetwork(body, {"tags": tag_head()}, type_ids=False)
        heads = ["tags"]
    else:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES))
        words = LmHead(HeadSpec(kind="lm", num_outputs=1), HeadShape(hidden_size=32))
        network = DecoderNetwork(model, {"tags": tag_head(), "words": words}, first=3)
        heads = ["tags", "words"]
    network.train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    for head in heads:
        expected = gradients(network, unknown, head=head)  # padded, as lengths are not known
        counter = Counter(network.body)
        found = gradients(network, batch, head=head)
        first = len(LENGTHS) if head == "tags" and kind != "xlm-roberta" else 0  # tokens that are put before texts
        assert counter.tokens == (sum(LENGTHS) + first) * (2 if checkpointing else 1)
        assert farthest(found, expected) < 1e-3


def test_dropout_is_drawn_once_for_a_pass_that_is_computed_again():
    found = []
    for checkpointing in (False, True):
        network = HeadedNetwork(body_of("xlm-roberta"), {"tags": tag_head()}, type_ids=False)
        torch.manual_seed(0)
        for parameter in network.heads.parameters():
            nn.init.normal_(parameter)
        network.train()
        if checkpointing:
            network.enable_gradient_checkpointing()
        found.append(gradients(network, batch_of(LENGTHS), head="tags", seed=3))
    assert farthest(*found) < 1e-5
    with_other_draws = gradients(network, batch_of(LENGTHS), head="tags", seed=4)
    assert farthest(with_other_draws, found[0]) > 1e-2


def causal_model(kind: str = "llama") -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SIZES, "sliding_window": None})).eval()


def branching(*, seed: int = 2) -> list[tuple[int, ...]]:
    """Sequences that share beginnings on three levels."""
    root, *parts = texts((50, *([9] * 6), *([5] * 24)), seed=seed)
    return [tuple(root + parts[n % 6] + parts[6 + n]) for n in range(24)] + [tuple(parts[3])]


@pytest.mark.parametrize("max_tokens", [1, 20, 64, 100, 4096])
def test_a_tree_is_computed_once_in_passes_within_the_budget(max_tokens):
    split_model = SplitModel(causal_model(), device=torch.device("cpu"))
    tree = build_tree(branching())
    found: dict[int, torch.Tensor] = {}
    total = 0
    with torch.no_grad():
        for one in packed_passes(tree, split_model, max_tokens=max_tokens):
            assert len(one.hidden_NH) <= max_tokens or len(one.nodes) == 1
            assert one.packing.later.num_tokens <= max(map(len, branching()))
            total += len(one.hidden_NH)
            ends = [*one.first[1:], len(one.hidden_NH)]
            found |= {node: one.hidden_NH[a:b] for node, a, b in zip(one.nodes, one.first, ends, strict=True)}
        assert total == tree.num_tokens < sum(map(len, branching())) / 2
        for number, tokens in enumerate(branching()):
            whole = torch.cat([found[node] for node in tree.path(tree.ends[number])])
            expected = split_model.body(input_ids=torch.tensor([tokens])).last_hidden_state[0]
            assert (whole - expected).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["qwen3", "phi3", "gpt_neox"])
@pytest.mark.parametrize("max_tokens", [30, 4096])
def test_a_cache_is_filled_as_by_passes_with_padding(max_tokens, kind):
    split_model = SplitModel(causal_model(kind), device=torch.device("cpu"))
    own = branching()
    with torch.no_grad():
        found = packed_prefill(own, split_model, max_tokens=max_tokens)
        expected = prefill(own, split_model, max_tokens=4096)
    assert torch.equal(found.mask, expected.mask)
    assert (found.hidden_BTH[:, -1] - expected.hidden_BTH[:, -1]).abs().max() < 1e-5
    real = found.mask.bool()
    for a, b in zip(found.cache.layers, expected.cache.layers, strict=True):
        for ours, theirs in ((a.keys, b.keys), (a.values, b.values)):
            assert (ours.transpose(1, 2)[real] - theirs.transpose(1, 2)[real]).abs().max() < 1e-5


def test_likelihoods_of_a_model_that_is_packed_and_of_one_that_is_not():
    model = causal_model()
    features = [
        Feature(example=n, input_ids=[*one[:-5]], continuations=[[*one[-5:]], [*one[-5:-2]], [7, 8]])
        for n, one in enumerate(branching())
    ]
    found = loglikelihood(model, features, device=torch.device("cpu"), max_tokens=100)
    model.set_attn_implementation("eager")
    expected = loglikelihood(model, features, device=torch.device("cpu"), max_tokens=100)
    assert not SplitModel(model, device=torch.device("cpu")).packs
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4


def test_no_file_says_how_attention_is_computed(tmp_path):
    model = body_of("bert")
    assert exchange_attention(model)
    model.save_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    again = AutoModel.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"


def test_kept_tokens_and_places_of_an_unpadded_batch():
    assert KeptTokens().num_tokens == 0
    unpadded = Unpadded.of([2, 1, 3], (3, 3), device=torch.device("cpu"))
    assert unpadded.index.tolist() == [0, 1, 3, 6, 7, 8]
    assert unpadded.layout.positions.tolist() == [0, 1, 0, 0, 1, 2]
    values = torch.arange(9).reshape(3, 3)
    assert unpadded.taken(values).tolist() == [0, 1, 3, 6, 7, 8]
    assert unpadded.put_back(torch.ones(6, 2)).sum(-1).tolist() == [[2, 2, 0], [2, 0, 0], [2, 2, 2]]
    assert not is_worth_packing([], 9, trains=True)
