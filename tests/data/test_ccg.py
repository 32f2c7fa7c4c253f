"""CCG: both file formats, categories as labels, categories that training has not seen, and where the files are looked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_tasks import write
from small_tokenizers import word_level

from harness.api.errors import MissingData, UserError
from harness.data.examples import Split, data_fingerprint, load_examples
from harness.data.label_sets import label_set
from harness.data.locations import DataPlace
from harness.data.readers import ccg
from harness.planning.catalog.catalog import Catalog
from harness.prediction.batching import collate
from harness.specs.portable import portable, revive
from harness.task_types import tagging

ITEMS = r"Mr.|NNP|N/N Vinken|NNP|N is|VBZ|(S[dcl]\NP)/NP chairman|NN|N .|.|."
AUTO = (
    r"(<T S[dcl] 0 2> (<T S[dcl] 1 2> (<T NP 0 1> (<T N 1 2> (<L N/N NNP NNP Mr. N_107/N_107>) (<L N NNP NNP Vinken N>) ) ) "
    r"(<T S[dcl]\NP 0 2> (<L (S[dcl]\NP)/NP VBZ VBZ is (S[dcl]\NP_112)/NP_113>) (<T NP 0 1> (<L N NN NN chairman N>) ) ) ) "
    r"(<L . . . . .>) )"
)
HEADER = "ID=wsj_0001.2 PARSER=GOLD NUMPARSE=1"
TAGS = ["N/N", "N", r"(S[dcl]\NP)/NP", "N", "."]


def put(folder: Path, **files: str) -> None:
    """Write files whose names have `__` for `/` and no suffix."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    return list(ccg.read({"rows": path}, lang="en", options={}))


def test_both_formats_give_the_same_rows(tmp_path: Path) -> None:
    put(tmp_path, items=f"{ITEMS}\n\n{ITEMS}\n", auto=f"{HEADER}\n{AUTO}\n{HEADER}\n{AUTO}\n")
    rows = read(tmp_path / "items")
    assert rows == read(tmp_path / "auto")
    assert len(rows) == 2
    assert rows[0] == {
        "tokens": ["Mr.", "Vinken", "is", "chairman", "."],
        "pos": ["NNP", "NNP", "VBZ", "NN", "."],
        "tags": TAGS,
    }


def test_items_are_parted_from_the_right_and_words_stay_as_they_are(tmp_path: Path) -> None:
    put(
        tmp_path,
        items="(|LRB|(N\\N)/N a|b|NN|N -LRB-|LRB|LRB #|#|N/N\n",
        auto="(<T NP 0 1> (<L N NN NN 1\\/2 N>) (<L , , , > ,>) )\n",
    )
    (row,) = read(tmp_path / "items")
    assert row["tokens"] == ["(", "a|b", "-LRB-", "#"]
    assert row["tags"] == ["(N\\N)/N", "N", "LRB", "N/N"]
    (row,) = read(tmp_path / "auto")
    assert list(zip(row["tokens"], row["tags"], strict=True)) == [("1\\/2", "N"), (">", ",")]


@pytest.mark.parametrize(
    "line", ["a|NN|N b", "a|NN|N b|NN", "a|NN| b|NN|N", "(<T NP 0 1> )", "(<L N NN NN a N>) (<L N NN NN N>)"]
)
def test_other_lines_are_an_error_with_their_place(tmp_path: Path, line: str) -> None:
    put(tmp_path, rows=f"{ITEMS}\n{line}\n")
    with pytest.raises(UserError, match=r"rows:2: no sentence with CCG categories"):
        read(tmp_path / "rows")


def test_a_folder_of_item_files_serves_the_shipped_task(tmp_path: Path) -> None:
    put(tmp_path, ccg__qus_train=f"{ITEMS}\n", ccg__more_train="a|DT|NP/N\n", ccg__dev="b|NN|N\n", ccg__test=f"{ITEMS}\n")
    spec, place = Catalog().task("ccg").spec, DataPlace(data_dir=tmp_path, offline=True)
    found: Sequence[Any] = load_examples(spec, split="train", langs=["en"], place=place).examples
    assert [example.tokens[0] for example in found] == ["a", "Mr."]  # all files that match, by name
    assert label_set(spec, place=place) == (r"(S[dcl]\NP)/NP", ".", "N", "N/N", "NP/N")
    before = data_fingerprint(spec, split="train", langs=["en"], place=place)
    put(tmp_path, ccg__zz_train="a|DT|X\n")
    assert data_fingerprint(spec, split="train", langs=["en"], place=place) != before
    assert label_set(spec, place=place)[-1] == "X"


def test_the_sections_of_ccgbank_serve_the_shipped_task(tmp_path: Path) -> None:
    for section in range(25):
        put(
            tmp_path,
            **{f"ccg__data__AUTO__{section:02d}__wsj_{section:02d}01.auto": f"{HEADER}\n(<L N NN NN s{section:02d} N>)\n"},
        )
    spec, place = Catalog().task("ccg").spec, DataPlace(data_dir=tmp_path, offline=True)
    splits: dict[Split, list[str]] = {"train": [f"s{n:02d}" for n in range(2, 22)], "validation": ["s00"], "test": ["s23"]}
    for split, words in splits.items():
        found: Sequence[Any] = load_examples(spec, split=split, langs=["en"], place=place).examples
        assert [example.tokens[0] for example in found] == words


def test_missing_files_say_where_to_put_them(tmp_path: Path) -> None:
    spec, place = Catalog().task("ccg").spec, DataPlace(data_dir=tmp_path, offline=True)
    for ask in (
        lambda: label_set(spec, place=place),
        lambda: load_examples(spec, split="train", langs=["en"], place=place),
    ):
        with pytest.raises(MissingData) as caught:
            ask()
        for part in (f"{tmp_path}/ccg/*train*", "ccg/data/AUTO/0[2-9]/*.auto", "--data_dir"):
            assert part in str(caught.value)


def test_labels_are_read_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, ccg__train=f"{ITEMS}\n")
    spec, place = Catalog().task("ccg").spec, DataPlace(data_dir=tmp_path, offline=True)
    asked, read = [], ccg.read
    monkeypatch.setattr(ccg, "read", lambda files, **how: asked.append(files) or read(files, **how))
    labels = label_set(spec, place=place)
    assert (len(labels), len(asked)) == (4, 1)
    assert label_set(spec, place=place) == labels
    assert len(asked) == 1
    put(tmp_path, ccg__train=f"{ITEMS}\nYes|UH|INTJ\n")
    more = label_set(spec, place=place)
    assert (set(more) - set(labels), len(asked)) == ({"INTJ"}, 2)
    assert label_set(spec.model_copy(update={"labels": labels}), place=place) == more
    mnli = Catalog().task("mnli").spec
    assert label_set(mnli, place=place) == mnli.labels


def test_categories_that_training_has_not_seen_are_wrong_and_in_no_loss() -> None:
    spec = Catalog().task("ccg").spec.model_copy(update={"labels": ("N", "N/N")})
    task = revive("ccg", portable(spec, split="test"))
    tokenizer = word_level(["a", "b", "c"])
    row = {"tokens": ["a", "b", "c"], "tags": ["N/N", "(N/N)/N", "N"]}
    both = (row["tags"], ["N", "N", "N"])
    sentences: Any = [tagging.build({**row, "tags": tags}, task=task, lang="en", row_id="0") for tags in both]
    options = tagging.Options()
    features = tagging.encode(sentences, task=task, tokenizer=tokenizer, options=options, train=True)
    assert [feature.labels for feature in features] == [[-100, 1, -100, 0, -100], [-100, 0, 0, 0, -100]]
    assert tagging.num_targets(features) == 2 + 3
    batch = collate(features, pad_id=1)
    assert batch.labels is not None
    assert int((batch.labels != -100).sum()) == 5
    outputs = [tagging.oracle(f, sentences[f.example], task=task, options=options) for f in features]
    partials = [tagging.reduce(f, o, task=task, options=options) for f, o in zip(features, outputs, strict=True)]
    one, two = tagging.decode(sentences, features, partials, task=task, options=options)
    assert (one.prediction, one.gold) == (["N/N", "N", "N"], row["tags"])
    assert (one.notes, two.notes) == (("tag_not_in_training",), ())


def test_other_tasks_still_refuse_a_tag_they_do_not_know() -> None:
    task = Catalog().task("panx").spec
    with pytest.raises(UserError, match="'B-PERS' is no label of task panx"):
        tagging.build({"tokens": ["a"], "tags": ["B-PERS"]}, task=task, lang="en", row_id="0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["A"]}, "give one of 'labels' and 'labels_from'"),
        (
            {"type": "classification", "fields": {"text": "a", "label": "b"}, "metrics": ["accuracy"]},
            "labels_from is for tagging",
        ),
        ({"data": {"test": {"files": {"rows": "a"}, "reader": "ccg"}}}, "labels_from: train needs training rows"),
        ({"labels_from": "test"}, "labels_from"),
        ({"data": {"train": {"files": {"rows": ["a", "{lnag}"]}, "reader": "ccg"}}}, "data.train.files.rows[1]"),
    ],
)
def test_what_a_file_says_of_its_labels_and_files_is_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    spec = {
        "task": "tags",
        "type": "tagging",
        "description": "d",
        "languages": ["en"],
        "data": {split: {"files": {"rows": "a"}, "reader": "ccg"} for split in ("train", "test")},
        "fields": {"tokens": "tokens", "tags": "tags"},
        "labels_from": "train",
        "metrics": ["token_accuracy"],
    }
    write(tmp_path, spec)
    assert Catalog([tmp_path]).check_all(under=tmp_path) == []
    write(tmp_path, {**spec, **change})
    (error,) = Catalog([tmp_path]).check_all(under=tmp_path)
    assert message in str(error)


def test_several_files_belong_to_readers_with_one_role(tmp_path: Path) -> None:
    put(tmp_path, **{"a.de": "x\n", "b.de": "y\n", "a.en": "x\n"})
    spec = Catalog().task("translation_ranking").spec
    source = spec.data.train[0].model_copy(update={"files": {"source": "*.de", "target": "a.en"}})
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"train": (source,)}), "train_languages": ("de",)})
    with pytest.raises(UserError, match=r"(?s)2 files for 'source'.*a.de, b.de"):
        load_examples(spec, split="train", langs=["de"], place=DataPlace(data_dir=tmp_path, offline=True))


@pytest.mark.real
def test_the_raw_files(shared: Path, tmp_path: Path) -> None:
    raw = shared / "raw" / "ccg"
    counts = {name: read(raw / name) for name in ("GENIA1000.staggedgold", "qus_train.staggedGold", "qus_test.staggedGold")}
    assert [len(rows) for rows in counts.values()] == [1000, 1328, 500]
    assert sum(len(row["tokens"]) for row in counts["qus_train.staggedGold"]) == 11161
    (tmp_path / "ccg").symlink_to(raw)
    spec, place = Catalog().task("ccg").spec, DataPlace(data_dir=tmp_path, offline=True)
    labels = label_set(spec, place=place)
    assert len(labels) == 144
    test = load_examples(spec.model_copy(update={"labels": labels}), split="test", langs=["en"], place=place)
    unseen = {tag for example in test.examples for tag in example.gold} - set(labels)
    assert len(test.examples) == 500
    assert unseen
