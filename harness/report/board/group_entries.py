"""The groups of an arm in leaderboard.json: a number where nothing is missing, else what is.

entries = group_entries(arm, {"xnli": task_numbers(...)}, material)
"""

from collections.abc import Mapping, Sequence

from harness.api.protocols import Json
from harness.report.board.json_parts import arm_names, interval, seed_list
from harness.report.board.means import Arm, GroupNumbers, TaskNumbers, group_numbers
from harness.report.board.seeds import over_seeds
from harness.report.record.gather import Material


def group_entries(arm: Arm, numbers: Mapping[str, TaskNumbers], material: Material) -> list[dict[str, Json]]:
    """The groups of an arm that have at least one task on the board."""
    entries: list[dict[str, Json]] = []
    for name, group in material.groups.items():
        if not set(group.tasks) & set(numbers) or group.aggregate == "none":
            continue
        found: GroupNumbers = group_numbers(name, groups=material.groups, tasks=material.tasks, numbers=numbers)
        entries.append(
            {
                **arm_names(arm),
                "group": name,
                "score": interval(found.score),
                "lift": interval(found.lift),
                "seeds": seed_list(found.seeds),
                "over_seeds": over_seeds(found.seeds),
                "missing": {task: list(langs) for task, langs in found.missing.items()},
                "same_task": any(cell.asked.same_task for task in group.tasks if task in numbers for cell in numbers[task].cells),
                "partial": arm.limit is not None,
                "stands_in_for": "; ".join(_stand_ins(group.tasks, material)),
            }
        )
    return entries


def _stand_ins(tasks: Sequence[str], material: Material) -> list[str]:
    """The metrics for which others stand in among some tasks, each once."""
    found = [material.tasks[task].stands_in_for for task in tasks if task in material.tasks]
    return list(dict.fromkeys(name for name in found if name))
