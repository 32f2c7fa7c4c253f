"""Show the stages of a run and what they cost, without running anything.

python run_eval.py plan --model xlm-roberta-base --tasks xtreme --intermediate none,mnli --output_path runs/x
python run_eval.py plan --model xlm-roberta-large --tasks xnli --on h100-80gb:4 --price 2.5    # memory, hours, cost there
python run_eval.py plan --model xlm-roberta-large --tasks xnli --json                          # every part of every stage
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.commands._arguments import (
    add_cost_arguments,
    add_machine_arguments,
    add_request_arguments,
    catalog_of,
    out,
    place_of,
    say,
)
from harness.commands._plan_costs import costs_json, costs_text
from harness.commands._requests import device_of, plans_of, print_remarks
from harness.commands._table import paragraphs, table
from harness.data.row_errors import num_wrong
from harness.planning.choice_beginnings import beginnings_of_choices
from harness.planning.costs.estimate import Estimate, estimate
from harness.planning.costs.refusals import refusals
from harness.planning.data_mistakes import data_mistakes
from harness.planning.plan import Plan
from harness.runtime.engines import DEFAULT
from harness.runtime.machine import Machine
from harness.runtime.outputs import output_folder
from harness.runtime.stages import AnyStage, finished_stages
from harness.specs.limit import limit_words

HELP = "show the stages of a run: done, to do, blocked; steps, memory, hours, cost, disk"
ALWAYS = ("learning_rate", "batch_size", "epochs", "max_steps")
"Hyper-parameters that are shown even at their default."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `plan`: those of `run`, and for what it is reckoned."""
    add_request_arguments(parser)
    add_machine_arguments(parser)
    add_cost_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the costs of every stage, part by part, as JSON")


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """What is planned for one model, and what it costs."""

    plan: Plan
    numbers: Estimate
    root: Path
    machine: Machine
    done: set[str]
    "Names of the stages that are finished."
    price: float | None

    def costs(self) -> dict[str, Any]:
        """The costs of every stage, part by part."""
        return costs_json(self.plan, self.numbers, done=self.done, price=self.price)

    def text(self) -> str:
        """All of it for a reader."""
        plan, numbers = self.plan, self.numbers
        lines = [*_mixtures(plan, numbers), *_remarks(plan), *beginnings_of_choices(plan, machine=self.machine), *numbers.notes]
        parts = [
            paragraphs(_title(plan, self.root)),
            _trainings(plan, numbers, self.done),
            paragraphs(_hyper_parameters(plan)),
            _predictions(plan, numbers, self.done),
            _stages(plan, self.done),
            costs_text(plan, numbers, done=self.done, price=self.price),
            paragraphs("\n".join(lines)),
            paragraphs("\n".join(plan.missing())),
        ]
        return "\n\n".join(part for part in parts if part)


class PlanEnd(NamedTuple):
    """What came of planning."""

    models: list[ModelPlan]
    mistakes: list[UserError]
    "Rows that are wrong."
    unfit: list[UserError]
    "Stages that cannot fit the device."

    @property
    def exit_code(self) -> int:
        """2 if some rows are wrong or a stage fits no such device, 1 if some scores are blocked."""
        if self.mistakes or self.unfit:
            return 2
        return 1 if any(cell.missing for model in self.models for cell in model.plan.cells) else 0


def run(args: argparse.Namespace) -> int:
    """Print the plan; 2 if some rows are wrong or a stage fits no such device, 1 if some scores are blocked."""
    end = planned(args)
    if args.json:
        documents = [model.costs() for model in end.models]
        out(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        out(plan_text(end))
    for error in end.mistakes:
        say(str(error))
    for error in end.unfit:
        say(f"cannot fit: {error}")
    if end.mistakes:
        say(f"wrong rows: {num_wrong(end.mistakes)} (`run` does all that does not need them)")
    return end.exit_code


def plan_text(end: PlanEnd) -> str:
    """The plans of all models for a reader."""
    return "\n\n".join(model.text() for model in end.models)


def planned(args: argparse.Namespace) -> PlanEnd:
    """The stages of a request and their costs, nothing of them run; raises UserError for what cannot be planned."""
    root = output_folder(args.output_path, where="--output_path")
    catalog = catalog_of(args)
    place = place_of(args, runs=[root])
    plans, machine = plans_of(args, catalog, place)
    device = device_of(args, catalog)
    print_remarks(catalog, plans)
    done = finished_stages(root)
    models: list[ModelPlan] = []
    mistakes: dict[str, UserError] = {}
    unfit: list[UserError] = []
    for plan in plans:
        numbers = estimate(plan, root=root, machine=machine, device=device)
        models.append(ModelPlan(plan=plan, numbers=numbers, root=root, machine=machine, done=done, price=args.price))
        mistakes |= {str(mistake): mistake for mistake in data_mistakes(plan, machine=machine)}
        unfit += refusals(plan, root=root, machine=machine, device=device)
    return PlanEnd(models, list(mistakes.values()), unfit)


def _title(plan: Plan, root: Path) -> str:
    """What is planned, in a line."""
    request = plan.request
    partial = f", {limit_words(request.limit)} (every number is marked partial)" if request.limit else ""
    trained = "no training" if request.no_train else f"recipe {request.recipe}, seeds {', '.join(map(str, request.seeds))}"
    blocked = sum(bool(cell.missing) for cell in plan.cells)
    scores = f"{len(plan.cells)} scores, {len(plan.cells) - blocked} possible, {blocked} blocked"
    return f"{plan.backbone.name}: {scores}; {trained}{partial}; stages in {root}"


def _trainings(plan: Plan, numbers: Estimate, done: set[str]) -> str:
    """A line per training with all its seeds."""
    serves, readers = _served(plan), _readers(plan)
    rows = []
    for training in plan.trainings:
        costs = [cost.shown() for stage in training.stages if (cost := numbers.training.get(stage.key))]
        scores = sum(serves[stage.key] for stage in training.stages)
        state = _state(training.stages, done)
        shared = " ".join(dict.fromkeys(task for stage in training.stages for task in readers[stage.key]))
        rows.append([training.phase, training.task, training.after, state, *costs[0], str(scores), shared])
    if not rows:
        return ""
    return table(["training", "rows of", "after", "stages", "rows", "batch", "steps", "scores", "shared by"], rows)


def _readers(plan: Plan) -> dict[str, dict[str, None]]:
    """AnyStage key -> the targets whose scores come from that training."""
    readers: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in plan.cells:
        for stage in cell.train:
            readers[stage.key][cell.task] = None
    return readers


def _served(plan: Plan) -> Counter[str]:
    """AnyStage key -> scores that come from it."""
    serves: Counter[str] = Counter()
    for cell in plan.cells:
        found: dict[str, AnyStage] = {}
        waiting = [cell.score] if cell.score else []
        while waiting:
            stage = waiting.pop()
            found[stage.key] = stage
            waiting += stage.inputs
        serves.update(list(found))
    return serves


def _state(stages: Sequence[AnyStage], done: set[str]) -> str:
    """How many are done and how many are not."""
    finished = sum(stage.name in done for stage in stages)
    left = len(stages) - finished
    return ", ".join([*([f"{finished} done"] if finished else []), *([f"{left} to do"] if left else [])])


def _hyper_parameters(plan: Plan) -> str:
    """The values that apply, once for all trainings that share them."""
    texts: dict[tuple[str, str], dict[str, None]] = {}
    for training in plan.trainings:
        if training.hyper_parameters is None:
            continue
        values = training.hyper_parameters.values
        changed = {name for name in values.model_fields_set if getattr(values, name) != type(values).model_fields[name].default}
        shown = [name for name in type(values).model_fields if name in changed or name in ALWAYS]
        text = ", ".join(f"{name} {getattr(values, name)}" for name in shown if getattr(values, name) is not None)
        texts.setdefault((training.phase, text), {})[training.task] = None
    lines = [f"  {phase} on {', '.join(tasks)}: {text}" for (phase, text), tasks in texts.items()]
    recipe = plan.recipe.spec.recipe
    head = f"hyper-parameters of recipe {recipe} (`show <task> --recipe {recipe}` says who set each)"
    return "\n".join([head, *lines]) if lines else ""


def _predictions(plan: Plan, numbers: Estimate, done: set[str]) -> str:
    """A line per target: languages, predictions, test rows."""
    rows = []
    for task, entry in plan.tasks.items():
        cells = [cell for cell in plan.cells if cell.task == task]
        stages = list({cell.predict.key: cell.predict for cell in cells if cell.predict}.values())
        langs = {cell.lang for cell in cells if cell.score}
        examples = numbers.test_rows.get(task)
        blocked = str(sum(bool(cell.missing) for cell in cells) or "")
        counted = "-" if not stages else "?" if examples is None else f"{examples:,}"
        rows.append([task, f"{len(langs)}/{len(entry.spec.languages)}", _state(stages, done) or "-", blocked, counted])
    return table(["target", "languages", "predictions", "blocked", "test rows a checkpoint"], rows)


def _stages(plan: Plan, done: set[str]) -> str:
    """Counts by verb."""
    counts = []
    for verb in ("init", "train", "predict", "score"):
        stages = [stage for stage in plan.stages if stage.verb == verb]
        finished = sum(stage.name in done for stage in stages)
        if stages:
            counts.append([verb, f"{len(stages)}", f"{finished}", f"{len(stages) - finished}"])
    return table(["verb", "stages", "done", "to do"], counts) if counts else ""


def _mixtures(plan: Plan, numbers: Estimate) -> list[str]:
    """The share of the steps that each task of a mixture gets."""
    lines: dict[str, None] = {}
    for training in plan.trainings:
        cost = numbers.training.get(training.stages[0].key)
        if cost and cost.rates:
            rates = ", ".join(f"{task} {rate:.1%}" for task, rate in cost.rates.items())
            lines[f"mixture {training.task}: each step trains one task; {rates}"] = None
    return list(lines)


def _remarks(plan: Plan) -> list[str]:
    """What a reader of the scores must know beforehand."""
    remarks = [
        f"same task: {task} after {name} trains twice on the same data; its lift is marked on the board"
        for name, task in plan.same_task
    ]
    once = list(dict.fromkeys(cell.task for cell in plan.cells if cell.seed is None))
    if once and len(plan.request.seeds) > 1:
        remarks.append(f"no seeds for {', '.join(once)} without an intermediate task: nothing in them is random")
    engine = plan.backbone.engine
    own = [name for name, task in plan.tasks.items() if not task.route.is_served]
    if engine.name != DEFAULT:
        others = f"; {', '.join(own)}: heads are transformers'" if own else ""
        remarks.append(f"{engine.name} answers {', '.join(name for name in plan.tasks if name not in own)}{others}")
    if plan.backbone.preset is None:
        remarks.append(f"no preset describes {plan.backbone.name}: its pitfalls are not known (see `ls models`)")
    return remarks
