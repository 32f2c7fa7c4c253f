"""Turns a run into a graph of stages, each once, before anything is loaded.

    plan = make_plan(request, catalog=catalog, place=place)
    plan.stages      # train, predict and score stages, inputs first
    plan.cells       # (intermediate, task, language, seed) -> its stages, or why it cannot be had

Everything that is wrong with the request comes out together here; data that are missing block only their own cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from harness.api.errors import MissingData, UserError, collecting, distinct, raise_all
from harness.data.languages import language
from harness.data.locations import DataPlace
from harness.planning.backbone.resolve import Backbone, resolve
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.engine_checks import unserved
from harness.planning.fingerprints import Missing
from harness.planning.intermediate import Setting, parse_settings
from harness.planning.low_bit_checks import low_bit_mistakes
from harness.planning.precedence import SourcedValues
from harness.planning.request import RunRequest
from harness.planning.request_checks import beyond, conflicts, impossible, unresolved, untrusted_metrics
from harness.planning.resolved_tasks import ResolvedTask, TaskResolver
from harness.planning.routes import Routing, parse_prompt_args
from harness.planning.selection import selected
from harness.planning.stage_builder import StageBuilder
from harness.planning.task_code_checks import unloadable, unsafe, untrusted
from harness.runtime.arguments import PredictArguments, ScoreArguments, TrainArguments, file_of
from harness.runtime.engines import Engine
from harness.runtime.stages import AnyStage, Stage, TrainingPhase, in_order
from harness.specs.prompt import PromptArgs
from harness.specs.recipe import RecipeSpec

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
    score: Stage[ScoreArguments] | None
    missing: tuple[Missing, ...] = ()
    "Rows that are not here; there are no stages then."

    @property
    def blocked(self) -> str:
        """Why there is no stage; empty where there is one."""
        return "\n".join(str(missing.error) for missing in self.missing)

    @property
    def predict(self) -> Stage[PredictArguments] | None:
        """The stage that makes its predictions."""
        return self.score.inputs[0] if self.score else None

    @cached_property
    def train(self) -> list[Stage[TrainArguments]]:
        """The training stages behind it, first phase first, without the making of the backbone."""
        found: list[Stage[TrainArguments]] = []
        stage: AnyStage | None = self.predict
        while stage is not None:
            stage = next((parent for parent in stage.inputs if isinstance(parent.args, TrainArguments)), None)
            if stage is not None and stage.phase != TrainingPhase.PRETRAINING:
                found.insert(0, stage)
        return found


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """One training of the run with all its seeds."""

    phase: TrainingPhase
    after: str
    "The intermediate setting that it follows; empty for the first phase."
    task: str
    "The task that gives the rows; several are joined by +."
    hyper_parameters: SourcedValues | None
    "Hyper-parameters with who set each; None where the preset fixes them."
    stages: tuple[Stage[TrainArguments], ...]
    "One per seed."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and the cells they serve."""

    request: RunRequest
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    tasks: Mapping[str, ResolvedTask]
    "The targets by name."
    settings: Mapping[str, Setting]
    "The intermediate settings by name."
    cells: Sequence[PlannedCell]
    trainings: Sequence[PlannedTraining] = ()
    data_dir: Path | None = None
    "Where its data were looked for, besides the hub."
    remarks: tuple[str, ...] = ()
    "What of the request was not taken at its word."

    @cached_property
    def stages(self) -> list[AnyStage]:
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
        gaps = {task: [gap for gap in found.values() if not gap.is_wrong] for task, found in rows.items()}
        return [self._missing_of(task, found) for task, found in gaps.items() if found]

    def wrong(self) -> list[UserError]:
        """What is wrong with data that could not even be planned with, each mistake once."""
        found = {str(gap.error): gap.error for cell in self.cells for gap in cell.missing if gap.is_wrong}
        return list(found.values())

    def _missing_of(self, task: str, gaps: Sequence[Missing]) -> str:
        splits: dict[str, list[str]] = {}
        for gap in gaps:
            splits.setdefault(gap.split, []).append(gap.lang)
        what = "; ".join(f"{split} rows of {', '.join(langs)}" for split, langs in splits.items())
        num_blocked = sum(any(gap.task == task for gap in cell.missing) for cell in self.cells)
        first = gaps[0].error
        assert isinstance(first, MissingData)
        tests = ",".join(splits.get("test", ()))
        named = f"{file_of(task)} --intermediate {task}" if file_of(task) != task else task
        if task in self.tasks and self.tasks[task].spec.lm_eval:
            named += " --include_path DIR"  # a run does not know where its task files were given
        fetch = f"{FETCH} --tasks {named}" + (f" --languages {tests}" if tests else "") + "   (on a machine that reaches the hub)"
        more = f"  (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
        error = UserError(
            f"task '{task}' lacks {what}; {num_blocked} scores wait for them",
            found=first.found + more,
            todo=fetch if first.fetchable else first.todo,
        )
        return str(error)


def make_plan(request: RunRequest, *, catalog: Catalog, place: DataPlace) -> Plan:
    """Settle a request; raises every mistake of it at once."""
    errors: list[UserError] = []

    def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        with collecting(errors):
            return function(*args, **kwargs)
        return None

    chosen = selected(request, catalog=catalog, errors=errors)
    entries = chosen.entries
    recipe = attempt(catalog.recipe, request.recipe, where="--recipe")
    backbone = attempt(resolve, request.model, request.model_args, catalog=catalog, use_own_head=request.no_train)
    settings = attempt(parse_settings, request.intermediate, catalog=catalog) or []
    for lang in request.languages:
        attempt(language, lang, where="--languages")
    prompt = attempt(parse_prompt_args, request.prompt_args) or PromptArgs()
    routing = Routing(
        asked=request.route,
        prompt=prompt,
        engine=backbone.engine if backbone else Engine(),
        trains=not (request.no_train or (backbone is not None and backbone.is_fake)),
    )
    errors += conflicts(request, list(entries.values()), any_named=bool(request.tasks.strip(" ,")), routing=routing)
    errors += untrusted(list(entries.values()), trusted=place.trust_task_code)
    errors += unsafe(list(entries.values()), trusted=place.trust_generated_code)
    errors += unloadable(list(entries.values()), place=place)
    errors += untrusted_metrics(list(entries.values()))
    if backbone:
        errors += impossible(backbone, list(entries.values()), settings, routing=routing, catalog=catalog)
        errors += low_bit_mistakes(backbone, list(entries.values()), settings, routing=routing)
    if backbone is None or recipe is None:
        raise_all(errors)
    assert backbone is not None
    assert recipe is not None
    tasks = TaskResolver(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe, routing=routing)
    errors += unresolved(tasks, list(entries), settings)
    errors += unserved(tasks, list(entries))
    errors += beyond(tasks, list(entries))
    raise_all(distinct(errors))
    resolved = {name: tasks.target(name) for name in entries}
    builder = StageBuilder(tasks=tasks)
    if request.remove_overlap:
        builder.tests = builder.test_sets(list(resolved.values()))
    cells = [
        cell
        for setting in settings
        for task in resolved.values()
        for lang in request.languages_of(task.spec)
        for cell in _cells(builder, task, setting, lang)
    ]
    return Plan(
        request=request,
        backbone=backbone,
        recipe=recipe,
        tasks=resolved,
        settings={setting.name: setting for setting in settings},
        cells=cells,
        trainings=_trainings(builder, resolved, settings, cells),
        data_dir=place.data_dir,
        remarks=tuple(chosen.remarks(request)),
    )


def _cells(builder: StageBuilder, task: ResolvedTask, setting: Setting, lang: str) -> list[PlannedCell]:
    """The cells of all seeds; one where nothing random happens: no training, and nothing that is drawn for a prompt."""
    request = builder.tasks.request
    fixed = not task.is_trained and not task.draws and (not setting.phases or builder.tasks.backbone.is_fake)
    missing = builder.missing(task, setting, lang)
    name = task.spec.task
    cells: list[PlannedCell] = []
    for asked in request.seeds[: 1 if fixed else None]:
        seed = request.seed_of(name, asked)
        score = None
        if not missing:
            parent = builder.trained(task, setting, seed) if task.is_trained else builder.intermediate(setting, seed)
            score = builder.score_stage(task, lang, parent=parent, seed=seed)
        shown = None if fixed else seed
        cells.append(PlannedCell(intermediate=setting.name, task=name, lang=lang, seed=shown, score=score, missing=missing))
    return cells


class _Training(NamedTuple):
    """What makes several training stages one line of a plan: they differ in their seeds only."""

    phase: TrainingPhase
    after: str
    tasks: str
    hyper_parameters: tuple[tuple[str, object], ...]


def _trainings(
    builder: StageBuilder, tasks: Mapping[str, ResolvedTask], settings: Sequence[Setting], cells: Sequence[PlannedCell]
) -> list[PlannedTraining]:
    """The training stages of the cells by what they do, in the order of the stages."""
    phases = {setting.name: setting.phases for setting in settings}
    found: dict[_Training, dict[str, Stage[TrainArguments]]] = {}
    settled: dict[_Training, SourcedValues | None] = {}
    for stage in in_order(cell.score for cell in cells if cell.score):
        if stage.phase == TrainingPhase.PRETRAINING:
            key = _Training(stage.phase, "", stage.args.name, ())
            found.setdefault(key, {})[stage.key] = stage
            settled[key] = None
    seen: set[tuple[str, str]] = set()
    for cell in cells:
        done: list[str] = []
        for stage in cell.train:
            assert stage.phase is not None
            is_target = stage.phase == TrainingPhase.TARGET
            after = cell.intermediate if is_target else ":".join(done)
            if not is_target:
                done.append(phases[cell.intermediate][len(done)].name)
            if (cell.intermediate, stage.key) in seen:
                continue
            seen.add((cell.intermediate, stage.key))
            key = _Training(stage.phase, after, stage.args.name, tuple(sorted(stage.args.training.items())))
            found.setdefault(key, {})[stage.key] = stage
            settled[key] = (
                builder.tasks.target_training(tasks[cell.task].entry, after=cell.intermediate)
                if is_target
                else builder.tasks.phase_training(phases[cell.intermediate][len(done) - 1], setting=":".join(done))
            )
    return [
        PlannedTraining(
            phase=key.phase, after=key.after, task=key.tasks, hyper_parameters=settled[key], stages=tuple(stages.values())
        )
        for key, stages in found.items()
    ]
