"""Labels are chosen by the likelihood of all their tokens: whatever their first ones are, and whatever stands before them."""

import numpy as np
import pytest
import torch
from small_tasks import pairs, rows, write
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from whole_sequences import continuation_logprobs

import run_eval
from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.specs.prompt import PromptArgs
from harness.task_types.prompting.route import PromptRoute
from models.inference.likelihood import loglikelihood

LETTERS = [*" .,:\n<|>_", *map(chr, range(ord("a"), ord("z") + 1))]
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def letters(*, lowercase=False):
    """A tokenizer whose tokens are single letters; capitals become small ones, or are unknown."""
    own = Tokenizer(models.WordLevel({text: n for n, text in enumerate(["<unk>", "<end>", *LETTERS])}, unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    if lowercase:
        own.normalizer = normalizers.Lowercase()
    made = PreTrainedTokenizerFast(tokenizer_object=own, unk_token="<unk>", eos_token="<end>", pad_token="<end>")
    made.chat_template = CHAT
    return made


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = AutoConfig.for_model("llama", vocab_size=len(LETTERS) + 2, pad_token_id=1, eos_token_id=1, **sizes)
    return AutoModelForCausalLM.from_config(config).eval()


def asked(tmp_path, *, yes, no, tokenizer, **prompt_args):
    """The features of some rows of a task with two labels, with all that is needed to read their answers."""
    tmp_path.mkdir(exist_ok=True)
    folder = write(
        tmp_path, pairs("ours", prompt={"context": "{{ text | lower }}:", "continuations": {"yes": yes, "no": no}})
    ).parent
    rows(folder, "ours", "train", "en")
    catalog = Catalog([folder])
    spec = catalog.task("ours").spec
    found = load_examples(
        spec,
        split="test",
        langs=["en"],
        place=DataPlace.resolve(None, allowed=[folder]),
        task_folder=catalog.folder("task", "ours"),
    ).examples
    route = PromptRoute(module=TASK_TYPES.load("classification"), prompt_args=PromptArgs(**prompt_args), pool=())
    options = route.Options.model_validate(spec.options)
    return route, found, spec, options, route.encode(found, task=spec, tokenizer=tokenizer, options=options, train=False)


def test_labels_that_begin_alike_are_told_apart_by_what_follows(model, tmp_path):
    route, examples, spec, options, features = asked(tmp_path, yes="positive", no="possible", tokenizer=letters())
    assert {tuple(ids[:4]) for feature in features for ids in feature.continuations} == {tuple(features[0].continuations[0][:4])}
    outputs = loglikelihood(model, features, device=torch.device("cpu"), max_tokens=1000)
    partials = [route.reduce(feature, output, task=spec, options=options) for feature, output in zip(features, outputs)]
    found = [one.prediction for one in route.decode(examples, features, partials, task=spec, options=options)]
    wanted = []
    for feature in features:
        sums = [float(logprobs_T.sum()) for logprobs_T in continuation_logprobs(model, feature)]
        wanted.append(spec.labels[int(np.argmax(sums))])
    assert found == wanted
    assert len(found) > 3


@pytest.mark.parametrize("chat", [False, True])
def test_no_token_of_a_system_message_is_taken_for_a_label(chat, tmp_path):
    tokenizer = letters()
    system = "answer p or n, positif or negatif."
    *_, features = asked(tmp_path, yes="positif", no="negatif", tokenizer=tokenizer, chat_template=chat, system=system)
    assert len(features) > 3
    for feature in features:
        said, *answers = ["".join(tokenizer.convert_ids_to_tokens(ids)) for ids in (feature.input_ids, *feature.continuations)]
        assert said.startswith("<system>" + system if chat else system)
        assert [answer.strip() for answer in answers] == ["negatif", "positif"]


def test_labels_that_a_tokenizer_makes_one_of_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"task 'ours', language en: two answers are the same[\s\S]*'no' and 'yes'"):
        asked(tmp_path / "one", yes="Ja", no="ja", tokenizer=letters(lowercase=True))
    with pytest.raises(UserError, match="two answers are the same"):
        asked(tmp_path / "two", yes="是", no="不", tokenizer=letters())
    *_, features = asked(tmp_path / "three", yes="ja", no="nein", tokenizer=letters(lowercase=True))
    assert features


def test_labels_with_the_same_words_are_a_mistake_of_the_file(tmp_path, capsys):
    write(tmp_path, pairs("ours", prompt={"context": "c", "continuations": {"yes": "Ja", "no": "Ja"}}))
    assert run_eval.main(["validate", str(tmp_path), "--specs_only"]) == 2
    assert "two labels have the same continuation" in capsys.readouterr().err
