"""Answers beside their rows: joined with the data as the run had them, judged, ordered and told for every type of task."""

import json
import math
import shutil

import numpy as np
import pytest
from small_lm_eval_tasks import write_folder
from small_runs import Project
from written_runs import seal_again

import run_eval
from harness.api.errors import UserError
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.report.answers.answers import CONFIDENT, LOWEST, AnswerChoice, cell_answers
from harness.report.answers.asked_rows import CHANGED, RowPlace, model_files
from harness.report.record.gather import gather
from harness.task_types._label_scores import log_probabilities, log_probabilities_of

ALL = AnswerChoice(which="all", number=None)


def answers(root, *, folders=(), choice=ALL, trusted=False, **wanted):
    """The answers of the cells of a run that fit."""
    material = gather([root])
    rows = RowPlace(
        place=DataPlace.resolve(None, trust_task_code=trusted, allowed=list(folders)),
        task_folders=Catalog(folders).task_folders(),
        models=model_files(material),
    )
    cells = [cell for cell in material.cells if all(getattr(cell.key, name) == value for name, value in wanted.items())]
    assert cells
    return [cell_answers(cell, task=material.tasks[cell.key.task], roots=[root], rows=rows, choice=choice) for cell in cells]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of an encoder on tasks of four types, and one of a decoder that is asked in words."""
    folder = tmp_path_factory.mktemp("answers")
    project = Project.make(folder / "project", max_steps=3)
    words = ["--include_path", str(project.folder), "--recipe", "tiny", "--device", "cpu", "--quiet", "--output_path"]
    common = ["--tasks", "pairs,tags,quiz,nearest", "--languages", "de"]
    assert run_eval.main(["--model", str(project.model), *common, *words, str(folder / "heads")]) == 0
    asked = ["--tasks", "pairs,tags", "--languages", "de", "--route", "prompt", "--prompt_args", "num_fewshot=1"]
    assert run_eval.main(["--model", str(project.decoder), *asked, *words, str(folder / "words")]) == 0
    return project, folder


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Made-up answers to tasks of the generated world."""
    root = tmp_path_factory.mktemp("mini")
    tasks = "mini/bucc2018,mini/squad_v2,mini/hellaswag,mini/translation_to_en,mini/tatoeba"
    words = ["--model", "random", "--tasks", tasks, "--languages", "de,en", "--limit", "20", "--quiet"]
    assert run_eval.main([*words, "--output_path", str(root)]) == 0
    return root


def test_rows_stand_beside_their_answers_and_the_most_confident_mistake_comes_first(trained):
    project, folder = trained
    (found,) = answers(folder / "heads", folders=[project.folder], task="pairs")
    rows = [json.loads(line) for line in (project.folder / "pairs-test-de.jsonl").read_text().splitlines()]
    assert (found.num_examples, len(found.entries), found.note, found.order) == (30, 30, "", CONFIDENT)
    for entry in found.entries:
        row = rows[int(entry.id)]
        assert dict(entry.fields) == {"text": row["a"], "text_pair": row["b"]}
        assert entry.gold == (row["label"],)
        assert entry.is_right == (entry.prediction == entry.gold) == (entry.score == 100)
        assert set(entry.scores) == {"same", "other", "none"}
        assert max(entry.scores, key=entry.scores.get) == entry.prediction[0]
    sure = [entry.confidence for entry in found.entries]
    assert sure == sorted(sure, reverse=True)
    assert 1 / 3 < sure[-1] <= sure[0] < 1
    (wrong,) = answers(folder / "heads", folders=[project.folder], task="pairs", choice=AnswerChoice(number=4))
    assert wrong.entries == tuple(entry for entry in found.entries if not entry.is_right)[:4]
    assert wrong.num_wrong == sum(not entry.is_right for entry in found.entries) > 4
    (right,) = answers(folder / "heads", folders=[project.folder], task="pairs", choice=AnswerChoice(which="right", number=None))
    assert len(right.entries) == 30 - wrong.num_wrong


def test_answers_are_drawn_by_a_seed_the_same_ones_each_time(trained):
    project, folder = trained
    drawn = []
    for seed in (1, 1, 2):
        (found,) = answers(folder / "heads", folders=[project.folder], task="pairs", choice=AnswerChoice("all", 5, seed))
        drawn.append([entry.id for entry in found.entries])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5


def test_tags_spans_and_sentences_found_are_told(trained):
    project, folder = trained
    (tags,) = answers(folder / "heads", folders=[project.folder], task="tags")
    assert tags.order == LOWEST
    wrong = next(entry for entry in tags.entries if not entry.is_right)
    words, gold, said = (text.split() for text in (wrong.fields["tokens"], wrong.gold[0], wrong.prediction[0]))
    expected = [f"{n} {w}: {g}, predicted {p}" for n, (w, g, p) in enumerate(zip(words, gold, said), start=1) if g != p]
    assert list(wrong.differences) == expected != []
    (quiz,) = answers(folder / "heads", folders=[project.folder], task="quiz")
    for entry in quiz.entries:
        assert entry.gold[0] in entry.fields["context"]
        assert set(entry.fields) == {"question", "context"}
    scores = [entry.score for entry in quiz.entries]
    assert scores == sorted(scores)
    (nearest,) = answers(folder / "heads", folders=[project.folder], task="nearest")
    rows = [json.loads(line) for line in (project.folder / "nearest-test-de.jsonl").read_text().splitlines()]
    for entry in nearest.entries:
        number = int(entry.id)
        assert dict(entry.fields) == {"target": rows[number]["target"]}
        assert entry.gold == (f"{number}: {rows[number]['source']}",)
        found = int(entry.prediction[0].partition(":")[0])
        assert entry.prediction == (f"{found}: {rows[found]['source']}",)
        assert entry.is_right == (found == number)


def test_a_model_that_was_asked_in_words_is_shown_with_the_prompt_as_it_was_sent(trained):
    project, folder = trained
    (pairs,) = answers(folder / "words", folders=[project.folder], task="pairs")
    assert pairs.note == ""
    for entry in pairs.entries:
        (prompt,) = entry.prompts
        shot, _, question = prompt.rpartition("\n\n")
        assert question == entry.fields["text"]
        assert "the" in shot  # a solved example in English
        assert [text.strip() for text in entry.continuations] == ["sees", f"the {entry.fields['text_pair']}".strip(), "near"]
        assert entry.confidence == pytest.approx(max_share(entry.scores.values()))
    (tags,) = answers(folder / "words", folders=[project.folder], task="tags")
    assert all(entry.answer is not None and entry.continuations == () for entry in tags.entries)
    assert len([entry for entry in tags.entries if entry.prompts[0].endswith(entry.fields["tokens"])]) == 30


def max_share(values):
    return max(math.exp(value) for value in values) / sum(math.exp(value) for value in values)


def test_rows_that_have_changed_are_not_shown_as_what_was_asked(tmp_path, trained):
    project, folder = trained
    path = project.folder / "pairs-test-de.jsonl"
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b"same", b"none", 1))
        (found,) = answers(folder / "heads", folders=[project.folder], task="pairs", choice=AnswerChoice(number=2))
    finally:
        path.write_bytes(before)
    assert found.note == CHANGED
    assert [(dict(entry.fields), entry.prompts) for entry in found.entries] == [({}, ())] * 2
    assert all(entry.gold[0] in ("same", "other", "none") and entry.id for entry in found.entries)


def test_rows_that_are_nowhere_are_said_to_be(trained):
    _, folder = trained
    (found,) = answers(folder / "heads", folders=[], task="pairs", choice=AnswerChoice(number=1))
    assert "the rows cannot be read" in found.note
    assert found.entries[0].fields == {}


def test_every_other_type_is_told(mini):
    def one(task, lang):
        (found,) = answers(mini, task=task, lang=lang)
        assert found.note == ""
        assert found.entries
        return found.entries

    for entry in one("mini/hellaswag", "en"):
        options = entry.fields["options"].split("\n")
        assert entry.gold[0] in options
        assert entry.prediction[0] in options
        assert len(entry.scores) == len(options) == 4
    for entry in one("mini/squad_v2", "en"):
        assert "null_odds" not in entry.prediction[0]
        assert entry.is_right == (entry.score == 100)
    for entry in one("mini/translation_to_en", "de"):
        assert entry.prompts[0].endswith(f"German: {entry.fields['source']}\nEnglish:")
        assert 0 <= entry.score < 100
    mined = one("mini/bucc2018", "de")
    missed = [entry for entry in mined if any(text.startswith("missed: de-") for text in entry.differences)]
    assert missed
    assert all(" = en-" in entry.gold[0] for entry in missed)


def test_rows_of_lm_eval_are_told_with_what_was_scored(tmp_path):
    folder, root = write_folder(tmp_path / "theirs"), tmp_path / "runs"
    words = ["--include_path", str(folder), "--tasks", "nli_de,ask_*,quiz", "--model", "random", "--quiet"]
    assert run_eval.main([*words, "--trust_task_code", "--output_path", str(root)]) == 0
    (nli,) = answers(root, folders=[folder], task="lm_eval/nli_de")
    assert len(nli.entries) == 3
    for entry in nli.entries:
        premise, hypothesis = entry.fields["premise"], entry.fields["hypothesis"]
        assert [text.strip() for text in entry.continuations] == [
            f"{premise}, richtig? {word}, {hypothesis}".strip() for word in ("Ja", "Nein")
        ]
        assert entry.is_right == (entry.score == 100)
        assert len(entry.scores) == 2
    (ask,) = answers(root, folders=[folder], task="lm_eval/ask_deu_Latn")
    assert [len(entry.prompts) for entry in ask.entries] == [1, 1]
    (quiz,) = answers(root, folders=[folder], task="lm_eval/quiz")
    assert "trust" in quiz.note
    assert all(entry.fields == {} for entry in quiz.entries)
    (quiz,) = answers(root, folders=[folder], task="lm_eval/quiz", trusted=True)
    assert quiz.note == ""
    assert all(entry.fields and entry.prompts for entry in quiz.entries)


def test_entries_are_plain_json(mini):
    for found in answers(mini, task="mini/bucc2018", lang="de"):
        assert json.loads(json.dumps(found.json()))["entries"][0]["id"] == found.entries[0].id


def test_log_probabilities_add_up_and_say_nothing_of_what_is_no_number():
    found = log_probabilities([2.0, 0.0, -1.0])
    assert sum(math.exp(value) for value in found) == pytest.approx(1, abs=1e-4)
    assert found[0] - found[1] == pytest.approx(2, abs=1e-4)
    for unknown in (math.nan, math.inf, -math.inf):
        assert log_probabilities([1.0, unknown]) is None


def test_log_probabilities_of_many_rows_are_digit_for_digit_those_of_each():
    rng = np.random.default_rng(5)
    for num_labels in (1, 2, 3, 7, 8, 9, 40, 300):
        logits = (20 * rng.normal(size=(50, num_labels))).astype(np.float32)
        logits[3, 0] = math.nan
        found = log_probabilities_of(logits)
        assert found == [log_probabilities(row) for row in logits]
        assert [number for number, one in enumerate(found) if one is None] == [3]
        wide = logits[4].astype(np.float64) - logits[4].max()
        assert found[4] == tuple(round(float(one), 5) for one in wide - np.log(np.exp(wide).sum()))


CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def test_prompts_in_a_chat_template_are_shown_while_the_template_is_the_same(tmp_path):
    project = Project.make(tmp_path / "project", tasks="pairs")
    template = project.decoder / "chat_template.jinja"
    template.write_text(CHAT)
    asked = ["--model", str(project.decoder), "--tasks", "pairs", "--languages", "de", "--limit", "4", "--route", "prompt"]
    words = ["--prompt_args", "chat_template=true", "--include_path", str(project.folder), "--device", "cpu", "--quiet"]
    assert run_eval.main([*asked, *words, "--output_path", str(tmp_path / "runs")]) == 0
    (found,) = answers(tmp_path / "runs", folders=[project.folder], task="pairs")
    assert (len(found.entries), found.note) == (4, "")
    for entry in found.entries:
        assert entry.prompts == (f"<user>{entry.fields['text']}<assistant>",)
    template.write_text(CHAT.replace("<{{", "[{{"))
    (found,) = answers(tmp_path / "runs", folders=[project.folder], task="pairs")
    assert "the chat template that the model was asked with is not here any more" in found.note
    assert [(entry.prompts, "text" in entry.fields) for entry in found.entries] == [((), True)] * 4


def test_predictions_that_do_not_fit_their_task_are_refused_in_words(trained, tmp_path):
    project, folder = trained
    root = tmp_path / "heads"
    shutil.copytree(folder / "heads", root)
    (predict,) = root.glob("predict/*-tags-de-*")
    path = predict / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "prediction": 5}) + "\n" for line in lines))
    seal_again(predict)
    with pytest.raises(UserError, match="predictions that do not fit their task"):
        answers(root, folders=[project.folder], task="tags")
    path.write_text("".join(json.dumps({**line, "notes": 5}) + "\n" for line in lines))
    seal_again(predict)
    with pytest.raises(UserError, match="not a prediction"):
        answers(root, folders=[project.folder], task="tags")
