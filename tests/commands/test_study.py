"""The command `study`: one question to a ladder of backbones, run, resumed, extended, reported and looked at."""

import json

import pytest
from small_runs import differences
from study_projects import SIZES, SmallStudy, trained

import run_eval
from harness.api.registry import ROOT
from harness.report.studies.looks_file import looks_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study and its finished run."""
    folder = tmp_path_factory.mktemp("study")
    study = SmallStudy.make(folder)
    assert study.command("--output_path", str(folder / "runs")) == 0
    return study, folder / "runs"


def results(root):
    return json.loads((root / "study.json").read_text())


def test_a_study_leaves_a_board_and_results_of_the_same_cells(made):
    _, root = made
    board, found = json.loads((root / "leaderboard.json").read_text()), results(root)
    assert {row["model"] for row in board["rows"]} == set(SIZES)
    assert [backbone["backbone"] for backbone in found["backbones"]] == list(SIZES)
    sizes = [backbone["size"] for backbone in found["backbones"]]
    assert sizes == sorted(sizes)
    assert found["missing"]["count"] == 0
    assert found["look"]["taken"]
    assert [one["name"] for one in found["hypotheses"]] == ["Tags keep helping"]
    (entry,) = [entry for entry in found["lifts"] if (entry["setting"], entry["kind"]) == ("tags", "zero_shot")]
    own = {one["backbone"]: one["lift"]["value"] for one in entry["scales"]["points"]["backbones"]}
    for name in SIZES:  # the mean over targets of the mean over languages but English, of the board's own lifts
        parts = {
            task: [
                row["lift"]["value"]
                for row in board["rows"]
                if (row["model"], row["task"], row["intermediate"]) == (name, task, "tags") and row["lang"] != "en"
            ]
            for task in ("pairs", "nearest")
        }
        means = [sum(values) / len(values) for values in parts.values()]
        assert own[name] == pytest.approx(sum(means) / 2, abs=1e-6)


def test_the_same_command_again_runs_nothing_and_is_no_new_look(made, capsys):
    study, root = made
    before = {path: path.read_bytes() for path in (root / "study.json", root / "leaderboard.json")}
    assert study.command("--output_path", str(root)) == 0
    told = capsys.readouterr()
    assert "0 to do" in told.err
    assert "Tags keep helping" in told.out
    assert {path: path.read_bytes() for path in before} == before
    assert len(json.loads(looks_path(root, "ladder").read_text())["looks"]) == 1
    assert study.command("--report_only", "--output_path", str(root)) == 0
    assert capsys.readouterr().out == told.out
    assert {path: path.read_bytes() for path in before} == before


def test_a_dry_run_counts_what_cells_share_and_touches_nothing(made, tmp_path, capsys):
    study, root = made
    assert study.command("--dry_run", "--output_path", str(tmp_path / "new")) == 0
    page = capsys.readouterr().out
    assert "3 backbones, settings none, tags; 2 targets, 2 seeds: 60 cells" in page
    # Of each backbone: an intermediate training and four of targets with each seed; 12 cells of pairs and 8 of nearest.
    assert "150 stages (0 done), 30 of them trainings and 60 predictions" in page
    assert not (tmp_path / "new").exists()
    assert study.command("--dry_run", "--output_path", str(root)) == 0
    assert "150 stages (150 done)" in capsys.readouterr().out


def test_another_seed_backbone_or_target_runs_the_new_cells_only(made, tmp_path, capsys):
    _, root = made
    folder = tmp_path / "copy"
    grown = SmallStudy.make(folder)
    few = [str(folder / name) for name in ("small", "medium")]
    grown.write(families={"tiny": {"backbones": few}}, tasks=["pairs"], seeds=[1])
    assert grown.command("--output_path", str(tmp_path / "runs")) == 0
    now = results(tmp_path / "runs")
    assert not now["look"]["taken"]  # two sizes have no line: nothing could be decided, so that nothing is spent
    assert "no hypothesis can be answered" in now["look"]["why_not"]
    first = trained(tmp_path / "runs")
    assert len(first) == 2 * 3
    times = {name: (tmp_path / "runs" / "train" / name / "done.json").stat().st_mtime_ns for name in first}
    grown.write()
    assert grown.command("--output_path", str(tmp_path / "runs")) == 0
    assert trained(tmp_path / "runs") == trained(root)
    assert {name: (tmp_path / "runs" / "train" / name / "done.json").stat().st_mtime_ns for name in first} == times
    left = {name for name in differences(root, tmp_path / "runs") if name.split("/")[0] not in ("looks", "requests")}
    assert left <= {"leaderboard.json", "study.json"}  # older requests are named, and this is another look
    now, whole = results(tmp_path / "runs"), results(root)
    assert now["lifts"] == whole["lifts"]
    assert (now["look"]["number"], now["look"]["planned"], now["look"]["taken"]) == (1, 1, True)
    assert grown.command("--output_path", str(tmp_path / "runs"), "--seeds", "1,2,3") == 0
    again = results(tmp_path / "runs")
    assert (again["look"]["number"], again["look"]["planned"], again["look"]["taken"]) == (2, 1, False)
    assert "all of alpha is spent" in again["look"]["why_not"]


def test_only_some_backbones_can_be_run_and_the_rest_is_named_as_missing(made, tmp_path, capsys):
    study, _ = made
    assert study.command("--backbones", "small", "--output_path", str(tmp_path / "runs")) == 1
    told = capsys.readouterr()
    found = results(tmp_path / "runs")
    assert found["missing"]["count"] == 40
    assert not found["look"]["taken"]
    assert not looks_path(tmp_path / "runs", "ladder").exists()
    assert found["hypotheses"][0]["verdict"] == "undecided"  # one size has no line
    assert "40 scores are missing" in told.out
    assert study.command("--report_only", "--output_path", str(tmp_path / "runs")) == 1
    assert study.command("--backbones", "smal", "--output_path", str(tmp_path / "runs")) == 2
    assert "--backbones: the study has no backbone 'smal'\n  to do: did you mean 'small'?" in capsys.readouterr().err


def test_an_interrupted_study_goes_on_and_ends_with_the_same_bytes(made, tmp_path, monkeypatch):
    study, root = made
    from harness.executors.graph import work

    real, calls = work.train, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(work, "train", dies)
    assert study.command("--output_path", str(tmp_path / "runs")) == 130
    monkeypatch.setattr(work, "train", real)
    assert len(trained(tmp_path / "runs")) == 7
    assert study.command("--output_path", str(tmp_path / "runs")) == 0
    assert differences(root, tmp_path / "runs") == []


def test_learning_rates_are_chosen_on_development_rows_with_seeds_that_are_not_reported(tmp_path, capsys):
    study = SmallStudy.make(tmp_path)
    grid = {"full": {"recipe": "tiny", "learning_rates": {"intermediate": [1e-3, 1e-2], "target": [1e-6, 1e-3]}}}
    backbones = {"tiny": {"backbones": [str(tmp_path / "small")]}}
    changes = {"methods": grid, "families": backbones, "seeds": [1], "trial_seeds": [7, 8], "hypotheses": []}
    study.write(**changes, verdicts={"margin": 5.0})
    root = tmp_path / "runs"
    assert study.command("--output_path", str(root)) == 0
    found = results(root)
    rates = {(rate["setting"], rate["target"]): rate for rate in found["learning_rates"]}
    assert set(rates) == {("tags", None), ("none", "pairs"), ("tags", "pairs")}
    for rate in rates.values():
        assert rate["rate"] == max(rate["trials"], key=lambda trial: (trial["score"], -trial["rate"]))["rate"]
        assert rate["at_edge"]
    # 2 rates x 2 seeds of the phase; 2 rates x 2 seeds of the target that has development rows, after 2 settings; and what is
    # reported: a phase, two targets after two settings.
    assert len(trained(root)) == 4 + 8 + 5
    board = json.loads((root / "leaderboard.json").read_text())
    assert {row["seed"] for row in board["rows"]} <= {1, None}
    (request,) = board["requests"]
    assert {(one[0], one[1] or None): one[2] for one in request["learning_rates"]} == {
        k: rate["rate"] for k, rate in rates.items()
    }
    kept = [name for name in trained(root) if (root / "train" / name / "checkpoint").exists()]
    assert len(kept) == 5  # what trials have trained is let go
    capsys.readouterr()
    # Trials are no rubbish: what stands on the board rests on them.
    assert run_eval.main(["clean", str(root), "--older"]) == 0
    assert "0 stages, 0 bytes would be removed" in capsys.readouterr().out
    assert study.command("--output_path", str(root)) == 0


def test_retrieval_is_shown_at_other_layers_beside_the_scores(tmp_path, capsys):
    study = SmallStudy.make(tmp_path)
    task = json.loads((study.folder / "nearest.yaml").read_text())
    del task["data"]["train"], task["train_languages"]
    (study.folder / "far.yaml").write_text(json.dumps({**task, "task": "far"}))
    (study.folder / "nearest.yaml").unlink()
    backbones = {"tiny": {"backbones": [str(tmp_path / "small")]}}
    study.write(
        families=backbones, tasks=["far", "pairs"], seeds=[1], retrieval_layers=[0.5, 1.0], hypotheses=[], verdicts={"margin": 1}
    )
    root = tmp_path / "runs"
    assert study.command("--output_path", str(root)) == 0
    found = results(root)
    assert {(one["setting"], one["backbone"], one["target"]) for one in found["layers"]} == {
        ("none", "small", "far"),
        ("tags", "small", "far"),
    }
    board = json.loads((root / "leaderboard.json").read_text())
    whole = {entry["intermediate"]: entry["score"]["value"] for entry in board["task_scores"] if entry["task"] == "far"}
    for one in found["layers"]:
        half, last = one["layers"]
        assert (half["fraction"], last["fraction"], half["missing"]) == (0.5, 1.0, 0)
        assert last["score"] == pytest.approx(whole[one["setting"]])  # the task's own layer is the last
    asked = [json.loads(path.read_text())["args"] for path in root.glob("predict/*/args.json")]
    assert sorted(args["options"]["layer"] for args in asked if args["task"] == "far" and args["options"]) == [0.5] * 4
    assert "far, small, tags: 0.5: " in capsys.readouterr().out
    assert len(board["rows"]) == 2 * (2 + 3)  # no row of the board is of another layer
    assert run_eval.main(["clean", str(root), "--older"]) == 0
    assert "0 stages, 0 bytes would be removed" in capsys.readouterr().out


def test_cells_whose_rows_are_not_here_are_left_out_and_hold_up_no_look(tmp_path, capsys):
    study = SmallStudy.make(tmp_path)
    (study.folder / "pairs-test-sw.jsonl").unlink()
    (study.folder / "tags-train-en.jsonl").unlink()
    study.write(
        intermediate=["tags", "nearest"],
        chosen={"best": ["none", "tags", "nearest"]},
        hypotheses=[
            {"name": "Nearest helps", "asks": "scale", "settings": "nearest"},
            {"name": "Tags help", "asks": "scale", "settings": "tags"},
            {"name": "The best helps", "asks": "helps", "settings": "best"},
        ],
    )
    root = tmp_path / "runs"
    assert study.command("--output_path", str(root)) == 1
    found = results(root)
    assert (found["missing"]["count"], found["look"]["taken"]) == (0, True)
    assert [one["what"] for one in found["left_out"]] == ["pairs/sw", "setting tags"]
    assert "sw" not in next(one for one in found["targets"] if one["target"] == "pairs")["languages"]
    told = {one["name"]: one for one in found["hypotheses"]}
    assert told["Tags help"]["verdict"] == "undecided"
    assert told["Tags help"]["why"]
    assert told["Nearest helps"]["numbers"]
    assert told["The best helps"]["numbers"]
    assert {choice["setting"] for one in found["composites"] for choice in one["choices"]} <= {"none", "nearest"}
    assert "Left out, for their data are not here\n  pairs/sw: " in capsys.readouterr().out


def test_all_mistakes_of_a_study_come_at_once_with_their_lines(tmp_path, capsys):
    study = SmallStudy.make(tmp_path)
    study.write(
        intermediate=["tagz"],
        tasks=["pairs"],
        trial_seeds=[1],
        families={"tiny": {"backbones": [str(tmp_path / "small"), "oracle"], "method": "ful"}},
        hypotheses=[{"name": "h", "asks": "scale", "settings": "mnli", "over": {"target": "xnli"}}],
    )
    assert study.command("--output_path", str(tmp_path / "runs")) == 2
    told = capsys.readouterr().err
    for text in (
        "ladder.yaml:1 families.tiny.method: no method 'ful' in this study\n  to do: did you mean 'full'?",
        "ladder.yaml:1 intermediate: unknown task 'tagz'\n  to do: did you mean 'tags'?",
        "ladder.yaml:1 trial_seeds: seeds of the trials are seeds of the study\n  found: 1",
    ):
        assert text in told
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_study_and_a_name_that_none_has_are_told(tmp_path, capsys):
    (tmp_path / "group.yaml").write_text("group: g\nmembers: [xnli]\n")
    assert run_eval.main(["study", str(tmp_path / "group.yaml")]) == 2
    assert "this file is no study" in capsys.readouterr().err
    assert run_eval.main(["study", "scalling"]) == 2
    assert "unknown study 'scalling'\n  to do: did you mean 'scaling'?" in capsys.readouterr().err
    assert run_eval.main(["study", str(tmp_path / "none.yaml")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_the_study_of_the_tutorial_is_right(tmp_path, capsys):
    page = (ROOT / "docs" / "first_study.md").read_text(encoding="utf-8")
    (text,) = [block for block in page.split("```yaml\n")[1:] if block.startswith("study: ")]
    (tmp_path / "my_study.yaml").write_text(text.split("```")[0], encoding="utf-8")
    assert run_eval.main(["study", str(tmp_path / "my_study.yaml"), "--dry_run", "--output_path", str(tmp_path / "runs")]) == 0
    assert "my_study: Does MNLI keep helping retrieval?" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["scaling", "stilts_2020", "mini_scaling"])
def test_shipped_studies_are_right(name, capsys):
    assert run_eval.main(["validate", name, "--specs_only"]) == 0
    assert run_eval.main(["show", name]) == 0
    assert "tasks/studies/" in capsys.readouterr().out
    assert run_eval.main(["ls", "studies"]) == 0
    assert name in capsys.readouterr().out
