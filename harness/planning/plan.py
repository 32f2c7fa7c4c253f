"""Turns a run into a graph of stages, each once, before anything is loaded.

    plan = make_plan(request, catalog=catalog, place=place)
    plan.stages      # train, predict and score stages, inputs first
    plan.cells       # (intermediate, task, language, seed) -> its stages, or why it cannot be had

Everything that is wrong with the request comes out together here; data that are missing block only their own cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ParamSpec, TypeVar

from harness.api.errors import UserError, collecting, raise_all
from harness.data.languages import language
from harness.data.locations import DataPlace
from harness.planning.backbone.resolve import Backbone, resolve
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.fingerprints import Missing, file_of
from harness.planning.intermediate import Setting, parse_settings
from harness.planning.precedence import Settled
from harness.planning.request import RunRequest
from harness.planning.request_checks import conflicts, impossible, unserved, unsettled, untrusted
from harness.planning.resolved_tasks import RunTasks
from harness.planning.stage_builder import StageBuilder
from harness.runtime.stages import Stage, in_order
from harness.specs.recipe import RecipeSpec
from harness.specs.task import TaskSpec

P = ParamSpec("P")
T = TypeVar("T")
FETCH = "python run_eval.py fetch"


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """One number that the run is to give."""

    intermediate: str
    task: str
    lang: str
    seed: int | None
    "None where nothing random happens: an untrained target of the bare backbone."
    score: Stage | None
    missing: tuple[Missing, ...] = ()
    "Rows that are not here; there are no stages then."

    @property
    def blocked(self) -> str:
        """Why there is no stage; empty where there is one."""
        return "\n".join(str(missing.error) for missing in self.missing)

    @property
    def predict(self) -> Stage | None:
        """The stage that makes its predictions."""
        return self.score.inputs[0] if self.score else None

    @cached_property
    def train(self) -> list[Stage]:
        """The training stages behind it, first phase first, without the making of the backbone."""
        found: list[Stage] = []
        stage = self.predict
        while stage is not None:
            stage = next((parent for parent in stage.inputs if parent.verb == "train"), None)
            if stage is not None and not stage.knobs.get("pretraining"):
                found.insert(0, stage)
        return found


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """One training of the run with all its seeds."""

    phase: str
    "pretraining, intermediate or target."
    after: str
    "The intermediate setting that it follows; empty for the first phase."
    task: str
    "The task that gives the rows; several are joined by +."
    settings: Settled | None
    "Hyper-parameters with who set each; None where the preset fixes them."
    stages: tuple[Stage, ...]
    "One per seed."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and the cells they serve."""

    request: RunRequest
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    tasks: Mapping[str, Entry[TaskSpec]]
    settings: Mapping[str, Setting]
    "The intermediate settings by name."
    cells: Sequence[PlannedCell]
    trainings: Sequence[PlannedTraining] = ()

    @cached_property
    def stages(self) -> list[Stage]:
        """Every stage once, inputs first."""
        return in_order(cell.score for cell in self.cells if cell.score)

    def is_same_task(self, setting: str, task: str) -> bool:
        """Whether an intermediate phase trains on the target's own training data, as they are or translated."""
        return not set(self.settings[setting].tasks).isdisjoint(self.tasks[task].spec.same_task)

    @property
    def same_task(self) -> list[tuple[str, str]]:
        """(intermediate, task) where the intermediate phase trains on the target's own training data."""
        pairs = dict.fromkeys((cell.intermediate, cell.task) for cell in self.cells)
        return [(name, task) for name, task in pairs if self.is_same_task(name, task)]

    def missing(self) -> list[str]:
        """What is not here, a text per task: which rows, how many scores they block, and the one command that fetches them."""
        rows: dict[str, dict[tuple[str, str], Missing]] = {}
        for cell in self.cells:
            for gap in cell.missing:
                rows.setdefault(gap.task, {})[gap.split, gap.lang] = gap
        return [self._missing_of(task, list(found.values())) for task, found in rows.items()]

    def _missing_of(self, task: str, gaps: Sequence[Missing]) -> str:
        splits: dict[str, list[str]] = {}
        for gap in gaps:
            splits.setdefault(gap.split, []).append(gap.lang)
        what = "; ".join(f"{split} rows of {', '.join(langs)}" for split, langs in splits.items())
        num_blocked = sum(any(gap.task == task for gap in cell.missing) for cell in self.cells)
        first = gaps[0].error
        tests = ",".join(splits.get("test", ()))
        named = f"{file_of(task)} --intermediate {task}" if file_of(task) != task else task
        if task in self.tasks and self.tasks[task].spec.lm_eval:
            named += " --include_path DIR"  # a run does not know where its task files were given
        fetch = f"{FETCH} --tasks {named}" + (f" --languages {tests}" if tests else "") + "   (on a machine that reaches the hub)"
        more = f"  (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
        error = UserError(
            f"task '{task}' lacks {what}; {num_blocked} scores wait for them",
            found=first.found + more,
            todo=fetch if first.todo.startswith(FETCH) else first.todo,
        )
        return str(error)


def make_plan(request: RunRequest, *, catalog: Catalog, place: DataPlace) -> Plan:
    """Settle a request; raises every mistake of it at once."""
    errors: list[UserError] = []

    def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        with collecting(errors):
            return function(*args, **kwargs)
        return None

    parts = [part.strip() for part in request.tasks.split(",") if part.strip()]
    names = dict.fromkeys(name for part in parts for name in attempt(catalog.select, part) or ())
    entries = {name: entry for name in names if (entry := attempt(catalog.task, name))}
    recipe = attempt(catalog.recipe, request.recipe, where="--recipe")
    backbone = attempt(resolve, request.model, request.model_args, catalog=catalog, use_own_head=request.no_train)
    settings = attempt(parse_settings, request.intermediate, catalog=catalog) or []
    for lang in request.languages:
        attempt(language, lang, where="--languages")
    errors += conflicts(request, list(entries.values()), any_named=bool(parts))
    errors += untrusted(list(entries.values()), trusted=place.trust_task_code)
    if backbone:
        errors += impossible(backbone, list(entries.values()), settings, request=request, catalog=catalog)
    if backbone is None or recipe is None:
        raise_all(errors)
    assert backbone is not None
    assert recipe is not None
    tasks = RunTasks(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe)
    entries = {name: tasks.task(name) for name in entries}
    errors += unsettled(tasks, list(entries.values()), settings)
    errors += attempt(unserved, tasks, list(entries.values())) or []
    raise_all(list({str(error): error for error in errors}.values()))
    builder = StageBuilder(tasks=tasks)
    if request.remove_overlap:
        builder.tests = builder.test_sets(list(entries.values()))
    cells = [
        cell
        for setting in settings
        for entry in entries.values()
        for lang in request.languages_of(entry.spec)
        for cell in _cells(builder, entry, setting, lang)
    ]
    return Plan(
        request=request,
        backbone=backbone,
        recipe=recipe,
        tasks=entries,
        settings={setting.name: setting for setting in settings},
        cells=cells,
        trainings=_trainings(builder, entries, settings, cells),
    )


def _cells(builder: StageBuilder, entry: Entry[TaskSpec], setting: Setting, lang: str) -> list[PlannedCell]:
    """The cells of all seeds; one where nothing random happens."""
    request, trained = builder.tasks.request, builder.tasks.is_trained(entry.spec)
    fixed = not trained and (not setting.phases or builder.tasks.backbone.is_fake)
    missing = builder.missing(entry, setting, lang)
    task = entry.spec.task
    cells: list[PlannedCell] = []
    for asked in request.seeds[: 1 if fixed else None]:
        seed = request.seed_of(task, asked)
        score = None
        if not missing:
            parent = builder.trained(entry, setting, seed) if trained else builder.intermediate(setting, seed)
            score = builder.score_stage(entry, lang, parent=parent)
        shown = None if fixed else seed
        cells.append(PlannedCell(intermediate=setting.name, task=task, lang=lang, seed=shown, score=score, missing=missing))
    return cells


def _trainings(
    builder: StageBuilder, entries: Mapping[str, Entry[TaskSpec]], settings: Sequence[Setting], cells: Sequence[PlannedCell]
) -> list[PlannedTraining]:
    """The training stages of the cells by what they do, in the order of the stages."""
    by_name = {setting.name: setting for setting in settings}
    found: dict[tuple[str, str, str, tuple[tuple[str, object], ...]], dict[str, Stage]] = {}
    settled: dict[tuple[str, str, str, tuple[tuple[str, object], ...]], Settled | None] = {}
    for stage in in_order(cell.score for cell in cells if cell.score):
        if stage.verb == "train" and stage.knobs.get("pretraining"):
            key = ("pretraining", "", _tasks(stage), ())
            found.setdefault(key, {})[stage.key] = stage
            settled[key] = None
    seen: set[tuple[str, str]] = set()
    for cell in cells:
        phases = by_name[cell.intermediate].phases
        for number, stage in enumerate(cell.train):
            if (cell.intermediate, stage.key) in seen:
                continue
            seen.add((cell.intermediate, stage.key))
            if number < len(phases):
                phase, after = "intermediate", ":".join(done.name for done in phases[:number])
                values = builder.tasks.training_of_phase(phases[number])
            else:
                phase, after = "target", cell.intermediate
                values = builder.tasks.training_of(entries[cell.task], phase="target")
            key = (phase, after, _tasks(stage), tuple(sorted(stage.args["training"].items())))
            found.setdefault(key, {})[stage.key] = stage
            settled[key] = values
    return [
        PlannedTraining(phase=key[0], after=key[1], task=key[2], settings=settled[key], stages=tuple(stages.values()))
        for key, stages in found.items()
    ]


def _tasks(stage: Stage) -> str:
    """The tasks of a training stage, for a reader."""
    return "+".join(str(component["task"]) for component in stage.args["tasks"])
