"""The scenarios on which the statistics are tried: what is true, how much is measured, and what should be said of it.

for scenario in SCENARIOS:
    scenario.name, scenario.world, scenario.right
"""

from dataclasses import dataclass, replace

from harness.study.simulation.simulated_studies import (
    FamilyOfBackbones,
    ItemSet,
    StudyWorld,
    constant,
    linear,
    saturating,
)
from harness.study.statistics.questions import ScaleQuestion
from harness.study.statistics.verdicts import Verdict

XLMR = FamilyOfBackbones("xlmr", (8.6e7, 3.0e8, 3.3e9, 1.03e10))
MT5 = FamilyOfBackbones("mt5", (3.0e7, 1.0e8, 3.3e8, 1.3e9, 5.2e9))
QWEN3 = FamilyOfBackbones("qwen3", (4.4e8, 1.4e9, 3.6e9, 6.9e9, 1.32e10))
QUESTION = ScaleQuestion(reference=3e8, target=1e10, margin=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A world, the question asked of it, and the verdicts that are true of it."""

    name: str
    world: StudyWorld
    right: frozenset[Verdict]
    question: ScaleQuestion = QUESTION
    looks: int = 1
    "Looks planned; with more than one, the advice on seeds is followed until the verdict is decided."
    first_seeds: int = 0
    "Seeds at the first look; 0 = all."
    enough: bool = True
    "At least three seeds, four sizes and test sets of a thousand: coverage shall be 93 to 97 %."
    is_line: bool = True
    "Whether the truth is a line on the world's scale; where it is not, a line is held to it all the same."


def _truly(*verdicts: Verdict) -> frozenset[Verdict]:
    return frozenset(verdicts)


_THREE = StudyWorld(families=(XLMR, MT5, QWEN3), curve=constant(4.0))
_ONE = replace(_THREE, families=(QWEN3,))
_SMALL = (ItemSet(205), ItemSet(234))  # as many as Tatoeba has for jv and te

SCENARIOS = (
    Scenario(name="one family, constant", world=_ONE, right=_truly("persists")),
    Scenario(name="one family, linear", world=replace(_ONE, curve=linear(5.0, slope=-2.0, at=3e8)), right=_truly("shrinks")),
    Scenario(name="one family, null", world=replace(_ONE, curve=constant(0.0)), right=_truly("never there")),
    Scenario(name="one family, four sizes", world=replace(_THREE, families=(XLMR,)), right=_truly("persists")),
    Scenario(name="one family, backbones scattered", world=replace(_ONE, backbone_sd=1.0), right=_truly("persists")),
    Scenario(name="one family, five seeds", world=replace(_ONE, num_seeds=5), right=_truly("persists")),
    Scenario(
        name="one family, saturating",
        world=replace(_ONE, curve=saturating(5.0, half=1.5e9, steepness=2.5)),
        right=_truly("shrinks", "vanishes"),
        is_line=False,
    ),
    Scenario(name="three families, constant", world=_THREE, right=_truly("persists")),
    Scenario(
        name="three families, linear", world=replace(_THREE, curve=linear(5.0, slope=-2.0, at=3e8)), right=_truly("shrinks")
    ),
    Scenario(
        name="three families, reversing",
        world=replace(_THREE, curve=linear(3.0, slope=-4.0, at=3e8)),
        right=_truly("reverses"),
    ),
    Scenario(name="three families, null", world=replace(_THREE, curve=constant(0.0)), right=_truly("never there")),
    Scenario(
        name="three families, one deviating",
        world=replace(_THREE, families=(XLMR, MT5, QWEN3._replace(shift=-4.0))),
        right=_truly("persists"),
    ),
    Scenario(name="three families, scattered", world=replace(_THREE, family_sd=1.0), right=_truly("persists")),
    Scenario(name="two seeds", world=replace(_THREE, num_seeds=2), right=_truly("persists"), enough=False),
    Scenario(name="one seed", world=replace(_THREE, num_seeds=1), right=_truly("persists"), enough=False),
    Scenario(
        name="three sizes",
        world=replace(_THREE, families=(XLMR._replace(sizes=XLMR.sizes[1:]),)),
        right=_truly("persists"),
        enough=False,
    ),
    Scenario(name="small test sets", world=replace(_ONE, test_sets=_SMALL), right=_truly("persists"), enough=False),
    Scenario(
        name="small test sets, headroom",
        world=replace(_ONE, test_sets=_SMALL, scale="headroom"),
        right=_truly("persists"),
        question=replace(QUESTION, margin=2.5),
        enough=False,
        is_line=False,
    ),
    Scenario(
        name="small test sets, logits",
        world=replace(_ONE, test_sets=_SMALL, scale="logit"),
        right=_truly("persists"),
        question=replace(QUESTION, margin=0.05),
        enough=False,
        is_line=False,
    ),
    Scenario(
        name="advice followed, constant",
        world=replace(_THREE, num_seeds=10),
        right=_truly("persists"),
        looks=3,
        first_seeds=2,
    ),
    Scenario(
        name="advice followed, linear",
        world=replace(_THREE, num_seeds=10, curve=linear(5.0, slope=-2.0, at=3e8)),
        right=_truly("shrinks"),
        looks=3,
        first_seeds=2,
    ),
    Scenario(
        name="advice followed, null",
        world=replace(_THREE, num_seeds=10, curve=constant(0.0)),
        right=_truly("never there"),
        looks=3,
        first_seeds=2,
    ),
)
