"""The page of a board: what it holds, that nothing in it acts, that it needs no network and comes out the same again."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up_boards import made_up_board, made_up_study
from written_runs import MODEL, WrittenRun, nli, task

import run_eval
from harness.api.escaping import visible
from harness.data.examples import data_fingerprint, load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.report.board.board import build_board, check_board
from harness.report.page.examples import prediction_examples
from harness.report.page.page import page, script_text, write_page
from harness.report.page.study_part import study_part
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import Stage, begin, mark_done

HOSTILE = "</script><img src=x onerror=alert(1)><!-- {{ 7 * 7 }} \x1b[31m \u202eturned"
SHOWN = visible(HOSTILE)


class Reader(HTMLParser):
    """Headings, links, tags and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.inside = [], [], [], []
        self.scripts = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        if "script" in self.inside:
            self.scripts.append(data)
        elif "style" not in self.inside:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def ids(self):
        return {value for _, name, value in self.attributes if name == "id"}


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def with_study(folder, **more):
    document = made_up_study(
        backbones={"small": 1e7, "middle": 1e8, "large": 1e9}, settings=["mnli", "squad"], targets={"xnli": ["en", "de"]}, **more
    )
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def small_board(**more):
    return made_up_board(
        models=more.pop("models", ["small", "large"]),
        settings=more.pop("settings", ["none", "mnli"]),
        tasks={"xnli": ["en", "de", "sw"], "panx": ["en", "th"]},
        **more,
    )


def test_the_made_up_board_is_one():
    check_board(small_board(seeds=(1, 2)))


def test_a_page_has_all_sections_and_needs_no_network(tmp_path):
    board = build_board([nli(tmp_path / "x", seeds=(1, 2)).write(), nli(tmp_path / "y", model="other", seeds=(1, 2)).write()])
    text = page(board, [tmp_path / "x", tmp_path / "y"])
    reader = Reader(text)
    assert {"short", "scores", "models", "lifts", "cells", "missing", "notes", "main", "cell"} <= reader.ids()
    assert "Did it help?" in reader.text
    assert "A note on xnli." in reader.text
    outside = [value for _, name, value in reader.attributes if name in ("src", "href", "action") and not value.startswith("#")]
    assert outside == []
    assert not {"link", "iframe", "img", "object"} & set(reader.tags)
    assert "default-src 'none'" in text
    assert len(data_of(text)["cells"]) == 2 * 2 * (3 + 2)


def test_every_id_is_there_once(tmp_path):
    with_study(tmp_path / "x")
    reader = Reader(page(small_board(), [tmp_path / "x"]))
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert sorted(ids) == sorted(set(ids))
    wanted = {value[1:] for _, name, value in reader.attributes if name == "href"}
    assert wanted <= set(ids)
    labelled = {value for _, name, value in reader.attributes if name in ("aria-labelledby", "data-searches")}
    assert labelled
    assert labelled <= set(ids)


def test_a_board_without_lifts_seeds_or_trainings_has_a_page():
    reader = Reader(page(small_board(models=["small"], settings=["none"]), []))
    assert {"scores", "cells", "missing", "notes"} <= reader.ids()
    assert not {"short", "models", "lifts"} & reader.ids()
    assert "None: every language of every task on this board has its score." in reader.text


def test_the_study_comes_first_and_in_words(tmp_path):
    with_study(tmp_path / "x", missing=[_gap()])
    reader = Reader(page(small_board(), [tmp_path / "x"]))
    text = reader.text
    assert text.index("Study made_up") < text.index("Scores Mean over languages")
    assert "Does the benefit of mnli persist as models grow, from 10M to 10B parameters" in text
    assert "Yes. It helps at both sizes, and by the same amount to within 1 point." in text
    assert "It cannot be said yet" in text
    assert "+2.1 [+1.2, +3.0] points over all targets, zero-shot; sure: the interval is above 0." in text
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


def test_nothing_in_a_text_acts(tmp_path):
    board = made_up_board(models=[HOSTILE, "large"], settings=["none", HOSTILE], tasks={HOSTILE: ["en", "de"]})
    board["missing"] = [_missing(HOSTILE)]
    board["tasks"][HOSTILE]["notes"] = [HOSTILE]
    document = with_study(tmp_path / "y")
    document["note"] = document["description"] = document["study"] = document["hypotheses"][0]["name"] = HOSTILE
    (tmp_path / "y" / "study.json").write_text(json.dumps(document), encoding="utf-8")
    text = page(board, [tmp_path / "y"])
    reader = Reader(text)
    assert "img" not in reader.tags
    assert text.count("</script>") == reader.tags.count("script") == 3
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "49" not in re.findall(r"<!-- (\S+)", reader.text)
    assert SHOWN in "".join(reader.texts)
    data = data_of(text)
    assert SHOWN in {arm["model"] for arm in data["arms"]}
    assert SHOWN in data["texts"]


def _missing(text):
    own = {"model": text, "intermediate": text, "task": text, "lang": "de", "seed": 1, "recipe": "quick"}
    return {**own, "route": "head", "limit": None, "reason": text}


def test_text_for_a_script_is_the_same_value_and_ends_no_script():
    value = {"</script>": ["<!--", "&amp;", "a\u2028b", "é漢", 1.5, None]}
    text = script_text(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028") & set(text)
    assert "é漢" in text


def test_the_same_board_gives_the_same_bytes(tmp_path):
    with_study(tmp_path / "x")
    texts = {page(small_board(), [tmp_path / "x"]) for _ in range(2)}
    assert len(texts) == 1
    (text,) = texts
    write_page(text, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_bytes() == text.encode()


def test_five_thousand_cells_are_under_fifteen_megabytes(tmp_path):
    langs = [f"l{n}" for n in range(40)]
    tasks = {f"task{n}": langs for n in range(21)}
    board = made_up_board(models=["small", "large"], settings=["none", "mnli", "squad"], tasks=tasks)
    text = page(board, [])
    assert len(data_of(text)["cells"]) == 5040
    assert 1e6 < len(text.encode()) < 15e6


def test_what_stands_behind_a_cell_is_in_the_page():
    data = data_of(page(small_board(seeds=(0, 2)), []))
    cell = next(one for one in data["cells"] if one["lang"] == "th" and data["arms"][one["arm"]]["setting"] == "mnli")
    assert [run["seed"] for run in cell["runs"]] == [0, 2]
    run = cell["runs"][0]
    assert (run["examples"], run["unanswered"], run["truncated"]) == (500, 3, [7, 210])
    assert run["notes"] == {"no label in the answer": 2}
    stage = data["stages"][run["predict"]]
    assert stage["facts"]["tokens"] == 12_345
    assert data["shared"][stage["shared"]["arithmetic"]][0]["device"] == "cuda"
    assert data["stages"][stage["inputs"][0]]["name"].startswith("train/")
    assert len(run["lift"]) == 3


def test_a_score_without_training_stands_in_the_line_of_its_recipe(tmp_path):
    """`pairs` is not trained, so that its rows have no recipe of their own."""
    data = data_of(page(build_board([nli(tmp_path / "x").write()]), [tmp_path / "x"]))
    tasks = {data["tasks"][cell["task"]]["name"] for cell in data["cells"] if cell["runs"]}
    assert tasks == {"xnli", "pairs"}
    assert {cell["arm"] for cell in data["cells"]} == {0, 1}


def test_curves_come_from_the_logs_of_the_run_folders_and_missing_ones_are_told(tmp_path):
    root = nli(tmp_path / "x").write()
    board = build_board([root])
    trainings = [name for name in board["stages"] if name.startswith("train/")]
    assert len(trainings) == 3
    lines = [{"step": n, "loss": 2 - n / 200} for n in range(1, 201)] + [{"step": 200, "english_score": 81.5}]
    (root / trainings[0] / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (root / trainings[1] / "log.jsonl").write_text("{broken", encoding="utf-8")
    text = page(board, [root])
    charts = {chart["id"]: chart for chart in data_of(text)["charts"]}
    losses = charts["training-loss"]["rows"]
    assert {row["stage"] for row in losses} == {trainings[0].removeprefix("train/")}
    assert len(losses) == 50  # of 200 steps, four in each
    assert losses[0] == {**losses[0], "step": 4, "value": 1.9875}
    assert [row["value"] for row in charts["training-english"]["rows"]] == [81.5]
    assert "No log here of 2 trainings" in Reader(text).text


def test_the_specifications_of_all_charts_are_vega_lite(tmp_path):
    """Compiled by the package whose script draws them in the page."""
    import vl_convert

    with_study(tmp_path / "x")
    charts = data_of(page(small_board(), [tmp_path / "x"]))["charts"]
    assert [chart["id"] for chart in charts] == ["study-made_up-lifts", "study-made_up-forest", "study-made_up-scores",
                                                 "board-lifts", "board-sizes"]  # fmt: skip
    for chart in charts:
        compiled = vl_convert.vegalite_to_vega({**chart["spec"], "datasets": {"rows": chart["rows"]}})
        assert compiled["marks"]
        assert chart["columns"]
        assert set(chart["columns"]) <= {key for row in chart["rows"] for key in row}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A run folder with predictions of the miniature world's NLI in German, for which no text is stored."""
    root = tmp_path_factory.mktemp("runs")
    entry = Catalog().task("mini/nli").spec
    place = DataPlace.resolve(None)
    board = made_up_board(models=["small"], settings=["none"], tasks={"mini/nli": ["de"]})
    spec = {"type": entry.type, **entry.model_dump(mode="json", include={"data", "fields", "labels"}, exclude_defaults=True)}
    args = PredictArguments(
        model=MODEL, task="mini/nli", lang="de", options={}, spec=spec, head="mini/nli",
        data=data_fingerprint(entry, split="test", langs=["de"], place=place),
    )  # fmt: skip
    stage = Stage(label="small", args=args, inputs=())
    begin(stage, root)
    examples = load_examples(entry, split="test", langs=["de"], place=place).examples
    lines = [{"id": one.id, "gold": one.gold, "prediction": HOSTILE, "notes": [], "num_truncated": 0} for one in examples]
    (stage.folder(root) / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    mark_done(stage, root, {"examples": len(lines)})
    board["rows"][0]["stages"]["predict"] = stage.name
    return root, board, examples, stage.folder(root)


def test_examples_have_texts_and_gold_and_are_escaped(asked):
    root, board, examples, _ = asked
    found = prediction_examples(board, [root], count=3, place=DataPlace.resolve(None), task_folders=Catalog().task_folders())
    (entry,) = found.entries
    assert len(entry["items"]) == 3
    assert "why" not in entry
    known = {one.id: one for one in examples}
    for item in entry["items"]:
        assert item["texts"] == {"text": known[item["id"]].text, "text_pair": known[item["id"]].text_pair}
        assert (item["gold"], item["right"]) == (known[item["id"]].gold, False)
    text = page(board, [root], examples=found)
    assert data_of(text)["examples"][0]["items"][0]["prediction"] == SHOWN
    assert text.count("</script>") == 2  # the data and the page's own: there is no chart


def test_no_examples_are_shown_unless_asked(asked):
    root, board, *_ = asked
    assert data_of(page(board, [root]))["examples"] == []


def test_examples_whose_data_have_changed_are_shown_without_texts(asked, tmp_path):
    root, board, _, folder = asked
    shutil.copytree(root, tmp_path / "x")
    args = tmp_path / "x" / folder.relative_to(root) / "args.json"
    args.write_text(re.sub(r'"data": "world:\w+"', '"data": "world:0000"', args.read_text()), encoding="utf-8")
    found = prediction_examples(board, [tmp_path / "x"], count=1, place=DataPlace.resolve(None), task_folders={})
    assert found.entries[0]["why"] == "texts are not shown: the data are no longer those that were predicted"
    assert found.entries[0]["items"][0]["texts"] == {}
    (tmp_path / "x" / folder.relative_to(root) / "predictions.jsonl").write_text("{", encoding="utf-8")
    found = prediction_examples(board, [tmp_path / "x"], count=1, place=DataPlace.resolve(None), task_folders={})
    assert "cannot be read" in found.entries[0]["why"]


def test_the_command_writes_the_page_and_says_where(tmp_path, capsys):
    root = nli(tmp_path / "x").write()
    target = tmp_path / "new" / "report.html"
    assert run_eval.main(["leaderboard", str(root), "--html", str(target), "--examples", "2"]) == 0
    assert f"page: {target}" in capsys.readouterr().err
    assert "scores" in Reader(target.read_text(encoding="utf-8")).ids()
    assert run_eval.main(["leaderboard", str(root), "--examples", "2"]) == 2
    assert "--html FILE" in capsys.readouterr().err
    assert run_eval.main(["leaderboard", str(root), "--html", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err


def test_the_scripts_are_short_and_none_is_forgotten():
    from harness.report.page.page import HERE, SCRIPTS

    files = {path.stem: path for path in Path(HERE).glob("*.js")}
    assert sorted(files) == sorted(SCRIPTS)
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in Path(HERE).iterdir() if path.is_file()}
    assert max(lengths.values()) <= 300, lengths


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
