"""Tokens are drawn at random by a request's own seed, from what transformers would leave of the probabilities."""

from collections import Counter

import pytest
import torch
from small_models import make_folder
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from harness.api.protocols import Feature
from models.inference.generation import generate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = make_folder("llama", tmp_path_factory.mktemp("sampled") / "model")
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)


def asked(seed, *, ids=(5, 6, 7), tokens=1, **how):
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "seed": seed, **how}
    return Feature(example=0, input_ids=list(ids), generate={"max_new_tokens": tokens, "stop": [], "sampling": sampling})


@pytest.mark.parametrize("how", [{"top_k": 5}, {"top_p": 0.05}, {"temperature": 0.05, "top_k": 20, "top_p": 0.8}])
def test_tokens_come_as_often_as_their_probabilities_say(small, how):
    model, tokenizer = small
    number = 3000
    texts = generate(model, [asked(seed, **how) for seed in range(number)], tokenizer=tokenizer, device=CPU, max_tokens=1 << 16)
    with torch.no_grad():
        scores = model(torch.tensor([[5, 6, 7]])).logits[:, -1].float()
    warpers = [TemperatureLogitsWarper(how.get("temperature", 1.0))]
    warpers += [TopKLogitsWarper(how["top_k"])] if "top_k" in how else []
    warpers += [TopPLogitsWarper(how["top_p"])] if "top_p" in how else []
    for warper in warpers:
        scores = warper(None, scores)
    expected = Counter()
    for token, share in enumerate(scores.softmax(-1)[0].tolist()):
        if share:
            expected[tokenizer.decode([token], skip_special_tokens=True)] += share
    found = Counter(texts)
    assert set(found) <= set(expected)
    for text, share in expected.items():
        assert found[text] / number == pytest.approx(share, abs=4 * (share * (1 - share) / number) ** 0.5 + 1e-9)


def test_an_answer_hangs_on_its_seed_and_not_on_what_is_asked_beside_it(small):
    model, tokenizer = small
    several = [asked(seed, tokens=6, ids=[4, *range(5, 5 + seed)]) for seed in range(1, 6)]
    together = generate(model, several, tokenizer=tokenizer, device=CPU, max_tokens=1 << 16)
    alone = [generate(model, [one], tokenizer=tokenizer, device=CPU, max_tokens=1 << 16)[0] for one in several]
    assert together == alone
    same = generate(model, [asked(seed, tokens=6) for seed in range(8)], tokenizer=tokenizer, device=CPU, max_tokens=1 << 16)
    assert len(set(same)) > 1
