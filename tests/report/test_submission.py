"""XTREME's submission files, scored digit for digit as its script does."""

import importlib.metadata
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from small_submission import NUM_ROWS, OFFICIAL, OFFICIAL_OVERALL, write_submission

import run_eval
from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.planning.catalog.catalog import Catalog
from harness.report.submission.files import sentences_text
from harness.report.submission.score import score_submission
from harness.report.submission.tag_files import SAMPLE, read_sentences
from harness.report.submission.xtreme_format import CATEGORIES, TASKS

# --- the layout


def test_the_layout_has_the_languages_of_the_benchmark() -> None:
    numbers = {name: len(task.languages) for name, task in TASKS.items()}
    assert numbers == {
        "pawsx": 7,
        "xnli": 15,
        "panx": 40,
        "udpos": 33,
        "bucc2018": 4,
        "tatoeba": 36,
        "xquad": 11,
        "mlqa": 7,
        "tydiqa": 9,
    }
    assert sorted(name for names in CATEGORIES.values() for name in names) == sorted(TASKS)


@pytest.mark.parametrize("name", [name for name in TASKS if name in Catalog().names("task")])
def test_the_layout_and_the_task_files_say_the_same(name: str) -> None:
    spec, task = Catalog().task(name).spec, TASKS[name]
    assert list(spec.languages) == list(task.languages)  # the order in which script and board add them up
    assert sorted(spec.labels) == sorted(task.values)
    kinds = {"labels": "classification", "tags": "tagging", "answers": "span_qa", "positions": "retrieval"}
    assert spec.type == {**kinds, "pairs": "bitext_mining"}[task.kind]
    assert spec.metrics[0].metric == task.metric


# --- scoring


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("mock")
    write_submission(root / "predictions", root / "labels")
    return root / "predictions", root / "labels"


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """As `mock`, to be broken."""
    write_submission(tmp_path / "predictions", tmp_path / "labels")
    return tmp_path / "predictions", tmp_path / "labels"


def test_scores_are_those_of_the_official_script_digit_for_digit(mock: tuple[Path, Path]) -> None:
    scores = score_submission(*mock)
    report = scores.report()["scores"]
    for name, expected in OFFICIAL.items():
        found = report[name]
        assert (
            found if not isinstance(found, dict) else {key: value for key, value in found.items() if not isinstance(value, dict)}
        ) == expected
    assert set(report) == {*OFFICIAL, "all_task"}
    # The script adds the nine tasks up in the order of a set, which changes from run to run: its last digit does too.
    assert report["all_task"] == scores.overall() == pytest.approx(OFFICIAL_OVERALL, abs=1e-12)
    assert list(report["mlqa"]["f1"]) == list(TASKS["mlqa"].languages)


def test_a_question_without_an_answer_scores_0_and_is_counted(own: tuple[Path, Path]) -> None:
    path = TASKS["xquad"].file(own[0], "de")
    golds = json.loads(TASKS["xquad"].file(own[1], "de").read_text())["data"][0]["paragraphs"][0]["qas"]
    given = {asked["id"]: asked["answers"][0]["text"] for asked in golds}
    path.write_text(json.dumps({**given, "elsewhere": "x"}))
    right = score_submission(*own).tasks["xquad"].languages["de"]
    assert (right.scores["exact_match"], right.unanswered, right.unasked) == (100.0, 0, 1)
    del given["q3"], given["q0"]
    path.write_text(json.dumps(given))
    scores = score_submission(*own)
    assert scores.tasks["xquad"].languages["de"].scores["exact_match"] == 60.0
    assert scores.report()["unanswered"]["xquad"] == {"en": 1, "de": 2}
    assert "xquad, de: 2 of 5 questions have no answer and score 0" in scores.notes


def test_everything_that_does_not_fit_is_said_at_once(own: tuple[Path, Path]) -> None:
    predictions, labels = own
    for name, lang in (("xnli", "de"), ("xnli", "sw"), ("tydiqa", "ko")):
        TASKS[name].file(predictions, lang).unlink()
    TASKS["bucc2018"].file(labels, "zh").unlink()
    with TASKS["pawsx"].file(predictions, "ko").open("a") as file:
        file.write("\n")
    tags = TASKS["udpos"].file(predictions, "fi").read_text()
    TASKS["udpos"].file(predictions, "fi").write_text(tags.replace("\n\n", "\n\n\n", 1))
    sentences = read_sentences(TASKS["panx"].file(labels, "yo")).tags
    sentences[1] = [*sentences[1], "O"]
    TASKS["panx"].file(predictions, "yo").write_text(sentences_text(sentences))
    TASKS["mlqa"].file(predictions, "hi").write_text('{"q0": ["text"]}')
    TASKS["xquad"].file(predictions, "hi").write_text("{")
    TASKS["tatoeba"].file(predictions, "te").write_bytes(b"\xff\n" * NUM_ROWS)
    with pytest.raises(UserError) as raised:
        score_submission(predictions, labels)
    text = str(raised.value)
    assert text.endswith("9 errors")
    for said in (
        f"{predictions / 'xnli'}: 2 of 15 files are missing\n  expected: test-de.tsv, test-sw.tsv",
        f"{predictions / 'tydiqa'}: 1 of 9 files are missing",
        f"{labels / 'bucc2018'}: 1 of 4 files are missing\n  expected: test-zh.tsv",
        "pawsx/test-ko.tsv: does not fit",
        "expected: 5 lines\n  found: 6 lines\n  to do: blank lines count too: line 6",
        "expected: 5 sentences\n  found: 6 sentences; blank lines too many at line",
        f"expected: {len(sentences[1]) - 1} tags in sentence 2, as at line",
        "hi.json: an answer is no text",
        "hi.json: not JSON",
        "te.tsv: not UTF-8 text",
    ):
        assert said in text


def test_blank_lines_in_both_files_are_an_empty_sentence_as_in_the_script(own: tuple[Path, Path]) -> None:
    before = score_submission(*own).tasks["udpos"].languages["fi"]
    for root in own:
        path = TASKS["udpos"].file(root, "fi")
        path.write_text("\n" + path.read_text().replace("\n\n", "\n \n\n", 1))
    after = score_submission(*own).tasks["udpos"].languages["fi"]
    assert after.scores == before.scores
    assert after.num_examples == before.num_examples + 2


def test_sentences_are_written_as_they_are_read(tmp_path: Path) -> None:
    for sentences in ([["A"], [], ["B", "C"]], [[], ["A"]], [["A"], []], [[]], []):
        (tmp_path / "tags").write_text(sentences_text(sentences))
        assert read_sentences(tmp_path / "tags").tags == sentences


LINES = ["B-PER", "I-PER", "O", "X", " O\t", "", "", "  ", "\u2028", "Straße", "B-a-very-long-type", "\0", "\x1c", "E\0"]


@pytest.mark.parametrize("most", [6, 8, 9, 11, len(LINES)])  # short, blank, not ASCII, long, with a zero in it
def test_files_of_tags_are_read_line_by_line_whatever_is_in_them(tmp_path: Path, most: int) -> None:
    path, seen = tmp_path / "tags", 0
    for seed in range(200):
        rng = random.Random(seed)
        text = "".join(rng.choice(LINES[:most]) + rng.choice(["\n", "\n", "\r\n", "\r"]) for _ in range(rng.randint(0, 40)))
        path.write_bytes((text + rng.choice(["", "", "O"])).encode())
        sentences: list[list[str]] = [[]]
        with path.open(encoding="utf-8") as lines:
            for line in map(str.strip, lines):
                sentences[-1:] = [[*sentences[-1], line]] if line else [sentences[-1], []]
        wanted = sentences if sentences[-1] else sentences[:-1]
        read = read_sentences(path)
        assert read.tags == wanted
        assert read.lengths.tolist() == [len(tags) for tags in wanted]
        assert read.starts.tolist() == [1 + sum(len(tags) + 1 for tags in wanted[:n]) for n in range(len(wanted))]
        seen += len(wanted)
    assert seen > 500


def test_a_tag_that_comes_late_in_a_long_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "tags").write_text("O\nX\n\n" * SAMPLE + "LATE\n")
    assert read_sentences(tmp_path / "tags").tags == [["O", "X"]] * SAMPLE + [["LATE"]]


def test_scores_load_neither_what_reads_rows_nor_what_reads_runs(mock: tuple[Path, Path]) -> None:
    code = "import sys, run_eval; run_eval.main(sys.argv[1:]); print('loaded', *sys.modules)"
    command = [sys.executable, "-c", code, "submission", "score", *map(str, mock)]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.rpartition("loaded ")[2].split()
    assert "harness.report.submission.score" in names
    unwanted = {"pyarrow", "jinja2", "torch", "transformers", "harness.data.examples", "harness.report.record.gather"}
    assert sorted(unwanted & set(names)) == []


def test_only_complete_tasks_make_a_category(own: tuple[Path, Path]) -> None:
    predictions, labels = own
    TASKS["mlqa"].file(predictions, "hi").unlink()
    (predictions / "mewslix").mkdir()
    (predictions / "tatoeba").rename(predictions / "elsewhere")
    scores = score_submission(predictions, labels, partial=True)
    assert set(scores.categories()) == {"classification", "tagging"}
    assert scores.overall() is None
    report = scores.report()
    assert report["missing_languages"] == {"mlqa": ["hi"]}
    assert report["missing_tasks"] == ["tatoeba"]
    assert "all_task" not in report["scores"]
    assert "mlqa: mean over 6 of its 7 languages; missing: hi" in scores.notes
    assert any(note.endswith("elsewhere, mewslix") for note in scores.notes)


def test_folders_without_anything_in_common_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "one" / "xnli").mkdir(parents=True)
    (tmp_path / "other" / "panx").mkdir(parents=True)
    with pytest.raises(UserError, match=r"(?s)no task in common.*found: .*one: xnli; .*other: panx"):
        score_submission(tmp_path / "one", tmp_path / "other")
    with pytest.raises(UserError, match=r"nowhere is no folder"):
        score_submission(tmp_path / "one", tmp_path / "nowhere")


def test_the_command_prints_tables_and_writes_json(
    mock: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scores.json"
    assert run_eval.main(["submission", "score", *map(str, mock), "--output", str(file)]) == 0
    said = capsys.readouterr()
    assert "| tagging |" in said.out
    assert "|     57.98 |" in said.out
    assert "note: xquad, en: 1 of 5 questions have no answer and score 0" in said.err
    report = json.loads(file.read_text())
    assert report["scores"]["qa"] == OFFICIAL["qa"]
    assert report["examples"]["bucc2018"] == dict.fromkeys(TASKS["bucc2018"].languages, NUM_ROWS)
    assert report["signatures"]["udpos"].startswith("chunk_f1|")


# --- conformance with google-research/xtreme on its own mock submission

MOCK_MEANS = {
    "pawsx": {"avg_accuracy": 51.42857142857143},
    "xnli": {"avg_accuracy": 30.666666666666668},
    "panx": {"avg_f1": 57.50793650793652, "avg_precision": 54.729166666666664, "avg_recall": 62.750000000000014},
    "udpos": {"avg_f1": 70.21746048354693, "avg_precision": 71.02232625883823, "avg_recall": 69.54982073976082},
    "bucc2018": {"avg_f1": 55.0, "avg_precision": 55.0, "avg_recall": 55.0},
    "tatoeba": {"avg_accuracy": 53.611111111111114},
    "xquad": {"avg_exact_match": 77.27272727272727, "avg_f1": 79.9586776859504},
    "mlqa": {"avg_exact_match": 57.142857142857146, "avg_f1": 81.76870748299321},
    "tydiqa": {"avg_exact_match": 88.88888888888889, "avg_f1": 97.22222222222223},
}
MOCK_CATEGORIES = {
    "classification": 41.04761904761905,
    "tagging": 63.862698495741725,
    "qa": 80.37568011593986,
    "retrieval": 54.30555555555556,
}


def test_the_mock_submission_of_xtreme(xtreme: Path) -> None:
    scores = score_submission(xtreme / "mock_test_data/predictions", xtreme / "mock_test_data/labels")
    for name, expected in MOCK_MEANS.items():
        report = scores.tasks[name].report()
        assert {key: report[key] for key in expected} == expected
    assert scores.categories() == MOCK_CATEGORIES
    assert scores.overall() == 62.17319850507246


@pytest.mark.parametrize("of", ["xtreme", "us"])
def test_every_number_is_that_of_the_official_script(xtreme: Path, mock: tuple[Path, Path], tmp_path: Path, of: str) -> None:
    seqeval = importlib.util.find_spec("seqeval") and importlib.metadata.version("seqeval")
    if seqeval != "0.0.12":
        pytest.skip(f"the official script gives its numbers with seqeval 0.0.12, here is {seqeval or 'none'}")
    predictions, labels = mock if of == "us" else (xtreme / "mock_test_data/predictions", xtreme / "mock_test_data/labels")
    flags = ["--prediction_folder", predictions, "--label_folder", labels, "--output_file", tmp_path / "scores.json"]
    subprocess.run([sys.executable, "evaluate.py", *map(str, flags)], check=True, cwd=xtreme, capture_output=True)
    official = json.loads((tmp_path / "scores.json").read_text())
    ours = score_submission(predictions, labels).report()["scores"]
    assert ours.pop("all_task") == pytest.approx(official.pop("all_task"), abs=1e-12)  # the script adds up a set
    assert ours == official
