"""Whether a verdict rests on a choice: other scales, without degenerate seeds, without some families; what differs by design.

disagreements({"points": "persists", "logit": "shrinks", "without degenerate seeds": "undecided"}, main="points")
confounds({"base": {"method": "full"}, "xxl": {"method": "lora"}}, families={"base": "xlmr", "xxl": "xlmr"})

A verdict that changes with such a choice is told beside the one that was fixed beforehand; it never takes its place.
"""

from collections.abc import Mapping
from typing import NamedTuple

from harness.study.statistics.hypotheses import UNDECIDED


class Disagreement(NamedTuple):
    """A reading of the data that comes to another verdict than the one fixed beforehand."""

    reading: str
    verdict: str
    contradicts: bool
    "Both are decided, and differ."
    text: str


def disagreements(verdicts: Mapping[str, str], *, main: str) -> list[Disagreement]:
    """The readings whose verdict is not that of the reading `main`, contradictions first."""
    own = verdicts[main]
    found = []
    for reading, verdict in verdicts.items():
        if verdict == own:
            continue
        contradicts = UNDECIDED not in (verdict, own)
        if contradicts:
            text = f"{reading}: {verdict}, which contradicts '{own}' ({main})"
        elif own == UNDECIDED:
            text = f"{reading}: {verdict}, where {main} is undecided"
        else:
            text = f"{reading}: undecided, where {main} says '{own}'"
        found.append(Disagreement(reading, verdict, contradicts, text))
    return sorted(found, key=lambda one: not one.contradicts)


def confounds(facts: Mapping[str, Mapping[str, str]], *, families: Mapping[str, str]) -> list[str]:
    """What differs between backbones beside their size, in words: within a family first, then between families.

    facts: backbone -> {name: value}, e.g. method, recipe, coverage, a learning rate at the edge of its grid;
    families: backbone -> family.
    """
    names = list(dict.fromkeys(name for one in facts.values() for name in one))
    within, between = [], []
    for name in names:
        of_families: dict[str, tuple[str, ...]] = {}
        for family in dict.fromkeys(families[backbone] for backbone in facts):
            values: dict[str, list[str]] = {}
            for backbone, one in facts.items():
                if families[backbone] == family:
                    values.setdefault(one.get(name, "not recorded"), []).append(backbone)
            of_families[family] = tuple(values)
            if len(values) > 1:
                parts = [f"{value} ({', '.join(members)})" for value, members in values.items()]
                within.append(f"{family}: {name} changes with size: {'; '.join(parts)}")
        if len(set(of_families.values())) > 1 and all(len(values) == 1 for values in of_families.values()):
            parts = [f"{values[0]} ({family})" for family, values in of_families.items()]
            between.append(f"between families: {name} differs: {'; '.join(parts)}")
    return within + between
