"""leaderboard.json: everything that runs found, with intervals, lifts and provenance; the same input gives the same bytes.

    board = build_board([Path("runs/x"), Path("runs/y")], references=["xlmr_large_xtreme"])
    write_board(board, Path("leaderboard.json"))          # checked against leaderboard.schema.json first

No clock, no machine, no absolute path goes into it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.protocols import Json
from harness.api.registry import TASK_TYPES
from harness.report.board.ceilings import ceilings
from harness.report.board.group_entries import group_entries
from harness.report.board.guessing import mark_groups, mark_guessing
from harness.report.board.json_parts import arm_names, interval, seed_list
from harness.report.board.language_groups import language_group_entries
from harness.report.board.lifts import SEED, ScoredCell, score_cells
from harness.report.board.means import Arm, TaskNumbers, arms_of, prompt_of, task_numbers
from harness.report.board.number_format import NONE
from harness.report.board.references import reference_entries
from harness.report.board.seeds import degenerate_before, degenerate_seeds, degenerate_stages, over_seeds
from harness.report.board.standings import standings
from harness.report.record.gather import CellRecord, Material, gather
from harness.report.record.newest import CellKey
from harness.report.record.stage_facts import portable
from harness.runtime.schema_check import check_schema
from harness.runtime.stages import canonical, write_json
from harness.scoring.bootstrap import LEVEL, SAMPLES
from harness.scoring.sums import ordered_mean
from harness.specs.limit import limit_order
from harness.specs.model import Spec

SCHEMA_VERSION = 1
"Of what is released: nothing is yet, so that keys may still be added under it (CHANGELOG.md)."
SCHEMA_FILE = Path(__file__).with_name("leaderboard.schema.json")


def build_board(
    folders: Sequence[Path], *, requests: Sequence[str] | None = None, references: Sequence[str] = ()
) -> dict[str, Json]:
    """The board of what was asked for in run folders: by all their request files, or by those of the given file names.

    `references` name published numbers to stand beside the scores.  Raises UserError for folders that are no runs and for runs
    that contradict each other.
    """
    material = gather(folders, requests=requests)
    scored = score_cells(material.cells, material.tasks)
    arms = arms_of(material.cells)
    task_order = _task_order(material)
    numbers: dict[Arm, dict[str, TaskNumbers]] = {}
    for arm in sorted(arms, key=lambda arm: _arm_order(arm, material)):
        for task in task_order:
            asked = [cell for cell in arms[arm] if cell.key.task == task]
            if asked:
                found = task_numbers(material.tasks[task], asked=asked, scored=scored)
                numbers.setdefault(arm, {})[task] = found
    task_scores = [_task_entry(arm, task, found, material) for arm in numbers for task, found in numbers[arm].items()]
    mark_guessing(task_scores)
    group_scores = [entry for arm in numbers for entry in group_entries(arm, numbers[arm], material)]
    mark_groups(group_scores, task_scores, material.groups)
    board: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "synthetic": any(cell.synthetic for cell in material.cells),
        "bootstrap": {"samples": SAMPLES, "level": LEVEL, "seed": SEED, "unit": "test example"},
        "models": _plain(material.models),
        "tasks": _plain(material.tasks),
        "groups": _plain(material.groups),
        "task_order": task_order,
        "declared": dict(material.declared),
        "rows": [_row(scored[cell.key], material) for cell in _in_order(material, task_order) if cell.key in scored],
        "task_scores": task_scores,
        "group_scores": group_scores,
        "cuts": [entry for arm in numbers for entry in _language_groups(arm, numbers[arm], material)],
        "standings": standings(arms, numbers, material=material, scored=scored, task_order=task_order),
        "references": _references(references, numbers, material, task_order),
        "missing": [{**_names(c.key), "reason": c.reason} for c in _in_order(material, task_order) if c.key not in scored],
        "degenerate": degenerate_stages(material, scored),
        "ceilings": ceilings(list(scored.values()), material.models, material.tasks),
        "replaced": [entry.model_dump() for entry in material.replaced],
        "overlaps": [overlap.model_dump() for overlap in material.overlaps],
        "failures": [dict(failure) for failure in material.failures],
        "stages": dict(material.stages),
        "environments": dict(material.environments),
        "requests": sorted(portable(material.requests), key=canonical),
        "older": [result.entry() for result in material.older],
    }
    plain: dict[str, Json] = portable(board)
    return plain


def write_board(board: Mapping[str, Json], path: Path) -> None:
    """Write leaderboard.json, by rename; raises UserError if the board does not fit the schema."""
    check_board(board)
    write_json(path, dict(board))


def check_board(board: Mapping[str, Json]) -> None:
    """Raise UserError at the first place where a board does not fit the published schema."""
    todo = "if a run wrote it, this is a mistake of the harness: report it with this message"
    check_schema(board, SCHEMA_FILE, name="leaderboard", expected="a board", todo=todo)


def _plain(specs: Mapping[str, Spec]) -> dict[str, Json]:
    return {name: spec.model_dump(mode="json") for name, spec in specs.items()}


def _task_order(material: Material) -> list[str]:
    """Tasks as the group with most of them lists them, then the others as they were asked for."""
    shown = [[task for task in group.tasks if task in material.tasks] for _, group in sorted(material.groups.items())]
    largest = max(shown, key=len, default=[])
    first = largest if len(largest) > 1 else []
    others = set(material.tasks) - set(first)
    return [*first, *sorted(others, key=lambda task: (material.task_ranks.get(task, len(material.tasks)), task))]


def _arm_order(arm: Arm, material: Material) -> tuple[Any, ...]:
    """Small backbones first; `none` before the intermediate tasks."""
    model = material.models.get(arm.model)
    size = (model.non_embedding_parameters or model.parameters or 0) if model else 0
    return size, arm.model, arm.prompt, arm.recipe or "", limit_order(arm.limit), arm.intermediate != NONE, arm.intermediate


def _in_order(material: Material, task_order: Sequence[str]) -> list[CellRecord]:
    """The cells as the board lists them."""

    def place(cell: CellRecord) -> tuple[Any, ...]:
        key, task = cell.key, material.tasks[cell.key.task]
        lang = task.languages.index(key.lang) if key.lang in task.languages else len(task.languages)
        arm = Arm(key.model, key.intermediate, key.recipe, key.limit, prompt_of(key))
        return (
            *_arm_order(arm, material),
            task_order.index(key.task),
            lang,
            key.lang,
            key.seed is not None,
            key.seed or 0,
            key.route,
        )

    return sorted(material.cells, key=place)


def _tokens(cells: Sequence[ScoredCell], material: Material) -> dict[str, Json]:
    """`tokens` of some cells: what the tokenizer made of their rows; {} where no prediction says so (fakes, older runs)."""
    stages = {cell.asked.predict: material.stages.get(cell.asked.predict or "", {}) for cell in cells}
    facts = [stage["facts"] for stage in stages.values() if "text_tokens" in stage.get("facts", {})]
    if not facts:
        return {}
    names = {"inputs": "features", "empty_inputs": "empty_inputs", "tokens": "text_tokens", "unknown": "unknown_tokens"}
    return {"tokens": {name: sum(fact[key] for fact in facts) for name, key in names.items()}}


def _names(key: CellKey) -> dict[str, Json]:
    return dict(key._asdict())


def _centred(score: float, chance: float) -> float | None:
    """0 at chance, 100 at best."""
    return None if chance >= 100 else (score - chance) / (100 - chance) * 100


def _row(cell: ScoredCell, material: Material) -> Json:
    """One (model, intermediate, task, language, seed)."""
    asked, result, chance = cell.asked, cell.result, material.tasks[cell.asked.key.task].chance
    return {
        **_names(asked.key),
        "partial": asked.key.limit is not None,
        "same_task": asked.same_task,
        "synthetic": asked.synthetic,
        "score": result["score"],
        "chance": chance,
        "centred": _centred(result["score"]["value"], chance),
        "metrics": result["metrics"],
        "counts": result["counts"],
        **_tokens([cell], material),
        "single_class": result.get("single_class"),
        "prediction_entropy": result.get("prediction_entropy"),
        "lift": interval(cell.lift),
        "no_lift": cell.unpaired,
        "stages": {"train": list(asked.train), "predict": asked.predict, "score": asked.score},
    }


def _task_entry(arm: Arm, task: str, found: TaskNumbers, material: Material) -> dict[str, Json]:
    """One task of an arm: the mean over its languages."""
    chance = material.tasks[task].chance
    counts = [cell.result["counts"] for cell in found.cells]
    notes = sorted({note for count in counts for note in count["notes"]})
    return {
        **arm_names(arm),
        "task": task,
        "score": interval(found.score),
        "chance": chance,
        "centred": None if found.score is None else _centred(found.score.value, chance),
        "complete": found.complete,
        "missing_languages": list(found.missing),
        "languages": {
            lang: {
                "score": interval(numbers.score),
                "seeds": seed_list(numbers.seeds),
                "over_seeds": over_seeds(numbers.seeds),
                "lift": interval(numbers.lift),
                "lift_seeds": list(numbers.lift_seeds),
                **_tokens([cell for cell in found.cells if cell.asked.key.lang == lang], material),
            }
            for lang, numbers in found.languages.items()
        },
        "transfer_gap": interval(found.gap),
        "seeds": seed_list(found.seeds),
        "over_seeds": over_seeds(found.seeds),
        "degenerate_seeds": degenerate_seeds(found, material),
        "degenerate_before": degenerate_before(found, material),
        "lift": interval(found.lift),
        "lift_missing": [] if arm.intermediate == NONE else list(found.lift_missing),
        "metrics": _metric_means(found),
        "options": _options(found, material, material.tasks[task].type),
        "partial": arm.limit is not None,
        "stands_in_for": material.tasks[task].stands_in_for,
        "same_task": any(cell.asked.same_task for cell in found.cells),
        "synthetic": any(cell.asked.synthetic for cell in found.cells),
        "counts": {
            **{
                name: sum(count[name] for count in counts)
                for name in ("examples", "missing", "truncated_examples", "truncated_tokens")
            },
            "notes": {note: sum(count["notes"].get(note, 0) for count in counts) for note in notes},
        },
    }


def _metric_means(found: TaskNumbers) -> dict[str, float]:
    """Every metric as the task's score is averaged: over seeds, then over languages."""
    by_lang: dict[str, dict[str, list[float]]] = {}
    for cell in found.cells:
        for key, number in cell.result["metrics"].items():
            by_lang.setdefault(key, {}).setdefault(cell.asked.key.lang, []).append(number["value"])
    return {key: ordered_mean([ordered_mean(own) for own in langs.values()]) for key, langs in sorted(by_lang.items())}


def _options(found: TaskNumbers, material: Material, task_type: str) -> Json:
    """Options of the task type as the predictions used them, defaults included."""
    stages = [material.stages.get(cell.asked.predict or "", {}) for cell in found.cells]
    used: Mapping[str, Json] = next((stage["settings"].get("options", {}) for stage in stages if stage), {})
    return {**TASK_TYPES.load(task_type).Options().model_dump(mode="json"), **used}


def _language_groups(arm: Arm, numbers: Mapping[str, TaskNumbers], material: Material) -> list[Json]:
    """Means over families, scripts, word orders and (not) covered languages of each task of an arm."""
    coverage = material.models[arm.model].coverage if arm.model in material.models else None
    covered = coverage.languages if coverage else None
    return [
        {**arm_names(arm), "task": task, **entry}
        for task, found in numbers.items()
        for entry in language_group_entries(material.tasks[task], found, covered=covered)
    ]


def _references(
    names: Sequence[str], numbers: Mapping[Arm, Mapping[str, TaskNumbers]], material: Material, task_order: Sequence[str]
) -> list[Json]:
    """Published numbers of the tasks on the board."""
    langs = {task: {lang for found in numbers.values() if task in found for lang in found[task].languages} for task in task_order}
    return list(reference_entries(names, {task: material.tasks[task] for task in task_order}, langs))
