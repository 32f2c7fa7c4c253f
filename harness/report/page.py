"""The board as Markdown for the terminal: scores, lifts, transfer gaps, languages, training, and what to know about them.

print(markdown(build_board([Path("runs/x")])))
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.protocols import Json
from harness.report.columns import Column, folded, in_blocks
from harness.report.remarks import remarks, training_table

NOTHING = "–"
NONE = "none"
SAME, PARTIAL, INCOMPLETE = "†", "‡", "*"
SYNTHETIC = (
    "> **Synthetic world.** These scores are of languages made up by this project: for learning the tool and testing a set-up, "
    "not for claims about models."
)

LIFT = (
    "Score with the intermediate task minus score without it: same backbone, target, languages, recipe and seeds; "
    "the paired interval in brackets."
)
GAP = "English minus the mean of the other languages; lower is better."


def markdown(board: Mapping[str, Json]) -> str:
    """The whole page; lines fit 160 columns, tables of many columns are split."""
    lines = _Lines(board)
    parts = ["# Leaderboard"]
    if board["synthetic"]:
        parts.append(SYNTHETIC)
    parts += ["## Scores", _legend(board), lines.table(_score_text, groups=True)]
    lifted = [line for line in lines.arms if line["intermediate"] != NONE]
    if lifted:
        parts += ["## Lift", LIFT, lines.table(_lift_text, groups=True, arms=lifted)]
    if any(entry["transfer_gap"] for entry in board["task_scores"]):
        parts += ["## Transfer gap", GAP, lines.table(_gap_text, groups=False)]
    parts += ["## Languages", *(text for task in board["task_order"] for text in _languages(lines, task))]
    parts += training_table(board)
    parts += remarks(board)
    return "\n\n".join(parts) + "\n"


class _Lines:
    """The lines of the board (arms) and what stands in them."""

    def __init__(self, board: Mapping[str, Json]) -> None:
        self.board = board
        self.tasks = {(*_arm_key(entry), entry["task"]): entry for entry in board["task_scores"]}
        self.groups = {(*_arm_key(entry), entry["group"]): entry for entry in board["group_scores"]}
        self.arms = list({_arm_key(entry): entry for entry in board["task_scores"]}.values())
        self.limits = {arm["limit"] for arm in self.arms}
        self.varied = [key for key in ("recipe", "prompted") if len({arm[key] for arm in self.arms} - {None}) > 1]

    def label(self, arm: Mapping[str, Json]) -> str:
        """The intermediate task, with whatever else tells lines of this board apart."""
        texts = {"recipe": arm["recipe"], "prompted": "prompt"}
        more = [str(texts[key]) for key in self.varied if arm[key]]
        more += [f"limit {arm['limit']}"] if arm["limit"] and len(self.limits) > 1 else []
        return arm["intermediate"] + (f" ({', '.join(more)})" if more else "")

    def table(self, text: Any, *, groups: bool, arms: Sequence[Mapping[str, Json]] | None = None) -> str:
        """A line for each arm, a column for each task and, if asked, for each group that has a number."""
        arms = self.arms if arms is None else arms
        models = [arm["model"] for arm in arms]
        shown = [model if i == 0 or models[i - 1] != model else "" for i, model in enumerate(models)]
        keys = [
            Column("model", shown, left=True),
            Column("parameters", [_size(self.board["models"].get(model)) if model else "" for model in shown]),
            Column("intermediate", [self.label(arm) for arm in arms], left=True),
        ]
        columns = [
            Column(task, [text(self.tasks.get((*_arm_key(arm), task))) for arm in arms]) for task in self.board["task_order"]
        ]
        if groups:
            names = [
                name
                for name in self.board["groups"]
                if any(e["group"] == name and e["score"] for e in self.board["group_scores"])
            ]
            columns += [Column(name, [text(self.groups.get((*_arm_key(arm), name))) for arm in arms]) for name in names]
        return in_blocks(keys, [column for column in columns if set(column.cells) != {NOTHING}])


def _arm_key(entry: Mapping[str, Json]) -> tuple[Any, ...]:
    return tuple(entry[key] for key in ("model", "intermediate", "recipe", "limit", "prompted"))


def _legend(board: Mapping[str, Json]) -> str:
    """What the numbers and the marks mean."""
    level = round(board["bootstrap"]["level"] * 100)
    chances = ", ".join(
        f"{task} {board['tasks'][task]['chance']:.3g}" for task in board["task_order"] if board["tasks"][task]["chance"]
    )
    used = [
        (SAME, "the intermediate task is the target's own training data", any(e["same_task"] for e in board["task_scores"])),
        (PARTIAL, "a sample of the test rows (--limit)", any(e["partial"] for e in board["task_scores"])),
        (INCOMPLETE, "languages or seeds are missing", not all(e["complete"] for e in board["task_scores"])),
    ]
    text = f"Mean over languages, 0 to 100, ± half of the {level} % interval over test examples."
    text += " Several training seeds: their mean, with their standard deviation as sd." if _many_seeds(board) else ""
    text += f" Chance: {chances}." if chances else ""
    return text + "".join(f" {mark} {meaning}." for mark, meaning, is_used in used if is_used)


def _many_seeds(board: Mapping[str, Json]) -> bool:
    return any(entry["seed_sd"] is not None for entry in board["task_scores"])


def _size(model: Mapping[str, Json] | None) -> str:
    """Total parameters and those without embeddings, e.g. '278M (85M)'."""
    if not model or not model["parameters"]:
        return NOTHING
    inner = f" ({_short(model['non_embedding_parameters'])})" if model["non_embedding_parameters"] else ""
    return _short(model["parameters"]) + inner


def _short(count: int) -> str:
    unit, name = (1e9, "B") if count >= 1e9 else (1e6, "M") if count >= 1e6 else (1e3, "K")
    number = count / unit
    return f"{number:.0f}{name}" if number >= 100 or name == "K" else f"{number:.3g}{name}"


def _marks(entry: Mapping[str, Json]) -> str:
    incomplete = not entry.get("complete", True)
    return (SAME if entry.get("same_task") else "") + (PARTIAL if entry["partial"] else "") + (INCOMPLETE if incomplete else "")


def _plus_minus(interval: Mapping[str, float], *, sign: str = "") -> str:
    return f"{_signed(interval['value'], sign)} ±{(interval['high'] - interval['low']) / 2:.1f}"


def _signed(value: float, sign: str = "+") -> str:
    """One decimal, never a negative zero."""
    return f"{round(value, 1) + 0.0:{sign}.1f}"


def _score_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["score"] is None:
        return NOTHING
    spread = f" sd {entry['seed_sd']:.1f}" if entry["seed_sd"] is not None else ""
    return f"{_marks(entry)}{_plus_minus(entry['score'])}{spread}"


def _lift_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["lift"] is None:
        return NOTHING
    lift, short = entry["lift"], INCOMPLETE if entry.get("lift_missing") and entry.get("complete", True) else ""
    return f"{_marks(entry)}{short}{_signed(lift['value'])} [{_signed(lift['low'])}, {_signed(lift['high'])}]"


def _gap_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["transfer_gap"] is None:
        return NOTHING
    return _marks(entry) + _plus_minus(entry["transfer_gap"])


def _languages(lines: _Lines, task: str) -> list[str]:
    """The table of each backbone's languages: one column for each intermediate task, its lift beside it."""
    parts: list[str] = []
    for model in dict.fromkeys(arm["model"] for arm in lines.arms):
        arms = [
            (arm, lines.tasks[key])
            for arm in lines.arms
            if arm["model"] == model and (key := (*_arm_key(arm), task)) in lines.tasks
        ]
        known = {lang for _, entry in arms for lang in entry["languages"]}
        listed = sorted(lines.board["tasks"][task]["languages"], key=lambda lang: lang != "en")
        names = [*(lang for lang in listed if lang in known), *sorted(known - set(listed))]
        if not names:
            continue
        columns = [Column("lang", names, left=True)]
        for arm, entry in arms:
            found = [entry["languages"].get(name) for name in names]
            label = lines.label(arm)
            columns.append(Column(label, [_plus_minus(numbers["score"]) if numbers else NOTHING for numbers in found]))
            if arm["intermediate"] != NONE:
                lifts = [numbers["lift"] if numbers else None for numbers in found]
                columns.append(Column("lift", [_plus_minus(lift, sign="+") if lift else NOTHING for lift in lifts]))
        parts += [f"### {task}: {model}", *_metric_lines(lines, arms), folded(columns)]
    return parts


def _metric_lines(lines: _Lines, arms: Sequence[tuple[Mapping[str, Json], Mapping[str, Json]]]) -> list[str]:
    """Means of all metrics where a task has more than the one that is its score."""
    texts = [
        f"{lines.label(arm)}: " + ", ".join(f"{key} {value:.1f}" for key, value in entry["metrics"].items())
        for arm, entry in arms
        if len(entry["metrics"]) > 1
    ]
    return ["Means of its metrics: " + "; ".join(texts) + "."] if texts else []
