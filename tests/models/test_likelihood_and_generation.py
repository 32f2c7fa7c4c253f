"""Log-likelihoods and generation on small random decoders of every architecture: exact, and no token computed twice."""

import copy
from itertools import takewhile

import numpy as np
import pytest
import torch
from small_tokenizers import byte_bpe
from transformers import AutoConfig, AutoModelForCausalLM

from harness.api.errors import UserError
from harness.api.protocols import Feature
from models.inference import generation, packed_texts
from models.inference.language_model import SplitModel, evaluating
from models.inference.likelihood import begin_loglikelihood, generate, loglikelihood
from models.inference.padded_texts import PaddedTexts
from models.inference.prefix_tree import KEPT_TOKENS, batches, build_tree
from models.inference.repeats import Repeats

VOCAB = 335
_LLAMA = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 96,
}
CONFIGS = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 8},
    # One layer in two sees a window shorter than most contexts; soft caps change the logits.
    "gemma3_text": {
        **_LLAMA,
        "head_dim": 8,
        "sliding_window": 5,
        "layer_types": ["sliding_attention", "full_attention"],
        "final_logit_softcapping": 3.0,
    },
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48, "max_position_embeddings": 96},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    # Its positions begin behind that of padding.
    "xlm-roberta": {**_LLAMA, "is_decoder": True, "max_position_embeddings": 98},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}
# With an attention that is not packed, as in families that cannot be.
CONFIGS |= {f"{name} padded": CONFIGS[name] for name in ("qwen2", "gemma3_text", "xlm-roberta")}
SHARES = [name for name in CONFIGS if name != "mamba"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models():
    made = {}

    def model(name):
        if name not in made:
            torch.manual_seed(0)
            ids = {"vocab_size": VOCAB, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
            config = AutoConfig.for_model(name.removesuffix(" padded"), **ids, **CONFIGS[name])
            eager = name == "bloom" or name.endswith(" padded")
            made[name] = AutoModelForCausalLM.from_config(config, attn_implementation="eager" if eager else None)
            with torch.no_grad():
                for parameter in made[name].parameters():  # far from uniform, so that mistakes show
                    parameter.mul_(4) if parameter.dim() > 1 else None
        return made[name].eval()

    return model


def feature(context, continuations, example=0):
    return Feature(example=example, input_ids=list(context), continuations=[list(one) for one in continuations])


def requests():
    """Choices, one-token answers, contexts and beginnings that several share, one that stands alone, an empty continuation."""
    rng = np.random.default_rng(0)
    long, short = rng.integers(3, VOCAB, size=30).tolist(), rng.integers(3, VOCAB, size=9).tolist()
    other = [*long[:25], *rng.integers(3, VOCAB, size=4).tolist()]
    tails = [rng.integers(3, VOCAB, size=n).tolist() for n in (3, 7, 1, 5)]
    return [
        feature(long, tails),
        feature(short, [[11], [12], [13], [14, 15]]),
        feature(short, [[12], tails[1]]),
        feature(other, tails[:2]),
        feature([1], [[*short, 7, 8], [*short, 9]]),
        feature([5, 6, 7, 8], [tails[3], []]),
        feature([9], [[4]]),
    ]


def naive(model, features):
    """One forward pass a continuation, softmax over the whole vocabulary."""
    outputs = []
    for one in features:
        rows = []
        for continuation in one.continuations:
            ids = torch.tensor([[*one.input_ids, *continuation]])
            with torch.no_grad():
                logprobs = model(ids).logits[0].float().log_softmax(-1)
            at = range(len(one.input_ids) - 1, ids.shape[1] - 1)
            picked = [logprobs[n, token].item() for n, token in zip(at, continuation)]
            greedy = all(logprobs[n].argmax().item() == token for n, token in zip(at, continuation))
            rows.append([sum(picked), len(continuation), float(greedy)])
        outputs.append(np.array(rows))
    return outputs


def greedy_ids(model, ids, number):
    for _ in range(number):
        with torch.no_grad():
            ids = [*ids, model(torch.tensor([ids])).logits[0, -1].argmax().item()]
    return ids


class Counted:
    """Counts the rows of tokens that go through a model's body, and the positions that go through its head."""

    def __init__(self, model):
        self.tokens, self.passes, self.positions = 0, 0, 0
        self.handles = [
            model.base_model.register_forward_pre_hook(self.body, with_kwargs=True),
            model.get_output_embeddings().register_forward_pre_hook(self.head),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def body(self, module, args, kwargs):
        if kwargs.get("attention_mask") is not None:  # without one it is the head that asks, and the body that does not run
            self.passes += 1
            is_packed = "packing" in kwargs
            self.tokens += kwargs["input_ids"].numel() if is_packed else int(self.mask(kwargs).sum())

    @staticmethod
    def mask(kwargs):
        """Of the tokens that are computed."""
        return kwargs["attention_mask"][:, -kwargs["input_ids"].shape[1] :]

    def head(self, module, args):
        self.positions += args[0].shape[:-1].numel()


@pytest.mark.parametrize("name", CONFIGS)
def test_it_equals_one_pass_a_continuation(models, name):
    model, features = models(name), requests()
    context = features[0].input_ids
    features.append(feature(context, [greedy_ids(model, context, 4)[len(context) :]]))
    wanted = naive(model, features)
    for max_tokens in (4096, 40) if name in SHARES else (4096,):
        found = loglikelihood(model, features, device=CPU, max_tokens=max_tokens)
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == np.float64
            np.testing.assert_allclose(one[:, 0], other[:, 0], rtol=1e-6, atol=1e-5)
            assert one[:, 1:].tolist() == other[:, 1:].tolist()
        assert found[-1][0, 2] == 1.0
        assert found[5][1].tolist() == [0.0, 0.0, 1.0]


def test_a_context_is_computed_once(models):
    rng = np.random.default_rng(1)
    context = rng.integers(3, VOCAB, size=40).tolist()
    tails = [rng.integers(3, VOCAB, size=5).tolist() for _ in range(4)]
    other = rng.integers(3, VOCAB, size=12).tolist()
    with Counted(models("llama")) as counted:
        loglikelihood(models("llama"), [feature(context, tails), feature(context, tails[:1])], device=CPU, max_tokens=4096)
    assert counted.tokens == 40 + 4 * 4  # the last token of a continuation is not computed
    assert counted.positions == 1 + 4 * 4
    with Counted(models("llama")) as counted:  # another example with the same context: one token only, read where it ends
        loglikelihood(
            models("llama"), [feature(other, [[7], [8], [9]]), feature(other, [[8], [10]])], device=CPU, max_tokens=4096
        )
    assert (counted.tokens, counted.positions, counted.passes) == (12, 1, 1)
    with Counted(models("llama")) as counted:  # the shared part may lie in the continuations: lm-eval's XNLI has no context
        loglikelihood(
            models("llama"), [feature([1], [[*context, 5, *other], [*context, 6, *other]])], device=CPU, max_tokens=4096
        )
    assert counted.tokens == 1 + 40 + 2 * len(other)


def test_logits_are_never_more_than_asked_for_at_once(models, monkeypatch):
    monkeypatch.setattr("models.inference.language_model.LOGITS_AT_ONCE", 3 * VOCAB)
    sizes = []
    handle = models("llama").get_output_embeddings().register_forward_hook(lambda *a: sizes.append(a[-1].shape[:-1].numel()))
    found = loglikelihood(models("llama"), requests(), device=CPU, max_tokens=4096)
    handle.remove()
    assert max(sizes) == 3
    for one, other in zip(found, naive(models("llama"), requests()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-5)


def test_products_of_logits_are_bounded_on_a_cpu_and_not_too_small(models, monkeypatch):
    wanted = loglikelihood(models("llama"), requests(), device=CPU, max_tokens=4096)
    sizes = []
    handle = models("llama").get_output_embeddings().register_forward_hook(lambda *a: sizes.append(a[-1].shape[:-1].numel()))
    monkeypatch.setattr("models.inference.language_model.CPU_LOGPROBS_AT_ONCE", 2 * VOCAB)  # several pieces in the same memory
    for num_bytes, least, most in ((4 * 6 * VOCAB, 4, 6), (1, 4, 4)):
        monkeypatch.setattr("models.inference.language_model.CPU_PRODUCT_BYTES", num_bytes)
        monkeypatch.setattr("models.inference.language_model.CPU_ROWS_AT_ONCE", least)
        sizes.clear()
        found = loglikelihood(models("llama"), requests(), device=CPU, max_tokens=4096)
        assert max(sizes) == most
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    handle.remove()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_multiplied_many_at_once_and_looked_at_in_fp32_piece_by_piece(models, monkeypatch, dtype):
    split_model = SplitModel(copy.deepcopy(models("llama")).to(dtype), device=CPU)
    with evaluating(split_model.model):
        hidden_NH = split_model.hidden(split_model.pad([(5, 6, 7) * 20], left=False))[0][0, :50]
    products = []
    handle = split_model.model.get_output_embeddings().register_forward_hook(lambda *a: products.append(a[-1].shape[1]))
    with torch.no_grad():
        (wanted,) = split_model.logits(hidden_NH)
        monkeypatch.setattr("models.inference.language_model.CPU_LOGITS_AT_ONCE", 6 * VOCAB)
        monkeypatch.setattr("models.inference.language_model.CPU_PRODUCT_BYTES", dtype.itemsize * 25 * VOCAB)
        monkeypatch.setattr("models.inference.language_model.CPU_ROWS_AT_ONCE", 4)
        products.clear()
        found = [*split_model.logits(hidden_NH)]
    handle.remove()
    assert products == [25, 25]
    assert {len(piece) for piece in found} == {5}
    assert {piece.dtype for piece in found} == {torch.float32}
    torch.testing.assert_close(torch.cat(found), wanted, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-3)


def test_the_first_of_equal_logits_is_the_likeliest(models):
    model = models("qwen2")
    weight = model.get_output_embeddings().weight
    context = [5, 6, 7]
    best = greedy_ids(model, context, 1)[-1]
    with torch.no_grad():
        before = weight.clone()
        weight[best - 1] = weight[best + 1] = weight[best]  # three equal logits
        (found,) = loglikelihood(
            model, [feature(context, [[best - 1], [best], [best + 1], [best + 2]])], device=CPU, max_tokens=99
        )
        weight.copy_(before)
    assert found[:, 2].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_a_model_is_left_as_it_was(models):
    model = models("llama")
    forward = model.base_model.forward
    model.train()
    loglikelihood(model, requests()[:1], device=CPU, max_tokens=4096)
    assert model.training
    assert model.base_model.forward == forward
    model.eval()
    assert loglikelihood(model, [], device=CPU, max_tokens=10) == []


def test_overflow_is_an_error(models):
    model = models("qwen2")
    weight = model.get_output_embeddings().weight
    with torch.no_grad():
        before = weight[3].clone()
        weight[3] = torch.inf
    with pytest.raises(UserError, match="undefined likelihoods"):
        loglikelihood(model, requests()[:1], device=CPU, max_tokens=4096)
    with torch.no_grad():
        weight[3] = before


def test_groups_save_what_they_can_and_lose_nothing():
    rng = np.random.default_rng(2)
    sequences = [tuple(rng.integers(0, 3, size=rng.integers(1, 9)).tolist()) for _ in range(200)]
    plan = build_tree(sequences)
    for number, sequence in enumerate(sequences):
        places = [plan.place_of(number, position) for position in range(len(sequence))]
        assert tuple(plan.nodes[place.node].tokens[place.position] for place in places) == sequence
        nodes = list(dict.fromkeys(place.node for place in places))
        assert [plan.nodes[node].parent for node in nodes] == [None, *nodes[:-1]]
    assert plan.num_tokens < 0.6 * sum(map(len, set(sequences)))
    assert build_tree([(1, 2, 3), (1, 2), (1,), (4,)]).num_tokens == 4
    assert build_tree([]).nodes == []
    # Three pairs that share much each, and little with the others: not one group of six.
    pairs = [(9, 9, a, *[a] * 20, b) for a in (1, 2, 3) for b in (4, 5)]
    assert sorted(map(len, build_tree(pairs).followers().values())) == [2, 2, 2, 3]


def questions():
    """Solved examples, behind them questions of three sizes, behind each of these three continuations; and half of it alone."""
    rng = np.random.default_rng(7)
    shots = rng.integers(3, VOCAB, size=30).tolist()
    features = []
    for size in (9, 17, 13):
        own = rng.integers(3, VOCAB, size=size).tolist()
        features.append(feature([*shots, *own], [rng.integers(3, VOCAB, size=n).tolist() for n in (6, 4, 5)]))
    return [*features, feature(shots[:20], [[3, 4, 5], [5]])]


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_beginning_shares_with_others_is_computed_once_as_well(models, name):
    model, features = models(name), questions()
    wanted = naive(model, features)
    for max_tokens in (4096, 60, 20) if name in SHARES else (4096,):
        found = loglikelihood(model, features, device=CPU, max_tokens=max_tokens)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one[:, 0], other[:, 0], rtol=1e-6, atol=1e-5)
            assert one[:, 1:].tolist() == other[:, 1:].tolist()
    if name in SHARES:
        with Counted(model) as counted:
            loglikelihood(model, features, device=CPU, max_tokens=4096)
        # The examples, the three questions, their continuations but for the last tokens, and [3, 4] behind the first 20 tokens.
        assert counted.tokens == 30 + (9 + 17 + 13) + 3 * (5 + 3 + 4) + 2


@pytest.mark.parametrize("name", SHARES)
def test_prompts_with_the_same_examples_are_begun_together(models, name):
    model, tokenizer = models(name), byte_bpe(prefix_space=False)
    prompts = [one.input_ids + tail for one in questions() for tail in ([7, 8, 9, 10], [5, 6])]
    asked = [ask([token % (VOCAB - 8) + 3 for token in ids], 5) for ids in prompts]
    together = generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096)
    assert together == [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=4096)[0] for one in asked]
    assert len(set(together)) > 1


def test_batches_keep_to_the_budget():
    assert batches([(10, 10), (3, 3), (4, 100), (2, 2)], max_tokens=24) == [[2], [0, 1], [3]]
    assert batches([(50, 50)], max_tokens=8) == [[0]]
    assert batches([(4, 4), (10, 10), (4, 4), (9, 9)], max_tokens=100, spare=6) == [[1, 3], [0, 2]]


def ask(ids, number, *stop):
    return Feature(example=0, input_ids=ids, generate={"max_new_tokens": number, "stop": list(stop)})


@pytest.mark.parametrize("name", SHARES)
def test_generation_in_batches_is_generation_one_by_one(models, name, monkeypatch):
    model, tokenizer = models(name), byte_bpe(prefix_space=False)
    rng = np.random.default_rng(3)
    asked = [
        ask(rng.integers(3, VOCAB - 5, size=size).tolist(), number)
        for size, number in ((20, 8), (3, 12), (11, 5), (20, 3), (7, 9))
    ]
    asked.append(asked[1])
    together = generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096)
    assert together == [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=4096)[0] for one in asked]
    wanted = []
    for one in asked:
        ids = torch.tensor([one.input_ids])
        if "roberta" in name:  # whose `generate` counts positions from 0, unlike its forward function and what trains it
            own = greedy_ids(model, one.input_ids, one.generate["max_new_tokens"])[len(one.input_ids) :]
            own = [*takewhile(lambda token: token not in (0, 2), own)]
            wanted.append(tokenizer.decode(own, skip_special_tokens=True))
            continue
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=one.generate["max_new_tokens"],
            eos_token_id=[0, 2],
        )
        wanted.append(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))
    assert together == wanted
    assert any(together)
    monkeypatch.setattr(generation, "PackedTexts", PaddedTexts)  # what a GPU has
    assert generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096) == wanted


@pytest.mark.parametrize("name", SHARES)
def test_prompts_that_begin_alike_are_begun_together(models, name):
    model, tokenizer = models(name), byte_bpe(prefix_space=False)
    context = np.random.default_rng(5).integers(3, VOCAB - 5, size=30).tolist()
    asked = [ask(ids, 5) for ids in ([*context, 7, 8, 9], [*context, 5], context[:20], [4, 5])]
    with Counted(model) as counted:
        together = generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096)
    assert together == [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=4096)[0] for one in asked]
    assert counted.tokens <= (30 + 3 + 1 + 2 if not name.startswith("gemma3_text") else 33 + 31 + 20 + 2) + 4 * len(asked)


def test_what_repeats_takes_fewer_passes_and_is_the_same(models, monkeypatch):
    """Texts of 60 tokens that soon go round in circles, drawn ones among them; and others take the place of those that ended."""
    model, tokenizer = models("llama"), byte_bpe(prefix_space=False)
    rng = np.random.default_rng(11)
    beginnings = [rng.integers(3, VOCAB - 5, size=size).tolist() for size in (12, 5, 7)]
    asked = [ask([*ids, *rng.integers(3, VOCAB - 5, size=n).tolist()], 60) for ids in beginnings for n in (1, 3)]
    sampling = {"temperature": 0.3, "top_p": 1.0, "top_k": 2, "seed": 5}
    drawn = [Feature(example=0, input_ids=one.input_ids, generate={**one.generate, "sampling": sampling}) for one in asked]
    with Counted(model) as plain, monkeypatch.context() as nothing_is_guessed:
        nothing_is_guessed.setattr(Repeats, "guesses", lambda self, most: [])
        wanted = [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=4096)[0] for one in (*asked, *drawn)]
    with Counted(model) as counted:
        found = [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=4096)[0] for one in (*asked, *drawn)]
    assert found == wanted
    assert counted.passes < 0.8 * plain.passes
    for max_tokens in (1, 40, 100, 4096):
        assert generate(model, [*asked, *drawn], tokenizer=tokenizer, device=CPU, max_tokens=max_tokens) == wanted


def test_ends_among_right_guesses_are_ends(models, monkeypatch):
    """Every token is guessed right: a stop text, an end token or the limit comes in the middle of what a pass gives."""
    model, tokenizer = models("llama"), byte_bpe(prefix_space=False)
    prompts = [[9, 11, 4], [30, 31], [5] * 7]
    known = [greedy_ids(model, ids, 40) for ids in prompts]
    text = tokenizer.decode(known[0][3:], skip_special_tokens=True)
    asked = [ask(prompts[0], 40, text[9:11]), ask(prompts[1], 11), ask(prompts[1], 12), ask(prompts[2], 40)]
    plain = generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096)
    passes = []

    def right(self, most):
        (own,) = [ids for ids in known if ids[: len(self._ids)] == self._ids] or [[]]
        return own[len(self._ids) :][:most]

    monkeypatch.setattr(Repeats, "guesses", right)
    monkeypatch.setattr(SplitModel, "packed_hidden", lambda *args, own=SplitModel.packed_hidden: passes.append(1) or own(*args))
    assert generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=4096) == plain
    assert len(passes) <= 8
    assert plain[0] == text[: text.index(text[9:11])]


def test_what_is_kept_stays_within_the_budget(models, monkeypatch):
    model, tokenizer = models("llama"), byte_bpe(prefix_space=False)
    rng = np.random.default_rng(2)
    asked = [ask(rng.integers(3, VOCAB - 5, size=int(size)).tolist(), 12) for size in rng.integers(3, 30, size=40)]
    seen = []
    begin = packed_texts.PackedTexts.begin

    def heard(self):
        found = begin(self)
        seen.append((len(self.numbers), self._texts.num_tokens))
        return found

    monkeypatch.setattr(packed_texts.PackedTexts, "begin", heard)
    generate(model, asked, tokenizer=tokenizer, device=CPU, max_tokens=60)
    assert max(number for number, _ in seen) > 5
    assert max(tokens for number, tokens in seen if number > 1) <= KEPT_TOKENS * 60


def test_generation_stops_at_a_text_a_token_or_the_limit(models):
    model, tokenizer = models("llama"), byte_bpe(prefix_space=False)
    prompt = [40, 41, 42]
    (free,) = generate(model, [ask(prompt, 12)], tokenizer=tokenizer, device=CPU, max_tokens=4096)
    assert len(free) > 4
    cut = free[3:5]
    stopped = generate(model, [ask(prompt, 12, "\u2603", cut), ask(prompt, 2)], tokenizer=tokenizer, device=CPU, max_tokens=4096)
    assert stopped[0] == free[: free.index(cut)]
    assert free.startswith(stopped[1])
    ids = greedy_ids(model, prompt, 3)
    model.generation_config.eos_token_id = [2, ids[-1]]
    (ended,) = generate(model, [ask(prompt, 12)], tokenizer=tokenizer, device=CPU, max_tokens=4096)
    model.generation_config.eos_token_id = 2
    assert ended == tokenizer.decode(ids[3:-1])


def test_equal_requests_are_answered_once(models):
    with Counted(models("llama")) as counted:
        generate(models("llama"), [ask([5, 6, 7], 4)] * 5, tokenizer=byte_bpe(prefix_space=False), device=CPU, max_tokens=4096)
    assert counted.tokens <= 3 + 3


def test_models_that_keep_a_state_cannot_generate(models):
    assert not SplitModel(models("mamba"), device=CPU).can_share
    with pytest.raises(UserError, match="keeps"):
        generate(models("mamba"), [ask([5, 6], 2)], tokenizer=byte_bpe(prefix_space=False), device=CPU, max_tokens=4096)


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "xlm-roberta"])
def test_all_passes_are_begun_before_any_number_is_looked_at(name, monkeypatch):
    """On the device `meta`, which computes nothing, looking at a number is an error: the first look is the copy at the end."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, vocab_size=VOCAB, **CONFIGS[name])).to("meta").eval()
    begun = []
    hidden = SplitModel.packed_hidden
    monkeypatch.setattr(SplitModel, "packed_hidden", lambda *args: begun.append(len(args[1])) or hidden(*args))
    features = [Feature(example=n, input_ids=[5, 6, 7 + n], continuations=[[8, 9], [8, 10, 11]]) for n in range(6)]
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        begin_loglikelihood(model, features, device=torch.device("meta"), max_tokens=8)
    tree = build_tree([(5, 6, 7 + n, 8, *end) for n in range(6) for end in ((), (10,))])
    assert len(begun) >= 3
    assert sum(begun) == tree.num_tokens
