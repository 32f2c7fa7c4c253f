"""A comparison as a document: every row with its effect sizes, intervals and p-values, and every cell that is in no row.

    found = compare(*find_systems(["runs/x"]), by="task")
    write_comparison(found, Path("comparison.json"))          # checked against comparison.schema.json first

The same runs give the same bytes: no clock, no machine, no absolute path goes into it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.api.registry import METRICS, TASK_TYPES
from harness.report.board.computing import way_of_computing
from harness.report.board.lifts import score_mismatch
from harness.report.board.number_format import NONE
from harness.report.comparison.items import ExampleIndex
from harness.report.comparison.paired_scores import SeedPairs
from harness.report.comparison.pairing import Contrast, ContrastSide, PairedCell, Pairs, Unpaired, pair_up
from harness.report.comparison.rows import ComparisonRow, break_down, language_groups
from harness.report.comparison.significance import Finding, findings
from harness.report.comparison.systems import System
from harness.report.record.gather import CellRecord
from harness.report.record.schema import RequestedModel, RequestedTask
from harness.report.record.stage_facts import portable
from harness.runtime.schema_check import check_schema
from harness.runtime.stages import DONE_FILE, read_json, write_json
from harness.scoring.bootstrap import LEVEL, holm
from harness.scoring.score_files import read_score

SCHEMA_VERSION = 1
"Of what is released: nothing is yet, so that keys may still be added under it (CHANGELOG.md)."
SCHEMA_FILE = Path(__file__).with_name("comparison.schema.json")
ALPHA = 0.05
SAMPLES = (2000, 20_000)
"Fewest and most samples where the user names no number."


def compare(a: System, b: System, *, by: str = "task", samples: int | None = None, seed: int = 0) -> dict[str, Json]:
    """Set system A against system B, broken down `by` one of BREAKDOWNS; raises UserError if not a single cell can be paired."""
    pairs = pair_up(a, b)
    index = ExampleIndex(
        {cell.folder: cell.key.task for unit in pairs.units for pair in unit.pairs for cell in pair if cell.folder}
    )
    _drop_other_examples(pairs, index)
    if not pairs.units:
        reasons = [f"{u.cell.key.task} {u.cell.key.lang}: {u.reason}" for u in pairs.unpaired]
        raise UserError("no cell of A can be compared with one of B", found="; ".join(reasons[:3]), todo="see compare --help")
    tasks = {**b.material.tasks, **a.material.tasks}
    units = sorted(pairs.units, key=lambda unit: _order(unit, a, b))
    rows = break_down(units, by=by, grouping=_grouping(a, b, by), expected=_expected(a, b, tasks))
    num_samples = samples or min(max(SAMPLES[0], 100 * len(rows)), SAMPLES[1])
    found = _findings(rows, units, index, tasks, samples=num_samples, seed=seed)
    adjusted = [holm([finding.p_randomisation for finding in found]), holm([finding.p_bootstrap for finding in found])]
    document: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "systems": {system.name: _system(system) for system in (a, b)},
        "by": by,
        "tests": {
            "samples": num_samples,
            "seed": seed,
            "level": LEVEL,
            "alpha": ALPHA,
            "correction": "holm",
            "family": "all rows",
            "num_tests": len(rows),
        },
        "tasks": {task: _task(tasks[task]) for task in dict.fromkeys(unit.task for unit in units)},
        "rows": [
            _row(row, units, index, finding, [p[number] for p in adjusted])
            for number, (row, finding) in enumerate(zip(rows, found, strict=True))
        ],
        "unpaired": [_unpaired(entry) for entry in pairs.unpaired],
        "synthetic": any(pair.b.synthetic for unit in units for pair in unit.pairs),
        "computed": {
            system.name: _computed([pair[side] for unit in units for pair in unit.pairs]) for side, system in enumerate((a, b))
        },
    }
    plain: dict[str, Json] = portable(document)
    return plain


def _computed(cells: Sequence[CellRecord]) -> list[str]:
    """On which devices and in which number formats some cells were trained and predicted, as far as that is written down."""
    folders = {cell.folder.parent.parent / name for cell in cells if cell.folder for name in (*cell.train, cell.predict) if name}
    done = [read_json(folder / DONE_FILE) for folder in folders if (folder / DONE_FILE).is_file()]
    return sorted({way_of_computing(how) for one in done if (how := one.get("arithmetic"))})


def write_comparison(document: Mapping[str, Json], path: Path) -> None:
    """Write the JSON, by rename; raises UserError if it does not fit the schema."""
    todo = "this is a mistake of the harness: report it with this message"
    check_schema(document, SCHEMA_FILE, name="comparison", expected="a comparison", todo=todo)
    write_json(path, dict(document))


def _drop_other_examples(pairs: Pairs, index: ExampleIndex) -> None:
    """Move pairs of cells with different examples to those that cannot be compared."""
    kept: list[PairedCell] = []
    for unit in pairs.units:
        same = []
        for pair in unit.pairs:
            assert pair.a.folder
            assert pair.b.folder
            if index.same_examples(pair.a.folder, pair.b.folder):
                same.append(pair)
                continue
            numbers = [index.num_examples(cell.folder) for cell in pair if cell.folder]
            reason = f"other test examples ({numbers[0]:,} in A, {numbers[1]:,} in B)"
            pairs.unpaired.append(Unpaired(contrast=unit.contrast, side="A, B", cell=pair.b, reason=reason))
        if same:
            kept.append(PairedCell(contrast=unit.contrast, task=unit.task, lang=unit.lang, pairs=same))
    pairs.units = kept


def _findings(
    rows: Sequence[ComparisonRow],
    units: Sequence[PairedCell],
    index: ExampleIndex,
    tasks: Mapping[str, RequestedTask],
    *,
    samples: int,
    seed: int,
) -> list[Finding]:
    """Test all rows; raises UserError where statistics and score.json of a cell disagree."""
    folders = [folder for unit in units for pair in unit.pairs for cell in pair if (folder := cell.folder)]
    loaded = index.load(folders, {name: task.score for name, task in tasks.items()})
    items = {folder: own for own in loaded for folder in own.cells}
    for folder, own in items.items():
        if error := score_mismatch(folder, computed=own.score(folder), recorded=read_score(folder)):
            raise error
    resampled = []
    for unit in units:
        both = [(a, b) for pair in unit.pairs if (a := pair.a.folder) and (b := pair.b.folder)]
        resampled.append(SeedPairs(items=items[both[0][0]], pairs=both))
    return findings([row.contents for row in rows], resampled, samples=samples, seed=seed)


def _grouping(a: System, b: System, by: str) -> Callable[[Contrast, Sequence[str]], dict[str, list[str]]]:
    def grouping(contrast: Contrast, langs: Sequence[str]) -> dict[str, list[str]]:
        models = [system.material.models.get(str(arm.model)) for system, arm in zip((a, b), contrast, strict=True)]
        return language_groups(by, langs, coverage=[_coverage(model) for model in models])

    return grouping


def _coverage(model: RequestedModel | None) -> frozenset[str] | None:
    """The languages of a backbone's pretraining, None = not recorded."""
    return None if model is None or model.coverage is None else frozenset(model.coverage.languages)


def _expected(a: System, b: System, tasks: Mapping[str, RequestedTask]) -> dict[str, list[str]]:
    """Languages of each task in its order: all, or where the user asked for some, those that a side was asked for."""
    asked = {(cell.key.task, cell.key.lang) for system in (a, b) for cell in system.cells}
    found = {}
    for name, task in tasks.items():
        own = [lang for lang in task.languages if not (a.narrowed or b.narrowed) or (name, lang) in asked]
        found[name] = [*own, *sorted(lang for task_, lang in asked if task_ == name and lang not in own)]
    return found


def _order(unit: PairedCell, a: System, b: System) -> tuple[Any, ...]:
    """Small backbones first, `none` before the intermediate tasks, tasks as the run lists them, languages as the task does."""
    tasks = {**b.material.tasks, **a.material.tasks}
    ranks = {**b.material.task_ranks, **a.material.task_ranks}
    langs = list(tasks[unit.task].languages)
    place = langs.index(unit.lang) if unit.lang in langs else len(langs)
    return *(_arm_order(arm, s) for arm, s in zip(unit.contrast, (a, b))), ranks.get(unit.task, 0), unit.task, place, unit.lang


def _arm_order(arm: ContrastSide, system: System) -> tuple[Any, ...]:
    model = system.material.models.get(str(arm.model))
    size = (model.non_embedding_parameters or model.parameters or 0) if model else 0
    rest = tuple("" if value is None else str(value) for value in arm)
    return size, arm.model, arm.intermediate != NONE, rest


def _system(system: System) -> Json:
    names = ("model", "intermediate", "recipe", "limit", "route", "seed")
    return {
        "run": str(system.run),
        "selectors": {name: list(patterns) for name, patterns in system.selectors.items()},
        "values": {name: [v for v in system.values(name) if v is not None] for name in names},
    }


def _task(task: RequestedTask) -> Json:
    """The entry of a task: how its score is made."""
    names = dict.fromkeys(key.split(".")[0] for key in task.score)
    calibrated: bool = TASK_TYPES.load(task.type).CALIBRATES
    return {
        "type": task.type,
        "version": task.version,
        "score": list(task.score),
        "stands_in_for": task.stands_in_for,
        "signatures": {name: METRICS.load(name).SIGNATURE for name in names},
        "thresholds": calibrated or any(METRICS.load(name).CHOOSES_THRESHOLDS for name in names),
        "languages": len(task.languages),
    }


def _row(
    row: ComparisonRow, units: Sequence[PairedCell], index: ExampleIndex, finding: Finding, adjusted: Sequence[float]
) -> Json:
    own = [units[number] for number, _ in row.contents]
    pairs = [pair for unit in own for pair in unit.pairs]
    seeds = [[(pair.a.key.seed, pair.b.key.seed) for pair in unit.pairs] for unit in own]
    trained = {tuple(b if a is None else a for a, b in some) for some in seeds} - {(None,)}
    return {
        "a": dict(row.contrast.a._asdict()),
        "b": dict(row.contrast.b._asdict()),
        "task": row.task,
        "tasks": list(dict.fromkeys(unit.task for unit in own)),
        "group": row.group,
        "languages": list(dict.fromkeys(unit.lang for unit in own)),
        "missing": {task: list(langs) for task, langs in row.missing.items()},
        "seeds": [list(pair) for pair in sorted({pair for some in seeds for pair in some}, key=str)],
        "uneven_seeds": len(trained) > 1,
        "num_examples": sum(index.num_examples(folder) for unit in own if (folder := unit.pairs[0].a.folder)),
        "num_items": finding.num_items,
        "score_a": finding.a,
        "score_b": finding.b,
        "difference": finding.difference._asdict(),
        "gain": None if finding.gain is None else finding.gain._asdict(),
        "randomisation": {
            "p": finding.p_randomisation,
            "p_adjusted": adjusted[0],
            "swaps": finding.num_swaps,
            "exact": finding.exact,
            "differing_items": finding.num_differing,
        },
        "bootstrap": {"p": finding.p_bootstrap, "p_adjusted": adjusted[1]},
        "significant": adjusted[0] <= ALPHA,
        "same_task": any(cell.same_task for pair in pairs for cell in pair),
        "partial": any(cell.key.limit is not None for pair in pairs for cell in pair),
    }


def _unpaired(entry: Unpaired) -> Json:
    key = entry.cell.key
    names = ("model", "intermediate", "recipe", "limit", "route", "task", "lang", "seed")
    return {"side": entry.side, **{name: getattr(key, name) for name in names}, "reason": entry.reason}
