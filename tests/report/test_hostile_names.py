"""Names, notes and descriptions that somebody else wrote do nothing on a page or a terminal but stand there."""

import re

import pytest
import yaml
from written_runs import WrittenRun, task

import run_eval
from harness.api.escaping import markdown_text, markdown_texts, visible
from harness.report.board.board import build_board
from harness.report.board.markdown import markdown
from harness.report.board.tables import Column, in_blocks
from harness.report.comparison import compare, find_systems
from harness.report.comparison import markdown as comparison_markdown

HOSTILE = (
    "a|b",
    "a`b",
    "``x` y",
    "<script>alert(1)</script>",
    "<!-- x",
    "[click](javascript:alert(1))",
    "![x](http://x/y.png)",
    "[x]: http://x",
    "two\n# lines",
    "# heading",
    "> quote",
    "**bold** and _this_",
    "~~gone~~",
    "red \x1b[31m\x1b]0;title\x07",
    "turned \u202e\u2066",
    "half \ud800",
    "&lt;b&gt; &#60;",
    "back\\|slash \\<b>",
    "tab\there\r",
)
ORDINARY = (
    "xlm-roberta-base + mnli_de (quick), `--prompt_args normalise=per_token`",
    "mini/panx_udpos-1.0 [a; b] 3 < 4 & 5 > 4, C:\\new (75 %)",
    "x = {y: [1, 2]} – déjà vu 漢字 ال",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_comes_out_as_it_is(text):
    assert markdown_text(text) == text
    assert visible(text) == text


@pytest.mark.parametrize("text", [*HOSTILE, *ORDINARY])
def test_markdown_shows_the_text_itself_and_nothing_else(text):
    renderer = pytest.importorskip("markdown_it", reason="markdown-it-py, which other packages bring, is not here").MarkdownIt()
    shown = renderer.enable(["table", "strikethrough"]).parse(f"- note: {markdown_text(text)}.")
    kinds = [token.type.removesuffix("_open") for token in shown if not token.type.endswith("_close")]
    assert kinds == ["bullet_list", "list_item", "paragraph", "inline"]
    (inline,) = [token for token in shown if token.type == "inline"]
    assert {token.type for token in inline.children} <= {"text", "text_special", "code_inline"}
    said = "".join(f"`{one.content}`" if one.type == "code_inline" else one.content for one in inline.children)
    assert said == "note: " + visible(" ".join(re.split("[ \t\r\n]+", text))) + "."


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_at_the_beginning_of_a_line_is_a_text(text):
    renderer = pytest.importorskip("markdown_it", reason="markdown-it-py, which other packages bring, is not here").MarkdownIt()
    kinds = {token.type for token in renderer.parse(f"- {markdown_text(text)}")}
    assert not kinds & {"heading_open", "blockquote_open", "html_block", "fence", "hr"}
    assert sum(token.type == "bullet_list_open" for token in renderer.parse(f"- {markdown_text(text)}")) == 1


def test_a_name_is_escaped_once_wherever_it_stands():
    document = {"a|b": ["a|b", {"x": ("a|b", 1, None)}]}
    assert markdown_texts(document) == {"a\\|b": ["a\\|b", {"x": ["a\\|b", 1, None]}]}
    table = in_blocks(
        [Column("k", [markdown_text("a|b"), "c|d", markdown_text("a\\|b")], left=True)], [Column("n", ["1", "2", "3"])]
    )
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()} == {3}


def _check_page(page: str) -> None:
    """A page without anything that acts, whose tables have as many cells in each line."""
    assert "\x1b" not in page
    assert "\ud800" not in page
    assert "<script" not in page.lower()
    assert "](" not in re.sub(r"\\\]\(", "", page)
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert tables
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines


NAME = "x|<script>alert(1)</script>`[a](b)\n# y\x1b[31m"


@pytest.fixture
def runs(tmp_path):
    """Two hostile runs."""
    for model in ("m", "n"):
        run = WrittenRun(
            tmp_path / model,
            tasks={NAME: task("de", "en", notes=[NAME], same_task=[])},
            model=model + NAME.replace("/", ""),
            recipe=NAME,
        )
        chain = [run.train_stage("t", degenerate=NAME)]
        for lang in ("de", "en"):
            run.cell("none", NAME, lang, seed=1, chain=chain)
        run.cell(NAME, NAME, "de", seed=1)
        run.extra["failures"] = [{"stage": NAME, "error": NAME}]
        run.extra["overlaps"] = [{"train": NAME, "test": NAME, "lang": "de", "n": 3}]
        run.write()
    return tmp_path


def test_the_board_of_a_hostile_run_is_a_plain_page(runs):
    page = markdown(build_board([runs / "m"]))
    _check_page(page)
    assert "x\\|&lt;script>" in page


def test_the_comparison_of_hostile_runs_is_a_plain_page(runs):
    page = comparison_markdown(compare(*find_systems([str(runs / "m"), str(runs / "n")])))
    _check_page(page)


@pytest.mark.parametrize("command", ["ls tasks", "show hostile", "validate {folder}", "ls groups"])
def test_commands_print_nothing_that_acts_on_a_terminal(tmp_path, capsys, command):
    bad = "red \x1b[31m \u202e two\nlines \x07"
    spec = {
        "task": "hostile",
        "type": "classification",
        "description": bad,
        "licence": bad,
        "notes": [bad],
        "languages": ["de"],
        "data": {"test": {"files": {"rows": "r.jsonl"}, "reader": "jsonl"}},
        "fields": {"text": "text", "label": "label"},
        "labels": ["a", bad],
        "metrics": ["accuracy"],
    }
    (tmp_path / "hostile.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    (tmp_path / "r.jsonl").write_text('{"text": "\\u001b[31m \\ud83d", "label": "a"}\n', encoding="utf-8")
    words = command.format(folder=tmp_path).split()
    code = run_eval.main([*words, *([] if "validate" in words else ["--include_path", str(tmp_path)])])
    said = "".join(capsys.readouterr())
    assert code in (0, 2)
    assert said
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", said)
    if command == "show hostile":
        assert "red \\x1b[31m \\u202e two\\nlines" in said


def test_a_mistake_that_quotes_a_file_does_not_act_either(tmp_path, capsys):
    (tmp_path / "t.yaml").write_text('task: t\ntype: "\\e[31m"\n"\\e[0m": 1\n', encoding="utf-8")
    assert run_eval.main(["validate", str(tmp_path)]) == 2
    said = "".join(capsys.readouterr())
    assert "\\x1b[31m" in said
    assert "\x1b" not in said
