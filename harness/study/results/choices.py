"""Composites: for each backbone and target the setting, of several, with the best English development score.

    composites = choose(spec, scores)
    composites["best"].choices["xlmr-base", "xnli"].setting      # 'mnli'

A setting whose intermediate phase trains on the target's own data is no candidate for that target, unless all are.  A target
without development scores takes the setting that is best on average over the targets that have them.  Settings that were left
out, for their data are not here, are no candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.api.errors import UserError
from harness.scoring.sums import ordered_mean
from harness.specs.study import StudySpec
from harness.study.results.study_scores import StudyScores


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingChoice:
    """The setting that a composite takes for a target on a backbone."""

    setting: str
    by: Literal["development", "average"]
    scores: Mapping[str, float]
    "Candidate -> the development score that it was compared by, mean over seeds (and over targets)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Composite:
    """The best of several settings, target by target."""

    name: str
    settings: tuple[str, ...]
    choices: Mapping[tuple[str, str], SettingChoice]
    "(backbone, target) -> choice."
    without: Mapping[tuple[str, str], str]
    "(backbone, target) -> why nothing could be chosen."


def choose(spec: StudySpec, scores: StudyScores) -> dict[str, Composite]:
    """The composites of a study file; raises UserError for one that is named like a setting."""
    both = [name for name in spec.chosen if name in scores.arms]
    if both:
        raise UserError(f"'{both[0]}' names a setting and a choice among settings", where="chosen", todo="rename the choice")
    means = _development_means(scores)
    here = {name: [one for one in settings if one in scores.arms] for name, settings in spec.chosen.items()}
    return {name: _composite(name, settings, scores, means) for name, settings in here.items()}


def _development_means(scores: StudyScores) -> dict[tuple[str, str, str], float]:
    """(arm, backbone, target) -> the mean development score over seeds."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for key in sorted(scores.development):
        found.setdefault((key.arm, key.backbone, key.task), []).append(scores.development[key])
    return {place: ordered_mean(values) for place, values in found.items()}


def _composite(name: str, settings: Sequence[str], scores: StudyScores, means: Mapping[tuple[str, str, str], float]) -> Composite:
    choices: dict[tuple[str, str], SettingChoice] = {}
    without: dict[tuple[str, str], str] = {}
    targets = list(dict.fromkeys(cell.task for cell in scores.cells))
    for member in scores.members:
        backbone = member.rung.backbone
        for target in targets:
            candidates = [one for one in settings if (one, target) not in scores.same_task] or list(settings)
            told = {one: means[one, backbone, target] for one in candidates if (one, backbone, target) in means}
            by: Literal["development", "average"] = "development"
            if not told:
                told, by = _averages(candidates, backbone, scores, means), "average"
            if told:
                choices[backbone, target] = SettingChoice(setting=max(told, key=lambda one: told[one]), by=by, scores=told)
            else:
                without[backbone, target] = (
                    f"nothing to choose by: no target has English development scores of {', '.join(candidates)} on {backbone}"
                )
    return Composite(name=name, settings=tuple(settings), choices=choices, without=without)


def _averages(
    candidates: Sequence[str], backbone: str, scores: StudyScores, means: Mapping[tuple[str, str, str], float]
) -> dict[str, float]:
    """Candidate -> its mean over the targets on which all are scored, of those that no candidate trains on if there are any."""
    targets = list(dict.fromkeys(cell.task for cell in scores.cells))
    common = [target for target in targets if all((one, backbone, target) in means for one in candidates)]
    clean = [target for target in common if not any((one, target) in scores.same_task for one in candidates)]
    used = clean or common
    return {one: ordered_mean([means[one, backbone, target] for target in used]) for one in candidates} if used else {}
