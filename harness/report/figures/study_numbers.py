"""What of a study.json is drawn: sizes, scores, lifts and lines, published numbers; all that it holds besides is left alone.

study = read_study(Path("runs/scaling/study.json"))
study.scores[0].means.all.value, study.lifts[0].scales.points
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.api.errors import UserError
from harness.api.json_text import read_json_file

ENGLISH_LEFT_OUT, TARGET = "zero_shot", "target"
"Kinds of groups of cells: all targets together, and each by itself."


class _Drawn(BaseModel):
    """A part of study.json, of which some keys are read."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class DrawnNumber(_Drawn):
    """A number, with an interval where there is one."""

    value: float
    low: float | None
    high: float | None


class DrawnBackbone(_Drawn):
    """A rung of a ladder."""

    backbone: str
    family: str
    size: float
    "Non-embedding parameters."
    bridges: str | None
    "The same backbone by its family's own method; such a one is in no line."


class DrawnMeans(_Drawn):
    """Means over languages."""

    all: DrawnNumber | None


class DrawnScore(_Drawn):
    """A point of a score curve."""

    setting: str
    backbone: str
    target: str
    means: DrawnMeans


class DrawnLift(_Drawn):
    """The lift of a backbone."""

    backbone: str
    lift: DrawnNumber


class DrawnLine(_Drawn):
    """The line of a family, by its level at two sizes and its slope."""

    smallest: float
    largest: float
    slope: DrawnNumber | None
    reference: DrawnNumber | None
    target: DrawnNumber | None


class DrawnFamily(_Drawn):
    """A family with its line, or without."""

    family: str
    line: DrawnLine | None


class DrawnLifts(_Drawn):
    """Lifts on one scale."""

    backbones: tuple[DrawnLift, ...]
    families: tuple[DrawnFamily, ...]


class DrawnScales(_Drawn):
    """Lifts by scale; None where a scale is refused."""

    points: DrawnLifts | None
    headroom: DrawnLifts | None
    logit: DrawnLifts | None


class DrawnGroup(_Drawn):
    """The lifts of a setting over a group of cells."""

    setting: str
    kind: str
    group: str
    scales: DrawnScales


class DrawnReference(_Drawn):
    """A published number: beside scores, never beside lifts."""

    reference: str
    model: str
    method: str
    split: str
    task: str
    key: str
    value: float
    size: float | None


class DrawnTarget(_Drawn):
    """A target task."""

    target: str


class DrawnPlan(_Drawn):
    """What the study fixed beforehand."""

    scale: Literal["points", "headroom", "logit"]
    margin: float
    reference: float | None
    target: float | None


class StudyNumbers(_Drawn):
    """A study as it is drawn."""

    schema_version: Literal[1]
    study: str
    synthetic: bool
    fixed: DrawnPlan
    settings: tuple[str, ...]
    targets: tuple[DrawnTarget, ...]
    backbones: tuple[DrawnBackbone, ...]
    scores: tuple[DrawnScore, ...]
    lifts: tuple[DrawnGroup, ...]
    references: tuple[DrawnReference, ...]


def read_study(path: Path) -> StudyNumbers:
    """Read and check a study.json; raises UserError at the first place that does not fit."""
    content = read_json_file(path, kind=dict)
    try:
        return StudyNumbers.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            first["msg"],
            where=f"{path} {'.'.join(map(str, first['loc']))}",
            expected="the results of a study, as `study` writes them",
            todo="give the command of the study again with --report_only",
        ) from error
