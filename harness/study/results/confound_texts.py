"""What differs between the backbones of a hypothesis beside their size, in words.

confound_texts(["xlmr-base", "xlmr-large"], hypothesis, tables)
"""

from collections.abc import Sequence

from harness.specs.study import Hypothesis
from harness.study.results.hypothesis_parts import settings_of, targets_of
from harness.study.results.study_scores import ChosenRate, Member
from harness.study.results.study_tables import StudyTables
from harness.study.statistics.robustness import confounds

AT_EDGE = "learning rate at the edge of its grid"


def confound_texts(backbones: Sequence[str], hypothesis: Hypothesis, tables: StudyTables) -> list[str]:
    """Facts that change within a family, those that differ between families, rates at an edge of their grid, same-task cells."""
    members = [member for member in tables.in_lines if member.rung.backbone in backbones]
    targets = targets_of(hypothesis, tables)
    langs = list(dict.fromkeys(cell.lang for cell in tables.study.cells if cell.task in targets))
    facts = {
        member.rung.backbone: {"method": member.method, "languages of its pretraining": _coverage(member, langs), **member.facts}
        for member in members
    }
    found = confounds(facts, families={member.rung.backbone: member.rung.family for member in members})
    settings = settings_of(hypothesis, tables)
    for rate in tables.study.rates:
        if rate.is_at_edge and rate.backbone in facts and rate.arm in settings and rate.task in ("", *targets):
            found.append(edge_text(rate))
    return found + [
        f"{name} trains on {target}'s own data: no transfer between tasks"
        for name in (*hypothesis.settings, *hypothesis.than)
        if name in tables.names
        for target in targets
        if target in tables.same_task([name])
    ]


def _coverage(member: Member, langs: Sequence[str]) -> str:
    if member.covered is None:
        return "not recorded"
    return f"{sum(lang in member.covered for lang in langs)} of {len(langs)} test languages"


def edge_text(rate: ChosenRate) -> str:
    """A learning rate at the edge of its grid, in words."""
    grid = ", ".join(f"{one:g}" for one in sorted(rate.trials))
    where = f"{rate.arm}, {rate.task}" if rate.task else f"{rate.arm}, its intermediate phases"
    return f"{AT_EDGE}: {rate.backbone}, {where}: {rate.rate:g} of {grid}"
