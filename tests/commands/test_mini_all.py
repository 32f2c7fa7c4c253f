"""A miniature of each shipped task: its YAML on rows of the miniature world, and the fakes in every language."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import run_eval
from harness.data.examples import load_examples
from harness.data.label_sets import label_set
from harness.data.locations import DataPlace
from harness.data.rows import filled
from harness.data.worlds import mini
from harness.data.worlds.miniature.data_sets import DATA_SETS
from harness.data.worlds.miniature.language import world
from harness.planning.catalog.catalog import Catalog
from harness.specs.task import TaskSpec

CATALOG = Catalog()
TARGETS, INTERMEDIATE = CATALOG.group_tasks("xtreme"), CATALOG.group_tasks("intermediate")
EIGHTEEN = [*TARGETS, *INTERMEDIATE]
NOT_MIRRORED = ("pawsx", "udpos", "mlqa", "ccg", "cosmosqa")
"Tasks whose rows are files, or that the mirror of real data lacks."


def spec_of(name: str) -> TaskSpec:
    return CATALOG.task(name).spec


@pytest.mark.parametrize("name", EIGHTEEN)
def test_a_miniature_has_the_shape_of_its_task(name: str) -> None:
    own, small = spec_of(name), spec_of(f"mini/{name}")
    for key in ("type", "fields", "labels", "labels_from", "label_values", "metrics", "score", "selection", "language_alpha"):
        assert getattr(small, key) == getattr(own, key), key
    for key in ("train_languages", "translated_languages"):
        assert getattr(small, key) == getattr(own, key), key
    assert small.languages == (own.languages or ("en",))
    assert small.train_on == (own.train_on and f"mini/{own.train_on}")
    assert small.same_task == tuple(f"mini/{other}" for other in own.same_task)
    assert {key: value for key, value in own.options.items() if isinstance(value, bool)}.items() <= small.options.items()
    for split in ("train", "validation", "test", "translated"):
        theirs, ours = getattr(own.data, split), getattr(small.data, split)
        assert len(ours) == len(theirs) or (split == "test" and not theirs), split
        assert all(source.world == "mini" and not source.hub and not source.files for source in ours)
        assert [source.where for source in ours if theirs] == [source.where for source in theirs]
    assert small.data.test
    assert small.licence == "that of this project"
    assert small.notes[0].startswith("Synthetic")
    assert not small.homepage
    assert not small.obtain


def test_the_group_of_all_miniatures_is_complete() -> None:
    everything = [name for name in CATALOG.names("task") if name.startswith("mini/")]
    scored = {name for name in everything if spec_of(name).data.test}
    assert set(CATALOG.group_tasks("mini_all")) == scored >= {f"mini/{name}" for name in EIGHTEEN}
    assert CATALOG.group_tasks("mini_xtreme") == [f"mini/{name}" for name in TARGETS]
    assert CATALOG.group_tasks("mini_intermediate") == [f"mini/{name}" for name in INTERMEDIATE]
    assert set(everything) - scored == {"mini/mlm", "mini/mlm_40", "mini/ranking"}
    assert CATALOG.group_tasks("mini") == ["mini/nli", "mini/tagging", "mini/retrieval"]


def kinds(value: object) -> object:
    """The Python types of a value and what it holds."""
    if isinstance(value, dict):
        return {key: kinds(inner) for key, inner in value.items()}
    return [kinds(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name in EIGHTEEN if name not in NOT_MIRRORED])
def test_columns_and_types_are_those_of_the_hub(name: str, shared: Path) -> None:
    own, place, compared = spec_of(name), DataPlace(data_dir=shared / "hub", offline=True), 0
    for split in ("train", "validation", "test"):
        for theirs, ours in zip(getattr(own.data, split), getattr(spec_of(f"mini/{name}").data, split), strict=False):
            for lang in own.train_languages if split == "train" else own.languages or ("en",):
                source = filled(theirs, lang)
                found = place.mirror_files(source.hub, config=source.config, split=source.split).paths if source.hub else ()
                for path in found[:1]:
                    real = next(pq.ParquetFile(path).iter_batches(batch_size=1)).to_pylist()[0]
                    made = mini.rows(config=ours.config, split=ours.split, lang=lang)[0]
                    assert {column: kinds(real[column]) for column in made} == kinds(made)
                    compared += 1
    assert compared


def rows_of(config: str, split: str, lang: str = "en") -> list[dict]:
    return mini.rows(config=config, split=split, lang=lang)


@pytest.mark.parametrize("name", EIGHTEEN)
def test_examples_are_parallel_across_languages_where_those_of_the_task_are(name: str) -> None:
    spec = spec_of(f"mini/{name}")
    if name in ("tydiqa", "bucc2018"):  # questions and collections of their own
        pytest.skip("not parallel")
    langs = [spec.languages[0], spec.languages[-1]]
    first, last = (
        load_examples(spec, split="test", langs=[lang], place=DataPlace(data_dir=None, offline=True)).examples for lang in langs
    )
    assert [example.id for example in first] == [example.id for example in last]
    if spec.type == "classification":
        assert [example.gold for example in first] == [example.gold for example in last]


def test_translated_rows_are_the_english_ones_in_another_language() -> None:
    for config in ("mnli", "qqp", "hellaswag"):
        english, german = rows_of(config, "train"), rows_of(config, "train", "de")
        assert [row["label"] for row in english] == [row["label"] for row in german]
        assert not {str(row) for row in english} & {str(row) for row in german}


def test_no_sentence_that_is_scored_occurs_in_training_rows() -> None:
    columns = {
        "anli": ("premise", "hypothesis"),
        "commonsenseqa": ("question",),
        "hellaswag": ("ctx_a",),
        "mnli": ("premise", "hypothesis"),
        "pawsx": ("sentence1", "sentence2"),
        "qqp": ("question1", "question2"),
        "raw_text": ("text",),
        "snli": ("premise", "hypothesis"),
        "tatoeba": ("target_sentence",),
        "xnli": ("premise", "hypothesis"),
    }
    found: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for config, names in columns.items():
        for split, about in DATA_SETS[config].splits.items():
            found[about.of].update(row[name].strip() for row in rows_of(config, split) for name in names)
    assert min(map(len, found.values())) > 400
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]


def test_a_passage_answers_every_question_that_has_an_answer() -> None:
    for lang in ("en", "ja", "ar", "tr"):
        for row in rows_of("squad", "validation", lang):
            (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
            assert row["context"][start : start + len(answer)] == answer
            assert row["context"].count(answer) == 1
    answered = [bool(row["answers"]["text"]) for row in rows_of("squad_v2", "validation")]
    assert sum(answered) * 2 == len(answered)
    assert {len(row["answers"]["text"][0].split()) for row in rows_of("squad", "validation")} == {1, 2}
    stand = [
        row["context"].startswith(row["answers"]["text"][0], row["answers"]["answer_start"][0]) for row in rows_of("mlqa", "test")
    ]
    assert (len(stand), stand.count(False)) == (100, 5), "offsets of some rows count spaces that are gone"


def test_the_right_option_stands_everywhere_alike_often() -> None:
    for config, key, options in (("hellaswag", "label", 4), ("cosmosqa", "label", 4), ("commonsenseqa", "answerKey", 5)):
        labels = Counter(str(row[key]) for row in rows_of(config, "test"))
        hidden = labels.pop("", 0) + labels.pop("-1", 0)
        assert (len(labels), hidden) == (options, 11)
        assert max(labels.values()) - min(labels.values()) <= 2


def test_paws_pairs_have_the_same_names_whatever_their_label() -> None:
    names = set(world().concepts["given_name"])
    rows = rows_of("pawsx", "test")
    assert all(set(row["sentence1"].split()) & names == set(row["sentence2"].split()) & names for row in rows)
    assert [row["sentence1"].split()[0] == row["sentence2"].split()[0] for row in rows] == [bool(row["label"]) for row in rows]


def test_collections_have_pairs_and_sentences_without_one() -> None:
    for split, form in (("test", str), ("dev", list)):
        (row,) = rows_of("bucc2018", split, "de")
        assert {type(item) for side in ("sentence1", "sentence2") for item in row[side]} == {form}
        sizes = len(row["sentence1"]), len(row["sentence2"]), len(row["gold"])
        assert sizes == ((150, 150, 100) if split == "test" else (120, 120, 80))
        if split == "test":
            assert all(len(set(row[side])) == len(row[side]) for side in ("sentence1", "sentence2"))
            assert all(type(end) is int for pair in row["gold"] for end in pair)


def test_only_validation_rows_of_ccg_have_a_category_without_training_rows() -> None:
    place, spec = DataPlace(data_dir=None, offline=True), spec_of("mini/ccg")
    known = set(label_set(spec, place=place))
    tags = {split: {tag for row in rows_of("ccg", split) for tag in row["tags"]} for split in ("validation", "test")}
    assert len(known) == 6
    assert tags["test"] == known
    assert tags["validation"] - known == {r"S[wq]/(S[dcl]\NP)"}


def test_raw_text_is_scarce_in_most_languages() -> None:
    counts = [len(rows_of("raw_text", "train", lang)) for lang in world().languages]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (600, 15)
    assert spec_of("mini/mlm_40").language_alpha == 0.3
    assert set(spec_of("mini/mlm_40").train_languages) == set(world().languages)


def run(arguments: str, root: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    """The board of a run through the command line."""
    code = run_eval.main([*arguments.split(), "--output_path", str(root), "--device", "cpu", "--quiet"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads((root / "leaderboard.json").read_text())


@pytest.mark.slow
def test_the_oracle_scores_100_on_every_miniature_in_every_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = run("--model oracle --tasks mini_all --limit 4", tmp_path, capsys)
    found = {(row["task"], row["lang"]): row["score"]["value"] for row in board["rows"]}
    assert set(found) == {(name, lang) for name in CATALOG.group_tasks("mini_all") for lang in spec_of(name).languages}
    assert {cell: value for cell, value in found.items() if value != 100} == {}
    (mined,) = {tuple(row["counts"]["notes"]) for row in board["rows"] if row["task"] == "mini/bucc2018"}
    assert mined == ("threshold_dev",)


@pytest.mark.slow
def test_random_answers_score_near_the_stated_chance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = "mini_xtreme,mini_intermediate"
    board = run(f"--model random --tasks {tasks} --languages en,de,ru,fi,sw,zh", tmp_path, capsys)
    found = {row["task"]: row["score"] for row in board["task_scores"]}
    assert len(found) == 18
    for task, score in found.items():
        width = (score["high"] - score["low"]) / 2
        assert abs(score["value"] - spec_of(task).chance) <= 1.3 * width + 1, task


def test_the_same_answer_everywhere_does_not_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = run("--model constant --tasks mini_xtreme,mini_intermediate --languages en,de --limit 20", tmp_path, capsys)
    assert {row["task"] for row in board["rows"]} == {f"mini/{name}" for name in EIGHTEEN}
    assert all(0 <= row["score"]["value"] < 100 for row in board["rows"])
