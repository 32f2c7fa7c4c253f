"""Wrapped Markdown: lines that fit a terminal and are still the same Markdown, and tables whose texts go on below."""

import pytest

from harness.api.text_lines import lines_of, width
from harness.report.board.prose import wrapped
from harness.report.board.tables import Column, in_blocks

WORDS = "tiny + none (quick) - 12. of # all * and > what | is = here ~~~ then "


@pytest.mark.parametrize("limit", range(12, 60))
def test_no_line_begins_with_what_would_act_in_markdown(limit):
    page = wrapped(WORDS * 5, width=limit)
    assert page.split() == (WORDS * 5).split()
    starts = {line.split()[0] for line in page.splitlines()[1:]}
    assert starts.isdisjoint({"+", "-", "12.", "#", "*", ">", "|", "=", "~~~"})
    assert len(page.splitlines()) > 1


def test_what_goes_on_below_stays_in_its_item_or_quote():
    assert wrapped("- one two three\n  - four five six\n> seven eight", width=9).splitlines() == [
        "- one two",
        "  three",
        "  - four",
        "    five",
        "    six",
        "> seven",
        "> eight",
    ]


def test_tables_and_headings_stay_on_their_lines():
    page = "## A heading of several words\n\n| a table | of | several | cells |"
    assert wrapped(page, width=10) == page


def test_wide_letters_take_two_columns_and_are_broken_where_no_space_is():
    assert width("日本e\u0301") == 5
    assert lines_of("日本語の文です", limit=6) == ["日本語", "の文で", "す"]
    assert lines_of("a/long/path.json here", limit=6) == ["a/long/path.json", "here"]
    table = in_blocks([Column("名", ["日本", "a"], left=True)], [Column("n", ["1", "2"])])
    assert len({width(line) for line in table.splitlines()}) == 1


def test_a_text_too_long_for_a_table_goes_on_in_further_rows():
    text = Column("differs in", ["test rows; another prompt; another number format", "–"], left=True)
    table = in_blocks(
        [Column("task", ["xnli", "panx"], left=True)], [text, Column("score", ["71.0", "60.0"], joined=True)], limit=45
    )
    assert table.splitlines() == [
        "| task | differs in                 | score |",
        "| :--- | :------------------------- | ----: |",
        "| xnli | test rows; another prompt; |  71.0 |",
        "|      | another number format      |       |",
        "| panx | –                          |  60.0 |",
    ]


def test_rows_in_which_nothing_stands_are_left_out_of_a_block():
    keys = [Column("task", ["xnli", "panx"], left=True)]
    columns = [Column("none", ["71.0", "60.0"]), Column("mnli", ["–", "61.0"])]
    table = in_blocks(keys, columns, limit=16, blank="–")
    assert [line for line in table.splitlines() if "xnli" in line] == ["| xnli | 71.0 |"]
    assert table.count("panx") == 2


def test_a_column_that_cannot_give_way_leaves_it_to_another():
    path = Column("stage", ["predict/" + "x" * 40], left=True)
    text = Column("why", ["a reason of a few words more than fit"], left=True)
    table = in_blocks([path], [text], limit=80)
    assert max(map(width, table.splitlines())) <= 80
    assert "x" * 40 in table
