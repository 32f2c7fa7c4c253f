"""The rows of a board by what makes a file of other programs: one model, intermediate setting, recipe, seed and way of asking.

for arm in arms_of(board):
    arm.name, [row["task"] for row in arm.rows]        # 'xlm-roberta-base+mnli-seed1', ['xnli', 'xnli', ...]
    arm.task_name(arm.rows[0])                         # 'xnli_de'

source_of(args)                                        # the dataset behind the rows of a prediction
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.api.protocols import Json
from harness.report.record.newest import CellKey
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import read_begun
from harness.specs.limit import Limit

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class BoardArm:
    """Scores of one model, trained and asked in one way."""

    model: str
    intermediate: str
    recipe: str | None
    seed: int | None
    route: str
    limit: Limit | None
    rows: Sequence[Mapping[str, Json]]
    "In the order of the board."

    @property
    def name(self) -> str:
        """A name that tells it from the others."""
        parts = [self.model + (f"+{self.intermediate}" if self.intermediate != NONE else "")]
        parts += [self.recipe] if self.recipe else []
        parts += [f"seed{self.seed}"] if self.seed is not None else []
        parts += [self.route] if self.route.startswith("prompt") else []
        parts += [f"limit{self.limit}"] if self.limit else []
        return portable_name("-".join(parts))

    @property
    def settings(self) -> dict[str, str]:
        """What it is, as texts."""
        said = {
            "intermediate": self.intermediate,
            "recipe": self.recipe,
            "seed": self.seed,
            "route": self.route,
            "limit": self.limit,
        }
        return {name: str(value) for name, value in said.items() if value is not None}

    @property
    def num_fewshot(self) -> int:
        """Solved examples before each question."""
        found = [part for part in self.route.split() if part.endswith("-shot")]
        return int(found[0].removesuffix("-shot")) if found and found[0].removesuffix("-shot").isdecimal() else 0

    def task_name(self, row: Mapping[str, Json]) -> str:
        """Task and language in one name, as other programs have it; tasks of lm-eval keep theirs."""
        task = str(row["task"])
        return task.removeprefix("lm_eval/") if task.startswith("lm_eval/") else f"{task}_{row['lang']}"

    def key(self, row: Mapping[str, Json]) -> CellKey:
        """The cell that a row is of."""
        return CellKey(self.model, self.intermediate, row["task"], row["lang"], self.seed, self.recipe, self.route, self.limit)


ARM = ("model", "intermediate", "recipe", "seed", "route", "limit")


def arms_of(board: Mapping[str, Json]) -> list[BoardArm]:
    """The arms of a board in its order."""

    def identity(row: Mapping[str, Json]) -> tuple[Any, ...]:
        return tuple(row[name] for name in ARM)

    first: dict[tuple[Any, ...], int] = {}
    for row in board["rows"]:
        first.setdefault(identity(row), len(first))
    ordered = sorted(board["rows"], key=lambda row: first[identity(row)])
    return [BoardArm(**dict(zip(ARM, own)), rows=list(rows)) for own, rows in groupby(ordered, key=identity)]


def portable_name(text: str) -> str:
    """A text as the name of a file or folder on any system."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip(". ") or "_"


def predict_arguments(row: Mapping[str, Json], roots: Sequence[Path]) -> PredictArguments | None:
    """The arguments of the prediction that a row rests on; None where its folder is gone."""
    name = row["stages"]["predict"]
    folder = next((root / name for root in roots if (root / name / "args.json").is_file()), None)
    args = read_begun(folder).args if folder else None
    return args if isinstance(args, PredictArguments) else None


def source_of(args: PredictArguments | None) -> tuple[str | None, str | None, str | None]:
    """(hub dataset, its configuration, its split) of the test rows; None for what is not on the hub or not known."""
    sources = args.rows.task_spec.data.test if args else ()
    first = sources[0] if sources else None
    return (first.hub, first.config, first.split) if first else (None, None, None)
