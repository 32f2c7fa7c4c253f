"""Texts to be written: the task type, its tasks, and runs of fakes from the command line to the board."""

import json

import pytest
import yaml
from small_task_types import assert_keeps_contract
from small_tokenizers import KINDS, word_level

import run_eval
from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.prediction.fakes import CONSTANT_TEXT, character_tokenizer, load_fake
from harness.scoring.metrics import bleu, chrf
from harness.specs.task import TaskSpec
from harness.task_types import generation
from harness.task_types.prompting.route import PromptRoute

FIELDS = {name.rstrip("?"): name.rstrip("?") for name in generation.FIELDS}
TASK = TaskSpec(task="t", type="generation", description="d", fields=FIELDS)
MINI = {
    "task": "mini_translation",
    "type": "generation",
    "description": "Translate the miniature world's English.",
    "languages": ["de", "ja"],
    "data": {"test": {"world": "mini", "config": "parallel", "split": "test"}},
    "fields": {"source": "text_pair", "references": "text", "source_lang": {"template": "en"}},
    "prompt": {"context": "{{ source_language }}: {{ source }}\n{{ target_language }}:", "generate": {"max_new_tokens": 8}},
    "metrics": ["chrf", "bleu", "exact_match", "token_f1"],
    "selection": "none",
}


def built(*rows, lang="de"):
    return [generation.build(row, task=TASK, lang=lang, row_id=str(n)) for n, row in enumerate(rows)]


def written(texts, examples, tokenizer=None):
    """The predictions of some answers."""
    arguments = {"task": TASK, "options": generation.Options()}
    features = generation.encode(examples, tokenizer=tokenizer or word_level(), train=False, **arguments)
    partials = [generation.reduce(f, text, **arguments) for f, text in zip(features, texts, strict=True)]
    return generation.decode(examples, features, json.loads(json.dumps(partials)), **arguments)


def test_the_module_keeps_the_contract():
    assert_keeps_contract(TASK_TYPES.load("generation"))
    assert (generation.ROUTES, generation.NEEDS) == (("prompt",), ("generate",))


@pytest.mark.parametrize("kind", [*KINDS, "characters"])
def test_samples_come_back_from_the_oracle(kind):
    tokenizer = character_tokenizer() if kind == "characters" else KINDS[kind]()
    examples = built(*generation.SAMPLES)
    features = generation.encode(examples, task=TASK, tokenizer=tokenizer, options=generation.Options(), train=False)
    assert [(f.example, f.part) for f in features] == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert all(f.input_ids for f in features)
    oracle = load_fake("oracle", tokenizer=None)
    answers = [
        oracle.answer(f, examples[f.example], module=generation, task=TASK, options=generation.Options()) for f in features
    ]
    predictions = written(answers, examples, tokenizer)
    assert [p.prediction for p in predictions] == [e.gold[0] for e in examples]
    assert [p.id for p in predictions] == ["first", "1", "2", "3"]
    for prediction in predictions:
        totals = chrf.stats(prediction.prediction, prediction.gold, lang="de")
        assert float(chrf.combine(sum_of([totals]))["chrf"]) == 100


def sum_of(rows):
    import numpy as np

    return np.array(rows, dtype=np.float64).sum(axis=0)


def test_gold_names_its_language_where_it_is_not_that_of_the_cell():
    there, back = built(
        {"source": "Good day.", "references": ["Guten Tag."], "source_lang": "en"},
        {"source": "\u4f60\u597d", "references": "Good day.", "target_lang": "en"},
        lang="zh",
    )
    assert (there.source_language, there.target_language) == ("English", "Chinese")
    assert (back.source_language, back.target_language) == ("Chinese", "English")
    assert (there.gold, back.gold) == (["Guten Tag."], ["Good day."])
    first, second = written([" Guten Tag.\n", "Good day."], [there, back])
    assert (first.prediction, first.gold) == ("Guten Tag.", ["Guten Tag."])
    assert second.gold == {"lang": "en", "texts": ["Good day."]}
    assert bleu.stats(second.prediction, second.gold, lang="zh") == bleu.stats("Good day.", ["Good day."], lang="en")


def test_empty_answers_are_noted_and_rows_without_references_have_no_gold():
    examples = built({"source": "a", "references": "b"}, {"source": "a", "references": None}, {"source": "a", "references": []})
    predictions = written([" \n", "b", "b"], examples)
    assert [(p.prediction, p.notes) for p in predictions] == [("", ("empty",)), ("b", ()), ("b", ())]
    assert [p.gold for p in predictions] == [["b"], None, None]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"source": None, "references": "b"}, "'source' has no value"),
        ({"source": ["a", 3], "references": "b"}, "a list of str"),
        ({"source": "a", "references": [None]}, "a list of str"),
        ({"source": "a", "references": 3}, "a list of str"),
        ({"source": "a", "references": "b", "target_lang": "german"}, "did you mean 'de'"),
    ],
)
def test_rows_that_do_not_fit_are_user_errors(row, message):
    with pytest.raises(UserError, match=message):
        built(row)


def test_a_bare_source_trains_nothing():
    with pytest.raises(UserError, match="'t' cannot be trained on its bare source"):
        generation.encode(built(*generation.SAMPLES), task=TASK, tokenizer=word_level(), options=generation.Options(), train=True)


def test_the_source_says_which_rows_are_the_same_item():
    assert [generation.texts(example) for example in built(*generation.SAMPLES)[:2]] == [
        ("Das ist neu.",),
        ("A title", "and a body"),
    ]


def test_the_prompt_route_asks_for_a_text_and_leaves_reading_it_to_the_type():
    spec = Catalog().task("translation_to_en").spec
    example = generation.build(
        {"source": "\u4f60\u597d", "references": "Hello", "target_lang": "en"}, task=spec, lang="zh", row_id="0"
    )
    tokenizer = KINDS["byte_bpe"]()
    route, options = PromptRoute(module=generation), generation.Options()
    (feature,) = route.encode([example], task=spec, tokenizer=tokenizer, options=options, train=False)
    text = "Translate from Chinese into English.\n\nChinese: \u4f60\u597d\nEnglish:"
    assert tokenizer.decode(feature.input_ids, skip_special_tokens=True) == text
    assert feature.generate == {"max_new_tokens": 256, "stop": ["\n"]}
    assert spec.asks == "generate"
    partial = route.reduce(feature, " Hello there ", task=spec, options=options)
    (prediction,) = route.decode([example], [feature], [partial], task=spec, options=options)
    assert (prediction.prediction, prediction.gold) == ("Hello there", {"lang": "en", "texts": ["Hello"]})
    assert route.oracle(feature, example, task=spec, options=options) == "Hello"
    (taught,) = route.encode([example], task=spec, tokenizer=tokenizer, options=options, train=True)
    answer = [label for label in taught.labels if label != -100]
    assert tokenizer.decode(answer, skip_special_tokens=True) == " Hello\n"


@pytest.mark.parametrize("model", ["oracle", "random", "constant"])
def test_fakes_write_from_the_command_line_to_the_board(model, tmp_path, capsys):
    (tmp_path / "mini_translation.yaml").write_text(yaml.safe_dump(MINI), encoding="utf-8")
    arguments = (
        f"--model {model} --tasks mini_translation --include_path {tmp_path} --limit 30 --output_path {tmp_path}/out --quiet"
    )
    assert run_eval.main(arguments.split()) == 0, capsys.readouterr().err
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    (score,) = board["task_scores"]
    assert {row["route"] for row in board["rows"]} == {"prompt zero-shot"}
    assert score["prompt"] == "prompt zero-shot"
    lines = [json.loads(line) for path in (tmp_path / "out").rglob("predictions.jsonl") for line in path.read_text().splitlines()]
    assert {line["lang"] for line in lines} == {"de", "ja"}
    assert len(lines) == 60
    answers = {line["prediction"] for line in lines}
    if model == "oracle":
        assert score["score"]["value"] == 100
        assert all(line["prediction"] == line["gold"][0] for line in lines)
    if model == "constant":
        assert answers == {CONSTANT_TEXT}
    if model == "random":
        assert len(answers) > 50
        assert score["score"]["value"] < 10


def test_an_encoder_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "mini_translation.yaml").write_text(yaml.safe_dump(MINI), encoding="utf-8")
    arguments = f"plan --model infoxlm-base --tasks mini_translation --include_path {tmp_path} --output_path {tmp_path}"
    assert run_eval.main(arguments.split()) == 2
    assert "'mini_translation' is asked in words, and infoxlm-base gives none" in capsys.readouterr().err


def test_the_shipped_tasks_translate_in_both_directions():
    catalog = Catalog()
    names = ["translation_from_en", "translation_to_en"]
    assert catalog.select("translation") == [*names, "translation_of_questions"]
    out, into = (catalog.task(name).spec for name in names)
    assert set(out.languages) == set(into.languages) == set(catalog.task("tatoeba").spec.languages)
    assert [use.metric for use in out.metrics] == ["chrf", "bleu"]


@pytest.mark.real
def test_real_pairs_are_turned_around(shared):
    place, catalog = DataPlace.resolve(str(shared / "hub")), Catalog()
    found = [
        load_examples(catalog.task(name).spec, split="test", langs=["ja"], place=place).examples
        for name in ("translation_from_en", "translation_to_en")
    ]
    for out, into in zip(*found, strict=True):
        assert (out.source_language, out.target_language, into.source_language, into.target_language) == (
            *("English", "Japanese"),
            *("Japanese", "English"),
        )
        assert out.gold == [into.source]
        assert into.gold == [out.source]
    assert len(found[0]) == 1000
    assert out.references() == out.gold
    assert into.references() == {"lang": "en", "texts": into.gold}
