"""What is known of the run of one backbone of a study: its plan at the chosen learning rates, and what it wrote down.

run.member.name, run.request, run.rates
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.planning.plan import Plan
from harness.study.design.ladder import LadderMember
from harness.study.design.retrieval_layers import LayerPlan
from harness.study.results.study_scores import ChosenRate


@dataclass(frozen=True, kw_only=True)
class MemberRun:
    """What is known of the run of one member."""

    member: LadderMember
    plan: Plan
    "With the learning rates that were chosen."
    request: str | None
    "Name of its request file; None where it has not run."
    rates: Sequence[ChosenRate] = ()
    unchosen: Sequence[str] = ()
    "Sentences on learning rates that no trial could choose."
    layers: Sequence[LayerPlan] = ()
    "Retrieval at other layers."
    is_complete: bool = True
    "Nothing of what was asked for failed or is left."
