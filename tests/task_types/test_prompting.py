"""The prompt route of all tasks: their words, chat templates, and answers back to labels, with the oracle and a tiny model."""

import dataclasses

import numpy as np
import pytest
import torch
from small_tokenizers import byte_bpe
from transformers import AutoConfig, AutoModelForCausalLM
from whole_sequences import continuation_logprobs

from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.scoring.score import score_value
from harness.specs.portable import portable, revive
from harness.specs.prompt import PromptArgs
from harness.task_types.prompting.answer_spans import found_in
from harness.task_types.prompting.route import PromptRoute
from harness.task_types.prompting.tag_text import entities_text
from models.causal.network import DecoderNetwork
from models.headed.checkpoint import head_shape
from models.headed.heads import build_head
from models.inference.likelihood import generate, loglikelihood

CATALOG = Catalog()
CPU = torch.device("cpu")
EMBEDDED = {"bucc2018", "tatoeba"}
CHAT = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "<{{ m.role }}>{{ m.content | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}{{ strftime_now('%Y') if false else '' }}"
)
DATED = (
    "{{ strftime_now('%d %b %Y') }} {{ date_string }} {{ enable_thinking }}{% for m in messages %}|{{ m.content }}{% endfor %}"
)


def rows(spec, split, lang, limit):
    return load_examples(spec, split=split, langs=[lang], place=DataPlace.resolve(None), limit=limit).examples


def route_of(spec, pool=(), **settings):
    return PromptRoute(module=TASK_TYPES.load(spec.type), prompt_args=PromptArgs(**settings), pool=pool)


def encoded(route, examples, spec, tokenizer, *, train=False):
    options = route.Options.model_validate(spec.options)
    return route.encode(examples, task=spec, tokenizer=tokenizer, options=options, train=train), options


def texts_of(tokenizer, feature):
    context = tokenizer.decode(feature.input_ids)
    return [context + tokenizer.decode(ids) for ids in feature.continuations or [[]]]


@pytest.fixture(scope="module")
def bpe():
    return byte_bpe(prefix_space=False)


@pytest.fixture(scope="module")
def llama():
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
    }
    config = AutoConfig.for_model("llama", vocab_size=335, pad_token_id=0, bos_token_id=None, eos_token_id=0, **sizes)
    return AutoModelForCausalLM.from_config(config).eval()


def prompted():
    names = {name.removeprefix("mini/") for name in CATALOG.names("task") if name.startswith("mini/")}
    shipped = [name for name in CATALOG.names("task") if name in names]
    return sorted(name for name in shipped if CATALOG.task(name).spec.prompt)


def test_all_eighteen_tasks_are_asked_in_words_or_by_vectors():
    xtreme = CATALOG.select("xtreme")
    intermediate = ["anli_plus", "mnli", "qqp", "squad_v2", "squad_v1", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"]
    assert {name for name in (*xtreme, *intermediate) if not CATALOG.task(name).spec.prompt} == EMBEDDED
    assert set(prompted()) >= {*xtreme, *intermediate} - EMBEDDED
    for name in (*xtreme, *intermediate):
        spec = CATALOG.task(name).spec
        assert not spec.prompt or spec.prompt.source
    for name in ("xnli", "pawsx", "xquad", "mlqa", "tydiqa"):  # localised words for every language but English
        assert set(CATALOG.task(name).spec.prompt.languages) >= set(CATALOG.task(name).spec.languages) - {"en"}


@pytest.mark.parametrize("name", prompted())
def test_the_oracle_is_right_in_every_task_and_a_stage_knows_its_prompt(name, bpe):
    """Data of the miniature world in the columns of the task; prompts with and without examples, English and localised."""
    full = CATALOG.task(f"mini/{name}").spec
    lang = next((lang for lang in full.languages if full.prompt.languages.get(lang)), full.languages[-1])
    train = CATALOG.task(full.train_on or full.task).spec
    pool = rows(train, "train", "en", 12) if train.data.train else []
    spec = revive(full.task, {**portable(full, split="test", prompt=True), "options": full.options})
    assert spec.prompt == full.prompt.model_copy(update={"source": ""})
    if spec.labels_from:
        spec = spec.model_copy(
            update={"labels": tuple(sorted({tag for example in pool for tag in example.gold})), "labels_from": None}
        )
        pool = rows(train.model_copy(update={"labels": spec.labels}), "train", "en", 12)
    examples = rows(full.model_copy(update={"labels": spec.labels}), "test", lang, 4)
    for settings in ({}, {"num_fewshot": 2 if pool else 0, "wording": "localised", "max_length": 100_000}):
        route = route_of(spec, pool, **settings)
        features, options = encoded(route, examples, spec, bpe)
        partials = []
        for feature, example in zip(features, examples, strict=True):
            output = route.oracle(feature, example, task=spec, options=options)
            partials.append(route.reduce(feature, output, task=spec, options=options))
            assert (feature.continuations is None) == (spec.asks == "generate")
        bare = [dataclasses.replace(feature, input_ids=[], continuations=None) for feature in features]
        found = route.decode(examples, bare, partials, task=spec, options=options)
        records = [{key: getattr(one, key) for key in ("id", "lang", "prediction", "gold")} for one in found]
        score = score_value(records, metrics=[use.metric for use in full.metrics], score=full.score, lang=lang)
        assert score == pytest.approx(100)
        assert [note for one in found for note in one.notes if note == "unparsed"] == []
        assert not any(one.num_truncated for one in found)


def test_words_are_english_unless_localised_ones_are_asked(bpe):
    spec = CATALOG.task("xnli").spec
    build = TASK_TYPES.load("classification").build
    row = {"text": "Es regnet", "text_pair": "Es ist nass.", "label": "entailment"}
    german, swahili = (build(row, task=spec, lang=lang, row_id="0") for lang in ("de", "en"))
    shot = build({**row, "text": "It rains"}, task=spec, lang="en", row_id="7")

    def first(example, **settings):
        features, _ = encoded(route_of(spec, [shot], **settings), [example], spec, bpe)
        return texts_of(bpe, features[0])

    assert first(german) == [f"Es regnet, right? {word}, Es ist nass." for word in ("Yes", "Also", "No")]
    assert first(german, wording="localised") == [f"Es regnet, richtig? {word}, Es ist nass." for word in ("Ja", "Auch", "Nein")]
    assert first(swahili, wording="localised")[2] == "Es regnet, right? No, Es ist nass."
    # An English example is shown in the words of the question.
    shown = first(german, wording="localised", num_fewshot=1)[1]
    assert shown == "It rains, richtig? Ja, Es ist nass.\n\nEs regnet, richtig? Auch, Es ist nass."


def test_a_chat_template_frames_the_prompt_the_same_on_every_day(bpe):
    spec = CATALOG.task("xnli").spec
    build = TASK_TYPES.load("classification").build
    pool = [build({"text": "a", "text_pair": "b", "label": "neutral"}, task=spec, lang="en", row_id="1")]
    asked = build({"text": "c", "text_pair": "d", "label": "entailment"}, task=spec, lang="de", row_id="2")
    tokenizer = byte_bpe(prefix_space=False)
    with pytest.raises(UserError, match="no chat template"):
        encoded(route_of(spec, chat_template=True), [asked], spec, tokenizer)
    tokenizer.chat_template = CHAT
    features, _ = encoded(route_of(spec, pool, chat_template=True, num_fewshot=1), [asked], spec, tokenizer)
    question = "Does the hypothesis follow from the premise?  Answer yes, maybe or no."
    turn = "<user>Premise: {}\nHypothesis: {}\n" + question + "</s>\n<assistant>"
    assert texts_of(tokenizer, features[0]) == [
        turn.format("a", "b") + "Maybe</s>\n" + turn.format("c", "d") + word for word in ("Yes", "Maybe", "No")
    ]
    solved, _ = encoded(route_of(spec, chat_template=True), [asked], spec, tokenizer, train=True)
    assert tokenizer.decode([label for label in solved[0].labels if label != -100]) == "Yes</s>"
    with pytest.raises(UserError, match="refuses"):
        encoded(route_of(spec, chat_template=True, system="Be brief."), [asked], spec, tokenizer)
    tokenizer.chat_template = DATED
    features, _ = encoded(route_of(spec, chat_template=True, system="Be brief."), [asked], spec, tokenizer)
    assert texts_of(tokenizer, features[0])[0].startswith("26 Jul 2024 26 Jul 2024 False|Be brief.|Premise: c")


def test_system_message_and_instruction_come_first(bpe):
    spec = CATALOG.task("mini/panx").spec
    (example,) = rows(spec, "test", "en", 1)
    features, _ = encoded(route_of(spec, system="Be brief."), [example], spec, bpe)
    text = bpe.decode(features[0].input_ids)
    assert text.startswith("Be brief.\n\nName the persons")
    assert text.endswith(f"\n\nSentence: {' '.join(example.tokens)}\nNames:")
    assert features[0].generate == {"max_new_tokens": 128, "stop": ["\n"]}


def test_a_tiny_model_answers_from_beginning_to_end(llama, bpe):
    spec = CATALOG.task("mini/xnli").spec
    pool = rows(CATALOG.task("mini/mnli").spec, "train", "en", 20)
    examples = rows(spec, "test", "de", 9)
    route = route_of(spec, pool, num_fewshot=2, normalise="per_token")
    features, options = encoded(route, examples, spec, bpe)
    outputs = loglikelihood(llama, features, device=CPU, max_tokens=2000)
    partials = [route.reduce(feature, output, task=spec, options=options) for feature, output in zip(features, outputs)]
    found = route.decode(examples, features, partials, task=spec, options=options)
    wanted = []
    for feature in features:
        means = [logprobs_T.mean().item() for logprobs_T in continuation_logprobs(llama, feature)]
        wanted.append(spec.labels[int(np.argmax(means))])
    assert [one.prediction for one in found] == wanted
    assert {one.answer for one in found} == {None}
    assert [(one.id, one.lang, one.gold) for one in found] == [(e.id, "de", e.gold) for e in examples]

    spec = CATALOG.task("mini/xquad").spec
    examples = rows(spec, "test", "de", 3)
    short = spec.prompt.model_copy(update={"generate": spec.prompt.generate.model_copy(update={"max_new_tokens": 6})})
    spec = spec.model_copy(update={"prompt": short})
    route = route_of(spec)
    features, options = encoded(route, examples, spec, bpe)
    texts = generate(llama, features, tokenizer=bpe, device=CPU, max_tokens=2000)
    partials = [route.reduce(feature, text, task=spec, options=options) for feature, text in zip(features, texts)]
    decoded = route.decode(examples, features, partials, task=spec, options=options)
    for one, text, example in zip(decoded, texts, examples, strict=True):
        assert one.answer == text
        passage = found_in(text.strip(), example.context)
        if not text.strip():
            assert (one.prediction, one.notes) == (None, ("unparsed",))
        else:
            assert (one.prediction, one.notes) == ((text.strip(), ("not_in_context",)) if passage is None else (passage, ()))


def test_training_features_teach_the_answer_alone(llama, bpe):
    from harness.prediction.batching import collate

    spec = CATALOG.task("mini/mnli").spec
    examples = rows(spec, "train", "en", 3)
    route = route_of(spec)
    features, options = encoded(route, [dataclasses.replace(examples[0], gold=None), *examples], spec, bpe, train=True)
    assert [feature.example for feature in features] == [1, 2, 3]
    asked, _ = encoded(route, examples, spec, bpe)
    scored = loglikelihood(llama, asked, device=CPU, max_tokens=2000)
    batch = collate(features, pad_id=0)
    network = DecoderNetwork(
        llama, {"lm": build_head(route.head(spec, options), head_shape(llama, pooling="last"), seed=1, name="lm")}, first=7
    )
    with torch.no_grad():
        outputs = [llama(batch.input_ids).logits, network(batch, head="lm")]
    whole, picked = (route.loss(logits, batch, options) for logits in outputs)
    gold = sum(scores[spec.labels.index(example.gold), 0] for scores, example in zip(scored, examples))
    assert whole.item() == pytest.approx(-gold, rel=1e-5)
    assert picked.item() == pytest.approx(-gold, rel=1e-5)
    assert route.num_targets(features) == sum(int(s[spec.labels.index(e.gold), 1]) for s, e in zip(scored, examples))

    spec = CATALOG.task("mini/panx").spec
    (example,) = rows(spec, "train", "en", 1)
    route = route_of(spec)
    (feature,), _ = encoded(route, [example], spec, bpe, train=True)
    answer = entities_text(example.tokens, example.gold, nothing="none")
    assert bpe.decode([label for label in feature.labels if label != -100]) == f" {answer}\n"
    assert route.gold_continuation(example, task=spec) == f"{answer}\n"


def test_questions_without_an_answer_are_said_to_have_none(bpe):
    spec = CATALOG.task("mini/squad_v2").spec
    module = TASK_TYPES.load("span_qa")
    options = module.Options.model_validate(spec.options)
    row = {"question": "Who?", "context": "Ada wrote it.", "answer_texts": [], "answer_starts": []}
    example = module.build(row, task=spec, lang="en", row_id="0")
    route = route_of(spec)
    features, _ = encoded(route, [example] * 4, spec, bpe)
    texts = [" Unanswerable.", " ada", " Grace", "  "]
    found = route.decode([example] * 4, features, texts, task=spec, options=options)
    assert [one.prediction for one in found] == [
        {"text": "", "null_odds": 1.0},
        {"text": "Ada", "null_odds": 0.0},
        {"text": "Grace", "null_odds": 0.0},
        None,
    ]
    assert [one.notes for one in found] == [(), (), ("not_in_context",), ("unparsed",)]
    assert route.gold_continuation(example, task=spec) == "unanswerable\n"


def test_a_run_may_say_how_long_an_answer_is(bpe):
    spec = CATALOG.task("mini/panx").spec
    (example,) = rows(spec, "test", "en", 1)
    features, _ = encoded(route_of(spec, max_new_tokens=7), [example], spec, bpe)
    assert features[0].generate["max_new_tokens"] == 7
