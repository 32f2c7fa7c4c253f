"""multiple_choice: encoding, trimming, loss and decoding by hand, the shipped tasks on rows as the hub has them, learning."""

import dataclasses
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_models import make_folder
from small_runs import PLACES, Project
from small_tokenizers import word_level, word_piece

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.prediction.batching import collate
from harness.prediction.fakes import load_fake
from harness.scoring.metrics import accuracy
from harness.specs.task import TaskSpec
from harness.task_types import multiple_choice
from harness.task_types.tokens.sequences import longer_from_start
from models.encoder import load

OPTIONS = multiple_choice.Options()
TASK = TaskSpec(
    task="t",
    type="multiple_choice",
    description="d",
    fields={"prompt": "p", "options": "o", "label": "l"},
    labels=("A", "B", "C", "D"),
    label_values={"1": "A", "": "drop"},
)


def built(rows, task=TASK):
    examples = [multiple_choice.build(row, task=task, lang="en", row_id=str(number)) for number, row in enumerate(rows)]
    return [example for example in examples if example is not None]


def encoded(examples, *, tokenizer, task=TASK, train=True, **options):
    options = multiple_choice.Options(**options)
    return multiple_choice.encode(examples, task=task, tokenizer=tokenizer, options=options, train=train)


def answers(examples, features, partials, task=TASK):
    return multiple_choice.decode(examples, features, partials, task=task, options=OPTIONS)


def test_rows_become_examples():
    rows = [
        {"id": "x", "prompt": "p", "options": ["a", "b"], "label": "B"},
        {"prompt": "p", "options": ["a"], "label": "1"},
        {"prompt": "p", "options": ["a", "b"], "label": ""},
        {"prompt": "p", "options": ["a", "b"], "label": None},
    ]
    assert [(e.id, e.options, e.gold) for e in built(rows)] == [
        ("x", ("a", "b"), "B"),
        ("1", ("a",), "A"),
        ("3", ("a", "b"), None),
    ]
    one, other = built([{"prompt": "p", "options": ["b", "a"]}, {"prompt": "p", "options": ["a", "b"], "label": "A"}])
    assert multiple_choice.texts(one) == multiple_choice.texts(other) == ("p", "a", "b")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "options": list("abcde"), "label": "A"}, r"expected: 1 to 4(.|\n)*found: 5 options"),
        ({"prompt": "p", "options": [], "label": "A"}, "found: 0 options"),
        ({"prompt": "p", "options": ["a", "b"], "label": "C"}, r"there is no option 'C'(.|\n)*expected: A to B"),
        ({"prompt": "p", "options": ["a", "b"], "label": "E"}, "'E' is no label"),
        ({"prompt": "p", "options": ["a", None], "label": "A"}, "a list of str"),
        ({"prompt": "p", "options": "ab", "label": "A"}, "a list of str"),
        ({"prompt": None, "options": ["a"], "label": "A"}, "'prompt' has no value"),
    ],
)
def test_rows_that_do_not_fit_are_user_errors(row, message):
    with pytest.raises(UserError, match=message):
        built([row])


def test_each_option_is_encoded_after_the_prompt():
    examples = built(
        [
            {"prompt": "who ran", "options": ["cat", "the dog", ""], "label": "B"},
            {"prompt": "who", "options": ["cat"], "label": None},
        ]
    )
    features = encoded(examples, tokenizer=word_level(["who", "ran", "the", "cat", "dog"]))
    assert [f.input_ids for f in features] == [
        [0, 5, 6, 2, 2, 8, 2],
        [0, 5, 6, 2, 2, 7, 9, 2],
        [0, 5, 6, 2, 2, 2],
        [0, 5, 2, 2, 8, 2],
    ]
    assert [(f.example, f.part, f.labels, f.info, f.type_ids) for f in features] == [
        (0, 0, 1, 3, None),
        (0, 1, 1, 3, None),
        (0, 2, 1, 3, None),
        (1, 0, None, 1, None),
    ]
    assert multiple_choice.num_targets(features) == 1
    assert dataclasses.astuple(multiple_choice.head(TASK, OPTIONS)) == ("choice", 1)
    (first, *_) = encoded(examples, tokenizer=word_piece(["who", "ran", "the", "cat", "dog"]))
    assert (first.input_ids, first.type_ids) == ([0, 5, 6, 2, 8, 2], [0, 0, 0, 0, 1, 1])


def test_the_longer_side_loses_its_beginning():
    tokenizer = word_level(list("abcdefghi"))  # ids 5 to 13
    rows = [{"prompt": "a b c d e", "options": ["f", "f g h i", "f g h i f g h"], "label": "A"}]
    features = encoded(built(rows), tokenizer=tokenizer, max_length=9)  # five tokens of text
    assert [f.input_ids for f in features] == [
        [0, 6, 7, 8, 9, 2, 2, 10, 2],
        [0, 8, 9, 2, 2, 11, 12, 13, 2],
        [0, 8, 9, 2, 2, 10, 11, 12, 2],
    ]
    assert [f.num_truncated for f in features] == [1, 4, 7]


def test_lengths_are_those_of_cutting_one_token_after_another():
    for first in range(12):
        for second in range(12):
            for left in range(2, 14):
                lengths = [first, second]
                while sum(lengths) > left:
                    lengths[lengths.index(max(lengths))] -= 1
                assert longer_from_start(first, second, left) == tuple(lengths)


def test_the_loss_is_the_cross_entropy_over_the_options_of_each_example():
    rows = [
        {"prompt": "p", "options": list("abcd"), "label": "C"},
        {"prompt": "p", "options": list("ab"), "label": "A"},
        {"prompt": "p", "options": list("abc"), "label": None},
        {"prompt": "p", "options": ["a"], "label": "A"},
    ]
    features = encoded(built(rows), tokenizer=word_level(["p", *"abcd"]))
    logits = torch.randn(10, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    expected = -(logits[:4].log_softmax(0)[2] + logits[4:6].log_softmax(0)[0])
    order = list(range(10))
    random.Random(2).shuffle(order)  # a batch may hold them in any order
    outputs = logits[order].float().requires_grad_()
    found = multiple_choice.loss(outputs, collate([features[i] for i in order], pad_id=1), OPTIONS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(found, outputs)
    shares = torch.cat([logits[:4].softmax(0), logits[4:6].softmax(0), torch.zeros(4)])
    shares[[2, 4]] -= 1
    torch.testing.assert_close(gradient, shares[order].float())
    half = multiple_choice.loss(outputs.bfloat16(), collate([features[i] for i in order], pad_id=1), OPTIONS)
    assert half.dtype == torch.float32
    assert multiple_choice.num_targets(features) == 3


def test_options_of_an_example_in_two_batches_are_no_loss():
    features = encoded(built([{"prompt": "p", "options": list("abc"), "label": "A"}]), tokenizer=word_level(["p", *"abc"]))
    with pytest.raises(AssertionError, match="taken apart"):
        multiple_choice.loss(torch.zeros(2), collate(features[:2], pad_id=1), OPTIONS)


def test_the_first_of_the_best_options_is_the_answer():
    examples = built([{"id": "a", "prompt": "p", "options": list("abcd"), "label": "B"}, {"prompt": "p", "options": list("ab")}])
    features = encoded(examples, tokenizer=word_level(["p", *"abcd"]), train=False)
    outputs = [np.array(value, dtype=np.float32) for value in (-3, 0.5, 0.5, 0.1, -1, -2)]
    partials = [
        multiple_choice.reduce(f, output, task=TASK, options=OPTIONS) for f, output in zip(features, outputs, strict=True)
    ]
    assert partials == json.loads(json.dumps(partials))
    order = [5, 2, 0, 4, 1, 3]
    found = answers(examples, [features[i] for i in order], [partials[i] for i in order])
    assert [(p.id, p.prediction, p.gold) for p in found] == [("a", "B", "B"), ("1", "A", None)]


# --- the shipped tasks -----------------------------------------------------------------------------------------------


def hellaswag_row(number):
    ends = [f"end {number} {k}" for k in range(4)]
    starts = {"ctx_a": f"He sits {number}.", "ctx_b": "he" if number % 2 else "", "ctx": f"He sits {number}. he"}
    return {"ind": number, "activity_label": "x", **starts, "endings": ends, "source_id": "y", "label": str(number * 7 % 4)}


def cosmosqa_row(number):
    row = {"id": f"i{number}##", "context": f"It rained {number}.", "question": "Why?", "label": number * 7 % 4}
    return row | {f"answer{k}": f"because {number} {k}" for k in range(4)}


def commonsenseqa_row(number):
    choices = {"label": list("ABCDE"), "text": [f"thing {number} {k}" for k in range(5)]}
    return {
        "id": f"i{number}",
        "question": f"What {number}?",
        "question_concept": "x",
        "choices": choices,
        "answerKey": "ABCDE"[number * 7 % 5],
    }


HUB = {
    "hellaswag": ("Rowan/hellaswag/data", hellaswag_row, {"label": ""}),
    "cosmosqa": ("allenai/cosmos_qa/default", cosmosqa_row, {"label": -1}),
    "commonsenseqa": ("tau/commonsense_qa/data", commonsenseqa_row, {"answerKey": ""}),
}
FIRST = {
    "hellaswag": ("He sits 1.", ("he end 1 0", "he end 1 1", "he end 1 2", "he end 1 3"), "3"),
    "cosmosqa": ("It rained 1. Why?", ("because 1 0", "because 1 1", "because 1 2", "because 1 3"), "3"),
    "commonsenseqa": ("What 1?", ("thing 1 0", "thing 1 1", "thing 1 2", "thing 1 3", "thing 1 4"), "C"),
}


def write_mirror(root, name, count):
    """Files of a dataset in the layout and with the columns of its repository; the test rows have no label."""
    folder, row, unlabelled = HUB[name]
    (root / folder).mkdir(parents=True)
    for split in ("train", "validation", "test"):
        rows = [row(number) | (unlabelled if split == "test" else {}) for number in range(count)]
        pq.write_table(pa.Table.from_pylist(rows), root / folder / f"{split}-00000-of-00001.parquet")
    return DataPlace(data_dir=root, offline=True)


def score(kind, examples, task):
    """Accuracy of a fake."""
    fake = load_fake(kind, tokenizer=None)
    features = encoded(examples, tokenizer=fake.tokenizer, task=task, train=False)
    outputs = [fake.answer(f, examples[f.example], module=multiple_choice, task=task, options=OPTIONS) for f in features]
    partials = [
        multiple_choice.reduce(f, output, task=task, options=OPTIONS) for f, output in zip(features, outputs, strict=True)
    ]
    found = answers(examples, features, partials, task=task)
    totals = np.sum([accuracy.stats(p.prediction, p.gold, lang="en") for p in found], axis=0)
    return float(accuracy.combine(totals)["accuracy"])


@pytest.mark.parametrize("name", HUB)
def test_shipped_tasks_read_rows_as_the_hub_has_them(name, tmp_path):
    task, place = Catalog().task(name).spec, write_mirror(tmp_path, name, 240)
    for split in ("train", "validation"):
        found = load_examples(task, split=split, langs=["en"], place=place)
        assert (len(found.examples), found.num_dropped) == (240, 0)
        example = found.examples[1]
        assert (example.prompt, example.options, example.gold) == FIRST[name]
    assert not task.data.test
    (source,) = task.data.validation
    unlabelled = task.model_copy(
        update={"data": task.data.model_copy(update={"test": (source.model_copy(update={"split": "test"}),)})}
    )
    with pytest.raises(UserError, match="no row is left"):
        load_examples(unlabelled, split="test", langs=["en"], place=place)
    assert score("oracle", found.examples, task) == 100
    assert abs(score("random", found.examples, task) - task.chance) < 6
    assert task.chance == 100 / len(task.labels)
    assert task.metrics[0].metric == "accuracy"


def test_how_to_articles_of_hellaswag_have_no_second_beginning(tmp_path):
    found = load_examples(
        Catalog().task("hellaswag").spec, split="train", langs=["en"], place=write_mirror(tmp_path, "hellaswag", 2)
    )
    assert found.examples[0].options[0] == " end 0 0"


PAPER = {
    "anli_plus": (24, 2),
    "mnli": (24, 2),
    "qqp": (24, 3),
    "squad_v2": (8, 3),
    "squad_v1": (8, 3),
    "hellaswag": (24, 7),
    "ccg": (24, 15),
    "cosmosqa": (4, 15),
    "commonsenseqa": (4, 10),
}
"Batch size and epochs of the nine intermediate tasks in Phang et al. 2020, appendix A (recalled)."


def test_the_papers_recipe_says_how_each_of_the_nine_intermediate_tasks_is_trained():
    recipe = Catalog().recipe("phang2020").spec
    assert Catalog().select("intermediate") == list(PAPER)
    for name, (batch_size, epochs) in PAPER.items():
        assert recipe.tasks[f"intermediate/{name}"] == {"batch_size": batch_size, "epochs": epochs}
        assert recipe.provenance[f"tasks.intermediate/{name}"] == "[M, moderate] appendix A"


REAL = {"hellaswag": (8000, 2042), "commonsenseqa": (9741, 1221)}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_shipped_tasks_on_real_rows(name, shared):
    task, place = Catalog().task(name).spec, DataPlace(data_dir=shared / "hub", offline=True)
    sets = [load_examples(task, split=split, langs=["en"], place=place) for split in ("train", "validation")]
    assert tuple(len(found.examples) for found in sets) == REAL[name]
    examples = sets[1].examples[:400]
    assert all(option.strip() for example in examples for option in example.options)
    assert score("oracle", examples, task) == 100
    assert abs(score("random", examples, task) - task.chance) < 6


# --- whole runs ------------------------------------------------------------------------------------------------------


def write_picks(folder):
    """A task of two to four options; the right one is the place that the prompt ends with."""
    spec = {
        "task": "picks",
        "type": "multiple_choice",
        "description": "Which place?",
        "languages": ["en", "de"],
        "data": {
            split: {"files": {"rows": f"picks-{split}-{{lang}}.jsonl"}, "reader": "jsonl"}
            for split in ("train", "validation", "test")
        },
        "fields": {"prompt": "p", "options": {"template": "the {{ item }}", "each": "o"}, "label": "l"},
        "labels": ["A", "B", "C", "D"],
        "metrics": ["accuracy"],
        "chance": 36.1,
    }
    (folder / "picks.yaml").write_text(json.dumps(spec))
    for split, lang in [("train", "en"), ("validation", "en"), ("test", "en"), ("test", "de")]:
        rng, lines = random.Random(split), []
        for number in range(30):
            shown = rng.sample(PLACES, 2 + number % 3)
            right = rng.randrange(len(shown))
            lines.append(json.dumps({"p": f"the cat near the {shown[right]}", "o": shown, "l": "ABCD"[right]}))
        (folder / f"picks-{split}-{lang}.jsonl").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    made = Project.make(folder, tasks="pairs", dropout=0.0, adam_epsilon=1e-3, max_steps=4, eval_every=2)
    write_picks(folder)
    return made


def test_a_run_trains_selects_predicts_and_scores(project, tmp_path):
    assert not project.run(tmp_path, tasks="picks").failed
    (trained,) = tmp_path.glob("train/*/done.json")
    assert json.loads(trained.read_text())["selection"] == "English validation"
    shares = []
    for path in tmp_path.glob("predict/*/predictions.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert {line["prediction"] for line in lines} <= set("ABCD") == {line["gold"] for line in lines}
        shares.append(100 * sum(line["prediction"] == line["gold"] for line in lines) / 30)
    scores = [json.loads(path.read_text())["score"]["value"] for path in tmp_path.glob("score/*/score.json")]
    assert len(scores) == 2
    assert sorted(scores) == pytest.approx(sorted(shares))


def test_options_stay_together_however_a_batch_is_cut(project, tmp_path):
    losses = []
    for tokens in (None, 1):
        root = tmp_path / str(tokens)
        assert not project.with_machine(batch_tokens=tokens).run(root, tasks="picks", languages=("de",)).failed
        (log,) = root.glob("train/*/log.jsonl")
        losses.append([line["loss"] for line in map(json.loads, log.read_text().splitlines()) if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)


# --- learning --------------------------------------------------------------------------------------------------------


def test_a_small_model_learns_which_option_is_right(tmp_path):
    """The right option speaks of the cat: it stands at any place, among any number of others."""
    others, rng, rows = ["old dog", "red house", "mat by the sea", ""], random.Random(3), []
    for number in range(16):
        shown = rng.sample(others, 1 + number % 3)
        right = rng.randrange(len(shown) + 1)
        shown.insert(right, "a cat ran")
        rows.append({"prompt": "who sat on the mat", "options": shown, "label": "ABCD"[right]})
    assert {row["label"] for row in rows} == set("ABCD")
    examples = built(rows)
    torch.manual_seed(0)
    model = load(
        ModelSource(path=make_folder("xlm-roberta", tmp_path), dtype="float32"),
        heads={"pick": multiple_choice.head(TASK, OPTIONS)},
        device="cpu",
        seed=1,
        inference=False,
    )
    features = encoded(examples, tokenizer=model.tokenizer)
    batch = collate(features, pad_id=model.tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = multiple_choice.loss(model.module(batch, head="pick"), batch, OPTIONS) / multiple_choice.num_targets(features)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    outputs = model.forward_head(batch, "pick")
    partials = [multiple_choice.reduce(f, o, task=TASK, options=OPTIONS) for f, o in zip(features, outputs, strict=True)]
    assert [p.prediction for p in answers(examples, features, partials)] == [e.gold for e in examples]
    assert losses[-1] < 0.05 < 0.9 < losses[0]
