"""The whole way: examples of single cells, bootstrap, lifts on each scale, two families, verdicts tested together."""

from dataclasses import replace

import numpy as np
import pytest

from harness.scoring.bootstrap import CellStatistics, estimates
from harness.study.statistics.advice import advise
from harness.study.statistics.effects import ScoreKey, advantage, group_lifts, joined, score_table_of, without_seeds
from harness.study.statistics.evidence import Rung, backbone_lifts, evidence
from harness.study.statistics.hypotheses import SignClaim, settle
from harness.study.statistics.looks import LookLog
from harness.study.statistics.outcome_groups import StudyCell, outcome_groups
from harness.study.statistics.questions import ScaleQuestion
from harness.study.statistics.rankings import rank_intervals
from harness.study.statistics.robustness import disagreements
from harness.study.statistics.scales import SCALES
from harness.study.statistics.student import StudentEstimate

LADDER = [Rung(f"{family}-{size:g}", family=family, size=size) for family in ("a", "b") for size in (1e8, 1e9, 1e10)]
NAMES = [rung.backbone for rung in LADDER]
CELLS = [StudyCell("xnli", lang) for lang in ("en", "de", "sw")]
SEEDS = (1, 2, 3)
LIFTS = {"none": 0.0, "mnli": 0.12, "squad": 0.05}
QUESTION = ScaleQuestion(reference=1e8, target=1e10, margin=6.0)


def accuracy(totals):
    return {"score": 100 * totals[..., 0] / totals[..., 1]}


@pytest.fixture(scope="module")
def found():
    """Items of common difficulty, answered in parallel languages; seed 3 of one backbone failed to learn."""
    rng = np.random.default_rng(0)
    difficulty = rng.random(2000)
    cells = {}
    for arm, lift in LIFTS.items():
        for backbone in NAMES:
            for seed in SEEDS:
                for cell in CELLS:
                    share = 0.6 + lift + 0.01 * rng.standard_normal()
                    share = 0.34 if (arm, backbone, seed) == ("mnli", "b-1e+10", 3) else share
                    right = 0.7 * difficulty + 0.3 * rng.random(2000) < share
                    stats = np.stack([right, np.ones(2000)], axis=1).astype(float)
                    key = ScoreKey(arm, backbone, cell, seed)
                    cells[key] = CellStatistics(name=repr(key), stats=stats, combine=accuracy, items="xnli")
    made = estimates(list(cells.values()), seed=0, samples=300)
    return {key: made[cell.name] for key, cell in cells.items()}


@pytest.fixture(scope="module")
def table(found):
    return score_table_of(found, arms=tuple(LIFTS), backbones=NAMES, cells=CELLS, seeds=SEEDS)


GROUP = outcome_groups(CELLS, categories={}, covered=None)[0]
FAILED = np.zeros((6, 3), dtype=bool)
FAILED[NAMES.index("b-1e+10"), 2] = True


def lifts_of(table, arm="mnli", scale="points"):
    return group_lifts(table, GROUP, treated=arm, baseline="none", scale=scale)


def test_english_is_not_in_the_lift_that_is_judged():
    assert (GROUP.kind, GROUP.weights) == ("zero_shot", (0.0, 0.5, 0.5))


def test_one_failed_seed_decides_what_can_be_said_and_that_is_told(table):
    lifts = lifts_of(table)
    readings = {"all": lifts, "without degenerate seeds": without_seeds(lifts, FAILED)}
    verdicts = {}
    for name, reading in readings.items():
        answer = QUESTION.answer(evidence(reading, ladder=LADDER))
        verdicts[name] = settle({"mnli": answer.claim}, alpha=0.05, correction="holm")["mnli"].decision.verdict
    assert verdicts == {"all": "undecided", "without degenerate seeds": "persists"}
    (told,) = disagreements(verdicts, main="all")
    assert told.text == "without degenerate seeds: persists, where all is undecided"


def test_every_backbone_has_a_lift_with_its_interval(table):
    study = evidence(without_seeds(lifts_of(table), FAILED), ladder=LADDER)
    own = backbone_lifts(study)
    low, high = own.ends(0.95)
    assert ((low > 8) & (high < 25)).all()
    # Examples are the same for all: lifts move together.
    correlation = study.items / np.sqrt(np.outer(np.diag(study.items), np.diag(study.items)))
    assert correlation[np.triu_indices(6, 1)].mean() > 0.3


@pytest.mark.parametrize(("scale", "margin"), zip(SCALES, (6.0, 15.0, 0.4), strict=True))
def test_the_scales_agree_where_nothing_changes(table, scale, margin):
    lifts = without_seeds(lifts_of(table, scale=scale), FAILED)
    answer = replace(QUESTION, margin=margin).answer(evidence(lifts, ladder=LADDER))
    assert answer.claim.decide(0.05).verdict == "persists"


def test_settings_are_compared_paired_and_ranked(table):
    first, second = (without_seeds(lifts_of(table, arm=arm), FAILED) for arm in ("mnli", "squad"))
    better = QUESTION.answer(evidence(advantage(first, second), ladder=LADDER))
    claims = {
        "mnli > squad": SignClaim(estimate=better.target, margin=1.0),
        "mnli persists": QUESTION.answer(evidence(first, ladder=LADDER)).claim,
    }
    found = settle(claims, alpha=0.05, correction="holm")
    assert {name: one.decision.verdict for name, one in found.items()} == {"mnli > squad": "holds", "mnli persists": "persists"}
    level = [QUESTION.answer(evidence(one, ladder=LADDER)).target for one in (first, second)]
    value, variance = np.zeros((3, 3)), np.ones((3, 3))
    pairs = {(0, 1): better.target, (0, 2): level[0], (1, 2): level[1]}
    for (row, column), estimate in pairs.items():
        value[row, column], value[column, row] = estimate.value, -estimate.value
        variance[row, column] = variance[column, row] = estimate.variance
    df = min(float(estimate.df) for estimate in pairs.values())
    ranks = rank_intervals(["mnli", "squad", "none"], StudentEstimate(value=value, variance=variance, df=df), alpha=0.05)
    assert [(one.rank, one.best, one.worst) for one in ranks] == [(1, 1, 1), (2, 2, 3), (3, 2, 3)]


def test_ladders_are_joined_and_give_what_one_table_gives(found, table):
    parts = []
    for family in ("a", "b"):
        names = [rung.backbone for rung in LADDER if rung.family == family]
        own = score_table_of(found, arms=tuple(LIFTS), backbones=names, cells=CELLS, seeds=SEEDS)
        parts.append(lifts_of(own))
    both, told = joined(parts), lifts_of(table)
    assert both.backbones == told.backbones
    assert (both.seeds == told.seeds).all()
    assert (both.draws == told.draws).all()
    with pytest.raises(ValueError, match="not joined"):
        joined([parts[0], replace(parts[1], scale="logit")])


def test_an_undecided_verdict_comes_with_what_would_decide_it_at_the_next_look(table):
    study = evidence(without_seeds(lifts_of(table), FAILED), ladder=LADDER)
    question = replace(QUESTION, margin=5.0)
    log = LookLog(2)
    level = log.level(0.05, fingerprint="first")
    assert settle({"h": question.answer(study).claim}, alpha=level.alpha, correction="holm")["h"].decision.verdict == "undecided"
    log = log.looked("first", {"h": "undecided"})
    options = advise(study, question, alpha=log.level(0.05, fingerprint="second").alpha, runs_per_seed=2, available_items=50)
    assert [(option.what, option.verdict) for option in options] == [("examples", "persists"), ("seeds", "persists")]
    assert options[0].runs == 0 < options[1].runs
