"""The table of intermediate settings: which text of test languages each sees, and which targets' own training data.

parts = intermediate_section(Lines(board))
"""

import re
from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.number_format import NOTHING, SAME
from harness.report.board.table_rows import Lines
from harness.report.board.tables import Column, in_blocks

ABOUT = (
    "A setting that sees unlabelled, parallel or translated text of test languages is not zero-shot in the strict sense; "
    f"{SAME} lifts of a target's own training data say nothing of transfer between tasks."
)


def intermediate_section(lines: Lines) -> list[str]:
    """A line for each intermediate setting of the board."""
    board = lines.board
    names = list(dict.fromkeys(arm["intermediate"] for arm in lines.lifted))
    columns = [
        Column("text of test languages it sees", [board["declared"].get(name) or "not declared" for name in names], left=True),
        Column("own training data of", [_targets(board, name) for name in names], left=True),
    ]
    table = in_blocks([Column("intermediate", names, left=True)], columns)
    return ["## Intermediate settings", ABOUT, table]


def _targets(board: Mapping[str, Json], intermediate: str) -> str:
    """Targets that a setting trains on, with the part of a mixture or sequence that does."""
    parts = {re.split("[@~]", part)[0] for part in re.split("[+:]", intermediate)}
    found = []
    for task in board["task_order"]:
        if any(e["same_task"] for e in board["task_scores"] if (e["intermediate"], e["task"]) == (intermediate, task)):
            own = sorted(parts & set(board["tasks"][task]["same_task"]))
            found.append(f"{SAME}{task}" + (f" (by {', '.join(own)})" if own and own != [intermediate] else ""))
    return ", ".join(found) or NOTHING
