"""Scores of made-up studies by hand: ladders whose lifts are given, with small noise of items and seeds.

scores = small_study({"none": 0.0, "mnli": 3.0}, {"X": (1e8, 1e9, 1e10)})
spec = study_spec(scores, hypotheses=[{"name": "helps", "asks": "helps", "settings": "mnli"}])
"""

from dataclasses import replace

import numpy as np

from harness.scoring.bootstrap import BootstrapEstimate
from harness.specs.study import StudySpec
from harness.study.results.study_scores import Member, StudyScores, TrainingKey
from harness.study.statistics.effects import ScoreKey
from harness.study.statistics.evidence import Rung
from harness.study.statistics.outcome_groups import StudyCell

LADDER = {"X": (1e8, 3e8, 1e9, 3e9), "M": (1e8, 1e9, 1e10)}
LANGS = ("en", "de", "sw")
SEEDS = (1, 2, 3)
CATEGORIES = {"xnli": "classification", "pawsx": "classification", "udpos": "tagging"}


def name_of(family, size):
    return f"{family}-{size:g}"


def small_study(
    lifts,
    ladder=LADDER,
    *,
    tasks=("xnli", "udpos"),
    langs=LANGS,
    seeds=SEEDS,
    base=60.0,
    seed_noise=0.05,
    item_noise=1.0,
    own_noise=0.05,
    lift_noise=0.0,
    num_draws=60,
    untrained=(),
    **fields,
):
    """lifts: arm -> number, or function of (family, size, cell), asked once a seed.

    Scores of `untrained` targets have seed None in the baseline.  Noise of draws: item_noise is shared by all scores of a cell,
    lift_noise by the seeds of an arm on a backbone, own_noise by none.
    """
    rng = np.random.default_rng(0)
    cells = tuple(StudyCell(task, lang) for task in tasks for lang in langs)
    items = {cell: item_noise * rng.standard_normal(num_draws) for cell in cells}
    estimates = {}
    for arm, lift in lifts.items():
        for family, sizes in ladder.items():
            for size in sizes:
                for cell in cells:
                    shift, *shared = lift_noise * rng.standard_normal(1 + num_draws) if lift_noise else np.zeros(1 + num_draws)
                    own = (None,) if arm == "none" and cell.task in untrained else seeds
                    for seed in own:
                        own_lift = lift(family, size, cell) if callable(lift) else lift
                        value = base + shift + own_lift + seed_noise * rng.standard_normal()
                        draws = value + items[cell] + np.array(shared) + own_noise * rng.standard_normal(num_draws)
                        key = ScoreKey(arm, name_of(family, size), cell, seed)
                        estimates[key] = BootstrapEstimate(value, np.clip(draws, 0, 100))
    members = tuple(
        Member(
            rung=Rung(name_of(family, size), family, size),
            model=name_of(family, size),
            method="full",
            covered=("en", "de"),
            contamination="none",
            facts={"recipe": "r"},
        )
        for family, sizes in ladder.items()
        for size in sizes
    )
    made = StudyScores(
        arms=tuple(lifts),
        members=members,
        cells=cells,
        seeds=tuple(seeds),
        estimates=estimates,
        examples=dict.fromkeys(cells, 1000),
        development={},
        categories={task: CATEGORIES[task] for task in tasks if task in CATEGORIES},
        fingerprint="first",
    )
    return replace(made, **fields)


def development_of(scores, values):
    """Development scores: (arm, target) -> number, the same on every backbone and seed."""
    return {
        TrainingKey(arm, member.rung.backbone, task, seed): value
        for (arm, task), value in values.items()
        for member in scores.members
        for seed in scores.seeds
    }


def without(scores, chosen, why="the run failed"):
    """The study without the scores whose key `chosen` says yes to."""
    gone = [key for key in scores.estimates if chosen(key)]
    assert gone
    left = {key: value for key, value in scores.estimates.items() if key not in gone}
    return replace(scores, estimates=left, missing=dict.fromkeys(gone, why))


def study_spec(scores, *, hypotheses=(), chosen=None, note="", **verdicts):
    """A study file of these scores."""
    fixed = {"reference": 3e8, "target": 3e9, "margin": 1.0} | verdicts
    return StudySpec.model_validate(
        {
            "study": "small",
            "description": "A small study.",
            "note": note,
            "families": {name: {"backbones": ["m"]} for name in {member.rung.family for member in scores.members}},
            "intermediate": [arm for arm in scores.arms if arm != "none"],
            "chosen": chosen or {},
            "tasks": list(dict.fromkeys(cell.task for cell in scores.cells)),
            "seeds": list(scores.seeds),
            "verdicts": fixed,
            "hypotheses": list(hypotheses),
        }
    )
