"""What the page says in words: of a study, of a board, and of what weakens the numbers."""

import pytest
from made_up_boards import made_up_board, made_up_study
from page_reader import Reader, data_of, small_board, with_study
from written_runs import WrittenRun, task

from harness.report.board.board import build_board
from harness.report.page.page import page
from harness.report.page.study_part import study_part
from harness.report.page.study_words import answer, question


def test_the_study_comes_first_and_in_words(tmp_path):
    with_study(tmp_path / "x", missing=[_gap()])
    reader = Reader(page(small_board(), [tmp_path / "x"]))
    text = reader.text
    assert text.index("Study made_up") < text.index("Scores Mean over languages")
    assert "Does the benefit of mnli persist as models grow, from 10M to 10B parameters" in text
    assert "Yes. It helps at both sizes, and by the same amount to within 1 point." in text
    assert "It cannot be said yet" in text
    assert "+2.1 [+1.2, +3.0] points over all targets, zero-shot; sure: the interval is above 0." in text
    assert "lift at 10M +2.1 [+1.2, +3.0] points [+0.10, +4.1] as tested" in text
    assert "the files are not here" in text
    assert "Synthetic. Some scores are of a miniature world" in text
    assert "Synthetic: the data are made up." not in text  # the board has said it
    assert "In short: did the intermediate task help?" not in text  # the study's answer holds more than a board knows


def _gap():
    own = {"setting": "mnli", "backbone": "large", "target": "xnli", "why": "the files are not here"}
    return {**own, "count": 2, "languages": ["en", "de"], "seeds": [1]}


def test_one_seed_leaves_no_interval_and_that_is_said(tmp_path):
    with_study(tmp_path / "x", one_seed=True)
    text = page(small_board(), [tmp_path / "x"])
    assert "no mean: one seed" in Reader(text).text
    rows = next(chart for chart in data_of(text)["charts"] if chart["id"] == "study-made_up-lifts")["rows"]
    assert {row["low"] for row in rows if row["part"] == "point"} == {None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read: not JSON"),
        ("[]", "cannot be read: not what belongs here"),
        ('{"schema_version": 2}', "is of another version: 2, not 1"),
        ('{"schema_version": 1, "study": "x"}', "is not what a study writes (KeyError"),
        ('{"schema_version": 1, "fixed": []}', "is not what a study writes (KeyError"),
    ],
)
def test_a_damaged_study_is_told_and_the_board_is_shown(tmp_path, content, said):
    (tmp_path / "study.json").write_text(content, encoding="utf-8")
    reader = Reader(page(small_board(), [tmp_path]))
    assert said in reader.text
    assert "scores" in reader.ids()
    assert "short" in reader.ids()


def test_a_folder_without_a_study_says_nothing_of_one(tmp_path):
    assert study_part(tmp_path) == (None, "")


def test_what_weakens_the_numbers_comes_first(tmp_path):
    run = WrittenRun(tmp_path / "x", tasks={"xnli": task("de", "en", "sw")}, limit=50, synthetic=True)
    run.cell("none", "xnli", "en", seed=1)
    run.cell("none", "xnli", "de", seed=1, finished=False)
    damaged = run.cell("none", "xnli", "sw", seed=1)
    board_folder = run.write()
    (damaged.folder(board_folder) / "score.json").write_text("{}", encoding="utf-8")
    reader = Reader(page(build_board([board_folder]), [board_folder]))
    first = reader.text[: reader.text.index("Scores Mean")]
    said = ("Synthetic.", "Damaged. 1 score is not believed", "Partial.", "Incomplete. 1 score is missing")
    places = [first.index(words) for words in said]
    assert places == sorted(places)
    assert "German (de) not finished" in reader.text


def lifted(*, low, high, models=("small",)):
    """A board with one lift of every model, between two ends."""
    board = made_up_board(models=models, settings=["none", "mnli"], tasks={"xnli": ["en", "de"]})
    for entry in board["task_scores"]:
        if entry["lift"]:
            entry["lift"] = {"value": (low + high) / 2, "low": low, "high": high}
    return board


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1, 3, "Yes. Mean lift +2.0 points. Is it sure? Of 1 lift of single tasks: 1 sure gain, 0 sure losses, 0 open."),
        (-3, -1, "No: it does harm. Mean lift -2.0 points. Is it sure? Of 1 lift of single tasks: 0 sure gains, 1 sure loss"),
        (-1, 3, "It cannot be told: the interval holds 0. Mean lift +1.0 points."),
    ],
)
def test_a_board_says_in_words_whether_it_helped(low, high, said):
    assert said in Reader(page(lifted(low=low, high=high), [])).text


def test_a_board_says_how_lifts_change_with_size():
    text = Reader(page(lifted(low=1, high=3, models=["small", "middle", "large"]), [])).text
    assert "With size, smallest first? small (1M) +2.0; middle (4M) +2.0; large (16M) +2.0." in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"asks": "helps"}, "Does mnli help over all targets, in all languages but English?"),
        ({"asks": "helps", "settings": ["mnli", "squad"], "each": True, "at": "target"},
         "Does each of mnli and squad help over all targets, in all languages but English at 10B parameters?"),
        ({"asks": "no_effect", "over": {"kind": "target", "group": "xnli"}},
         "Is what mnli does less than 1 point, up or down, on xnli?"),
        ({"asks": "better", "than": ["squad"], "over": {"kind": "english", "group": "all targets"}},
         "Does mnli help more in English than squad?"),
        ({"asks": "better", "than_over": [{"kind": "family", "group": "Turkic"}], "over": {"kind": "script", "group": "Latn"}},
         "Does mnli help more in languages written in Latn than in Turkic languages?"),
        ({"asks": "no_better", "than": ["squad", "qqp"], "settings": ["mnli", "mlm"], "over": {"kind": "target", "group": "x"}},
         "Does the mean of mnli and mlm help on x no more than each of squad, qqp, to within 1 point?"),
        ({"asks": "ranking", "settings": ["mnli", "squad"], "over": {"kind": "same_task", "group": "xnli"}},
         "Do they help in this order on xnli, on its own training task, the best first: mnli, squad?"),
    ],
)  # fmt: skip
def test_a_hypothesis_is_asked_in_words(asked, words):
    document = made_up_study(backbones={"small": 1e7, "large": 1e9}, settings=["mnli"], targets={"xnli": ["en"]})
    entry = document["hypotheses"][0]
    assert question({**entry, "question": {**entry["question"], **asked}}, document["fixed"]) == words


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("holds", "Yes, this is shown."), ("refuted", "No: the results speak against it."),
     ("not looked", "Not decided: no look is left."), ("undecided", "It cannot be said yet: no look is left.")],
)  # fmt: skip
def test_a_verdict_is_said_in_words(verdict, words):
    document = made_up_study(backbones={"small": 1e7, "large": 1e9}, settings=["mnli"], targets={"xnli": ["en"]})
    entry = document["hypotheses"][0]
    asked = {**entry["question"], "asks": "helps"}
    assert answer({**entry, "question": asked, "verdict": verdict, "why": "no look is left"}, document["fixed"]) == words


@pytest.mark.parametrize("verdict", ["persists", "grows", "shrinks", "vanishes", "reverses", "never there"])
def test_every_verdict_of_scale_has_words(verdict):
    document = made_up_study(backbones={"small": 1e7, "large": 1e9}, settings=["mnli"], targets={"xnli": ["en"]})
    said = answer({**document["hypotheses"][0], "verdict": verdict}, document["fixed"])
    assert said.split()[0].rstrip(",.") in ("Yes", "No", "Partly", "There")
    assert "{" not in said
