"""Figures: what is drawn of a board and a study, the same bytes each time, and names that are only names."""

import json
import re
import subprocess
import sys

import pytest
from PIL import Image
from written_runs import WrittenRun, task

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.report.board.board import build_board
from harness.report.figures.figure_files import studies_of, write_figures
from harness.report.figures.scaling import study_figures
from harness.report.figures.scaling_axes import size_text
from harness.report.figures.study_numbers import StudyNumbers, read_study
from harness.report.figures.style import drawing

SIZES = {"small": 85e6, "base": 303e6, "large": 1.2e9}


def number(value, half=2.0):
    return {"value": value, "low": None if half is None else value - half, "high": None if half is None else value + half}


def study(**changes):
    """A study.json of three backbones, as far as it is drawn: lift 2 at 100M, 1 less for each decade."""
    backbones = [{"backbone": name, "family": "f", "size": size, "bridges": None} for name, size in SIZES.items()]
    backbones += [{"backbone": "base lora", "family": "f", "size": 303e6, "bridges": "base"}]
    scores = [
        {"setting": setting, "backbone": name, "target": target, "means": {"all": number(60, half)}}
        for setting in ("none", "mnli")
        for target in ("xnli", "panx $x$ 中文")
        for name, half in (("small", 2.0), ("base", None), ("large", 2.0), ("base lora", 2.0))
    ]
    line = {"smallest": 85e6, "largest": 1.2e9, "slope": number(-1), "reference": number(2), "target": None}
    lifts = {
        "backbones": [{"backbone": name, "lift": number(1)} for name in SIZES],
        "families": [{"family": "f", "line": line}],
    }
    return {
        "schema_version": 1,
        "study": "ladder",
        "synthetic": False,
        "fixed": {"scale": "points", "margin": 1.0, "reference": 1e8, "target": None},
        "settings": ["none", "mnli"],
        "targets": [{"target": "xnli"}, {"target": "panx $x$ 中文"}],
        "backbones": backbones,
        "scores": scores,
        "lifts": [
            {"setting": "mnli", "kind": kind, "group": group, "scales": {"points": lifts, "headroom": None, "logit": None}}
            for kind, group in (("zero_shot", "all"), ("target", "xnli"))
        ],
        "references": [
            {
                "reference": "mt5_small",
                "model": "mT5 small",
                "method": "intermediate: none",
                "split": "test",
                "task": "xnli",
                "key": "accuracy",
                "value": 67.5,
                "size": 44e6,
            }
        ],
        **changes,
    }


@pytest.fixture
def run(tmp_path):
    run = WrittenRun(tmp_path / "run", tasks={"xnli": task("en", "de", "sw"), "a$b$_c": task("de", trained=False)})
    for intermediate, right in (("none", 60), ("mnli 中", 70)):
        for lang in ("en", "de", "sw"):
            run.cell(intermediate, "xnli", lang, seed=1, right=right)
    run.cell("none", "a$b$_c", "de", right=33)
    folder = run.write()
    (folder / "study.json").write_text(json.dumps(study()), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_every_figure_is_there_as_svg_and_png_with_a_caption_and_the_same_bytes_again(run, tmp_path):
    board = build_board([run])
    paths = write_figures(board, tmp_path / "one", studies=studies_of([run]))
    names = [path.name for path in paths]
    drawn = ("scores", "lifts", "languages-tiny", "scaling-scores", "scaling-lifts")
    assert names == [*(f"{name}.{kind}" for name in drawn for kind in ("svg", "png")), "figures.md"]
    captions = paths[-1].read_text(encoding="utf-8")
    assert [name for name in names[:-1] if f"`{name.rpartition('.')[0]}`" not in captions] == []
    again = write_figures(board, tmp_path / "two", studies=studies_of([run]))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    for path in paths[:-1]:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width in (1020, 2070)  # a column or two of a paper, at 300 dots an inch
                assert "Software" not in image.info
        else:
            text = path.read_text(encoding="utf-8")
            assert "<text" not in text  # letters are paths: no font is asked for
            assert not re.search(r"dc:date|\d{4}-\d\d-\d\d", text)


def test_published_numbers_stand_beside_scores_with_their_method_and_never_beside_lifts():
    with drawing():
        scores, lifts = study_figures(StudyNumbers.model_validate(study()), prefix="s")
    assert (scores.name, lifts.name) == ("s-scores", "s-lifts")
    assert "1 mT5 small, 44M; intermediate: none; test rows, accuracy 67.5" in scores.caption
    assert "mT5" not in lifts.caption
    beside = {figure.name: [text.get_text() for axes in figure.figure.axes for text in axes.texts] for figure in (scores, lifts)}
    assert beside == {"s-scores": ["1"], "s-lifts": []}


def test_points_have_intervals_where_there_are_some_and_lines_go_through_what_the_study_says():
    with drawing():
        scores, lifts = study_figures(StudyNumbers.model_validate(study()), prefix="s")
    xnli = scores.figure.axes[0]
    assert (xnli.get_xscale(), [axes.get_title(loc="left") for axes in scores.figure.axes]) == (
        "log",
        ["xnli", "panx $x$ \\u4e2d\\u6587"],
    )
    points = [line for line in xnli.lines if line.get_marker() in ("o", "s") and len(line.get_xdata()) == 1]
    assert len(points) == 6  # three sizes of two settings; a backbone that bridges two methods is in no curve
    assert sum(point.get_markerfacecolor() == "white" for point in points) == 2
    assert len(xnli.collections) == 4
    low, high = xnli.get_xlim()
    assert low < 44e6 < 1.2e9 < high
    title = "all targets, without English"
    assert [axes.get_title(loc="left") for axes in lifts.figure.axes if axes.get_visible()] == [title, "xnli"]
    (line,) = [line for line in lifts.figure.axes[0].lines if list(line.get_xdata()) == [85e6, 1.2e9]]
    assert list(line.get_ydata()) == pytest.approx([2.07058, 0.92082], abs=1e-4)


def test_the_axis_of_scores_ends_where_scores_end_and_that_of_lifts_does_not():
    made = study()
    made["scores"][0]["means"]["all"] = number(60, 300.0)
    for one in made["lifts"]:
        for scale in (scale for scale in one["scales"].values() if scale):
            scale["backbones"][0]["lift"] = number(1, 300.0)
    with drawing():
        scores, lifts = study_figures(StudyNumbers.model_validate(made), prefix="s")
    assert scores.figure.axes[0].get_ylim() == (-2.0, 102.0)
    assert lifts.figure.axes[0].get_ylim()[1] > 200


def test_families_have_figures_of_their_own():
    several = study()
    for entry in several["backbones"]:
        entry["family"] = "the other" if entry["backbone"] == "large" else "f"
    with drawing():
        names = [drawn.name for drawn in study_figures(StudyNumbers.model_validate(several), prefix="s")]
    assert names == ["s-scores-f", "s-lifts-f", "s-scores-the-other", "s-lifts-the-other"]


def test_a_study_that_cannot_be_drawn_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "study.json"
    for content, expected in (
        ("{", "not JSON"),
        (json.dumps(study(schema_version=2)), "schema_version"),
        (json.dumps(study(targets=[{}])), "targets.0.target"),
        (json.dumps(study(settings="none")), "settings"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=expected):
            read_study(path)


@pytest.mark.parametrize(
    ("size", "text"), [(85_054_464, "85.1M"), (303e6, "303M"), (1.2e9, "1.2B"), (397_696, "398K"), (12, "12")]
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text


@pytest.mark.slow
def test_matplotlib_is_imported_only_when_figures_are_asked_for(run, tmp_path):
    def modules(*flags):
        code = f"import sys, run_eval; run_eval.main(['leaderboard', {str(run)!r}, *{flags!r}]); "
        code += "print(*sorted(sys.modules), file=sys.stderr)"
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        return set(ran.stderr.split())

    without = modules("--csv", str(tmp_path / "t"), "--latex", str(tmp_path / "t"))
    assert without & {"matplotlib", "torch", "transformers"} == set()
    assert "matplotlib" in modules("--figures", str(tmp_path / "f"))
