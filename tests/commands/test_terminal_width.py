"""What `ls` and `show` print on a terminal: nothing is cut and no line is wider, and into a pipe a row is a line."""

import pytest
from printed_pages import too_wide
from small_tasks import pairs, write
from test_cli import call

from harness.api.registry import METRICS
from harness.commands import show
from harness.commands._table import paragraphs, table
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.kinds import KINDS

LISTS = ("tasks", "models", "metrics", "groups", "recipes", "studies", "types", "languages", "references")
WORDS = "a description that is a good deal longer than a line of the terminal can hold, so that it goes on below it"


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("what", LISTS)
def test_no_list_is_wider_than_the_terminal_or_cut(capsys, monkeypatch, what):
    _, piped, _ = call(capsys, "ls", what)
    monkeypatch.setenv("COLUMNS", "100")
    code, shown, _ = call(capsys, "ls", what)
    assert code == 0
    assert too_wide(shown) == []
    assert "..." not in {line[-3:] for line in shown.splitlines()}
    assert sorted(_letters(piped)) == sorted(_letters(shown))


def _letters(page):
    """Everything that a page says, whatever its lines."""
    return [letter for letter in page if letter not in " \n-"]


@pytest.mark.long
def test_nothing_that_is_shipped_is_shown_wider_than_the_terminal(capsys, terminal, monkeypatch):
    catalog = Catalog([])
    monkeypatch.setattr(show, "Catalog", lambda *include, **options: catalog)  # the same files for every name
    names = [name for kind in KINDS for name in catalog.names(kind)] + list(METRICS.names())
    wide = {name: found for name in names if (found := too_wide(call(capsys, "show", name)[1]))}
    assert len(names) > 100
    assert wide == {}


def test_a_row_is_a_line_where_there_is_no_terminal(tmp_path, capsys, monkeypatch):
    write(tmp_path, pairs("told", description=WORDS))
    words = ["ls", "tasks", "--include_path", str(tmp_path)]
    (line,) = [line for line in call(capsys, *words)[1].splitlines() if line.startswith("told ")]
    assert line.endswith(WORDS)
    monkeypatch.setenv("COLUMNS", "100")
    page = call(capsys, *words)[1]
    assert WORDS not in page
    assert "deal longer than" in " ".join(page.split())
    assert too_wide(page) == []


def test_columns_give_way_the_widest_first_and_words_stay_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    rows = [["a_long_name", "one two three four five six"], ["b", "日本語の文"]]
    assert table(["name", "what"], rows).splitlines() == [
        "name         what",
        "-----------  -----------------",
        "a_long_name  one two three",
        "             four five six",
        "b            日本語の文",
    ]
    assert paragraphs("  an indented line that goes on below").splitlines() == ["  an indented line that goes", "  on below"]


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        (["tasks", "--languages", "sw"], ["xnli", "40 (sw)"], ["pawsx ", "bucc2018"]),
        (["tasks", "--languages", "de,sw", "--type", "tagging"], ["panx", "33 (de)", "40 (de sw)"], ["xnli", "mnli"]),
        (["models", "--family", "xlm-r"], ["xlm-roberta-large"], ["mt5"]),
        (["models", "--languages", "jv"], ["mt5-small"], ["smollm2"]),
        (["languages", "--family", "turkic"], ["Turkish", "Kazakh"], ["German"]),
    ],
)
def test_lists_are_narrowed(capsys, words, inside, outside):
    code, out, _ = call(capsys, "ls", *words)
    assert code == 0
    assert [text for text in inside if text not in out] == []
    assert [text for text in outside if text in out] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["metrics", "--type", "tagging"], "--type: metrics are not narrowed by it\n  to do: it narrows `ls tasks`"),
        (["tasks", "--type", "taging"], "did you mean 'tagging'?"),
        (["models", "--family", "XML-R"], "did you mean 'XLM-R'?"),
        (["tasks", "--languages", "german"], "did you mean 'de'?"),
    ],
)
def test_a_filter_that_cannot_be_is_code_2(capsys, words, expected):
    code, out, err = call(capsys, "ls", *words)
    assert (code, out) == (2, "")
    assert expected in err


def test_english_comes_first_in_the_list_of_languages(capsys):
    listed = call(capsys, "ls", "languages")[1].split("\n\n")[0]
    codes = [line.split()[0] for line in listed.splitlines()[2:]]
    assert codes[:3] == ["en", "af", "ar"]
    assert len(codes) == 50
    assert codes[1:] == sorted(codes[1:])


def test_metrics_are_told_in_a_sentence_each(capsys):
    code, out, _ = call(capsys, "ls", "metrics")
    assert code == 0
    rows = out.split("\n\n")[0].splitlines()[2:]
    assert len(rows) == len(METRICS.names())
    assert "(XNLI, PAWS-X)" in out
    assert all(len(row.split()) > 5 for row in rows)


@pytest.mark.parametrize(
    ("words", "tags"),
    [(["show", "phang2020"], {"R", "M"}), (["show", "jiant_guide"], {"R"}), (["ls", "references"], {"R", "I", "M+"})],
)
def test_tags_are_explained_where_they_are_printed(capsys, words, tags):
    meanings = {
        "R": "read in a repository",
        "M": "recalled, not looked up",
        "M+": "recalled, and confirmed",
        "I": "read in a thread",
    }
    out = call(capsys, *words)[1]
    explained = out.rstrip("\n").split("\n\n")[-1]
    assert {tag for tag in meanings if f"[{tag}] {meanings[tag]}" in explained} == tags
