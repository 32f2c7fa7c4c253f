"""The rows of a comparison: its units (contrast, task, language) one by one, or averaged over languages and tasks.

    rows = break_down(units, by="family", grouping=..., expected={"xnli": ["en", "de", ...]})
    rows[0].contents        # [(unit, weight), ...]

A mean weighs languages equally within a task, and tasks equally in the row over several tasks.  Groups are without English, as on
the board: it is the language of training, and its group would look better for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.data.languages import GROUPINGS, groups
from harness.report.board.means import ENGLISH
from harness.report.comparison.pairing import Contrast, PairedCell

LANGUAGE, TASK = "language", "task"
BREAKDOWNS = (LANGUAGE, TASK, *GROUPINGS)
"What `--by` may say: one row for each of these."
Grouping = Callable[[Contrast, Sequence[str]], Mapping[str, Sequence[str]]]
"Contrast and languages -> groups of the languages."


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonRow:
    """One line of the table: one test of each kind."""

    contrast: Contrast
    task: str | None
    "None = the mean over several tasks."
    group: str | None
    "The language, or the group of languages; None = all languages."
    contents: Sequence[tuple[int, float]]
    "Units (by number) and their weights, which add up to 1."
    missing: Mapping[str, Sequence[str]]
    "Task -> languages of the group that are in no pair."


def break_down(
    units: Sequence[PairedCell], *, by: str, grouping: Grouping, expected: Mapping[str, Sequence[str]]
) -> list[ComparisonRow]:
    """Rows in the order of the units: contrast, task, group; after the tasks of a contrast the means over them.

    `expected` are the languages each task should have.
    """
    rows: list[ComparisonRow] = []
    for contrast in dict.fromkeys(unit.contrast for unit in units):
        own = [number for number, unit in enumerate(units) if unit.contrast == contrast]
        tasks = {task: [n for n in own if units[n].task == task] for task in dict.fromkeys(units[n].task for n in own)}
        of_tasks: list[ComparisonRow] = []
        for task, members in tasks.items():
            langs = list(dict.fromkeys([*expected[task], *(units[n].lang for n in members)]))
            for group, names in _groups(langs, by=by, contrast=contrast, grouping=grouping).items():
                chosen = [number for number in members if units[number].lang in names]
                found = {units[number].lang for number in chosen}
                if chosen:
                    missing = {task: left} if (left := [name for name in names if name not in found]) else {}
                    contents = [(number, 1 / len(chosen)) for number in chosen]
                    of_tasks.append(ComparisonRow(contrast=contrast, task=task, group=group, contents=contents, missing=missing))
        rows += of_tasks + (_over_tasks(of_tasks) if by != LANGUAGE else [])
    return rows


def _groups(langs: Sequence[str], *, by: str, contrast: Contrast, grouping: Grouping) -> Mapping[str | None, Sequence[str]]:
    if by == LANGUAGE:
        return {lang: [lang] for lang in langs}
    return {None: langs} if by == TASK else dict(grouping(contrast, [lang for lang in langs if lang != ENGLISH]).items())


def _over_tasks(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """The mean over tasks of each group that several tasks have."""
    found = []
    for group in sorted({row.group for row in rows}, key=lambda group: group or ""):
        parts = [row for row in rows if row.group == group]
        if len(parts) > 1:
            contents = [(unit, weight / len(parts)) for part in parts for unit, weight in part.contents]
            missing = {task: langs for part in parts for task, langs in part.missing.items()}
            found.append(ComparisonRow(contrast=parts[0].contrast, task=None, group=group, contents=contents, missing=missing))
    return found


def language_groups(by: str, langs: Sequence[str], *, coverage: Sequence[frozenset[str] | None]) -> dict[str, list[str]]:
    """The groups of languages; `coverage` is what the pretraining of the model of A and of that of B covers, None = not recorded.

    Where the two differ by a language, its group says so: 'covered in B only'.
    """
    if by != "covered" or coverage[0] == coverage[1]:
        return groups(by, langs, covered=coverage[0])
    labels = [{lang: label for label, own in groups(by, langs, covered=c).items() for lang in own} for c in coverage]
    found: dict[str, list[str]] = {}
    for lang in langs:
        a, b = (label[lang] for label in labels)
        found.setdefault(a if a == b else f"{a} in A, {b} in B", []).append(lang)
    return dict(sorted(found.items()))
