"""The lines of the printed board, one for each arm of a comparison, and the tables that have a line for each.

lines = Lines(board)
lines.table(lambda entry: "-" if entry is None else ..., groups=True)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.api.protocols import Json
from harness.report.board.number_format import NONE, NOTHING, size
from harness.report.board.tables import Column, in_blocks

Text = Callable[[Mapping[str, Json] | None], str]
"The cell of a table: what an entry of task_scores or group_scores says; None where there is no entry."


def arm_key(entry: Mapping[str, Json]) -> tuple[Any, ...]:
    """The values by which the lines of a board differ."""
    return tuple(entry[key] for key in ("model", "intermediate", "recipe", "limit", "prompt"))


class Lines:
    """The lines of the board (arms) and what stands in them."""

    def __init__(self, board: Mapping[str, Json]) -> None:
        """Arguments: a board as `build_board` gives it."""
        self.board = board
        self.tasks = {(*arm_key(entry), entry["task"]): entry for entry in board["task_scores"]}
        self.groups = {(*arm_key(entry), entry["group"]): entry for entry in board["group_scores"]}
        self.arms = list({arm_key(entry): entry for entry in board["task_scores"]}.values())
        self.lifted = [arm for arm in self.arms if arm["intermediate"] != NONE]
        self.models = list(dict.fromkeys(arm["model"] for arm in self.arms))
        self.limits = {arm["limit"] for arm in self.arms}
        self.varied = [key for key in ("recipe",) if len({arm[key] for arm in self.arms} - {None}) > 1]

    def label(self, arm: Mapping[str, Json]) -> str:
        """The intermediate setting, with whatever else tells lines of this board apart."""
        more = [str(arm[key]) for key in self.varied if arm[key]]
        more += [arm["prompt"]] if arm["prompt"] else []  # always: prompted and fine-tuned scores must not look alike
        more += [f"limit {arm['limit']}"] if arm["limit"] and len(self.limits) > 1 else []
        return arm["intermediate"] + (f" ({', '.join(more)})" if more else "")

    def of(self, model: str, task: str) -> list[Mapping[str, Json]]:
        """The task's entries of a backbone, in the order of the lines."""
        keys = [(*arm_key(arm), task) for arm in self.arms if arm["model"] == model]
        return [self.tasks[key] for key in keys if key in self.tasks]

    def table(self, text: Text, *, groups: bool, arms: Sequence[Mapping[str, Json]] | None = None) -> str:
        """A line for each arm, a column for each task and, if asked, for each group that has a number."""
        arms = self.arms if arms is None else arms
        models = [arm["model"] for arm in arms]
        shown = [model if i == 0 or models[i - 1] != model else "" for i, model in enumerate(models)]
        keys = [
            Column("model", shown, left=True),
            Column("intermediate", [self.label(arm) for arm in arms], left=True),
        ]
        sizes = Column("parameters", [size(self.board["models"].get(model)) if model else "" for model in shown])
        columns = [
            Column(task, [text(self.tasks.get((*arm_key(arm), task))) for arm in arms]) for task in self.board["task_order"]
        ]
        if groups:
            names = [
                name
                for name in self.board["groups"]
                if any(e["group"] == name and e["score"] for e in self.board["group_scores"])
            ]
            columns += [Column(name, [text(self.groups.get((*arm_key(arm), name))) for arm in arms]) for name in names]
        return in_blocks(keys, [sizes, *(column for column in columns if set(column.cells) != {NOTHING})])
