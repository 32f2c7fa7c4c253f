"""The intermediate settings: which text of test languages each sees, and which targets' own training data.

parts = intermediate_section(Lines(board))
"""

import re
from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.number_format import SAME
from harness.report.board.table_rows import Lines

ABOUT = (
    "A setting that sees unlabelled, parallel or translated text of test languages is not zero-shot in the strict sense; "
    f"{SAME} lifts of a target's own training data say nothing of transfer between tasks."
)


def intermediate_section(lines: Lines) -> list[str]:
    """An item for each intermediate setting of the board."""
    board = lines.board
    items = []
    for name in dict.fromkeys(arm["intermediate"] for arm in lines.lifted):
        own = _targets(board, name)
        seen = f"text of test languages it sees: {board['declared'].get(name) or 'not declared'}"
        items.append(f"- {name}: {seen}" + (f"; it trains on the own data of {own}" if own else "") + ".")
    return ["## Intermediate settings", ABOUT, "\n".join(items)]


def _targets(board: Mapping[str, Json], intermediate: str) -> str:
    """Targets that a setting trains on, with the part of a mixture or sequence that does."""
    parts = {re.split("[@~]", part)[0] for part in re.split("[+:]", intermediate)}
    found = []
    for task in board["task_order"]:
        if any(e["same_task"] for e in board["task_scores"] if (e["intermediate"], e["task"]) == (intermediate, task)):
            own = sorted(parts & set(board["tasks"][task]["same_task"]))
            found.append(f"{SAME}{task}" + (f" (by {', '.join(own)})" if own and own != [intermediate] else ""))
    return ", ".join(found)
