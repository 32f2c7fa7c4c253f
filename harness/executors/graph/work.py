"""One piece of work, as all processes that share it do it: a training, a bundle of predictions, a backbone, a score.

    failures = do_work(Order("train", (stage.key,), (stage.key,)), stages, root=root, machine=machine)

The caller has the locks.  The first process writes; what a finished stage must say of itself stands in its done.json then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.executors.graph.verbs import make_backbone, score_predictions
from harness.prediction.failures import CellFailure
from harness.prediction.loop import predict_bundle
from harness.runtime.arguments import InitArguments, TrainArguments
from harness.runtime.folders import sweep
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first
from harness.runtime.provenance import provenance
from harness.runtime.stages import AnyStage, begin, mark_done
from harness.training.loop import tidy, train


class Order(NamedTuple):
    """Work that processes do together."""

    verb: str
    keys: tuple[str, ...]
    "The one stage, or the whole bundle to predict."
    todo: tuple[str, ...] = ()
    "What of it is to be done."


def do_work(
    order: Order,
    stages: Iterable[AnyStage],
    *,
    root: Path,
    machine: Machine,
    on_done: Callable[[AnyStage], None] = lambda _: None,
) -> Mapping[str, CellFailure]:
    """Do what an order says, in each of the processes that have got it; what failed of a bundle, by the stage's key.

    `on_done` is told of each prediction once it is done, while others are computed, in a thread beside them.  Raises what the
    work raises.
    """
    by_key = {stage.key: stage for stage in stages}
    bundle, todo = ([by_key[key] for key in keys] for keys in (order.keys, order.todo))
    from_first(lambda: _begin(todo, root=root))
    if order.verb == "predict":
        return predict_bundle(bundle, todo=todo, root=root, machine=machine, on_done=on_done)
    (stage,) = todo
    if isinstance(stage.args, TrainArguments):
        facts = train(stage, root=root, machine=machine)
        facts = {**facts, "arithmetic": machine.training_arithmetic(str(facts["dtype"]))}
    else:
        facts = from_first(lambda: _alone(stage, root=root, machine=machine))
    from_first(lambda: mark_done(stage, root, {**facts, **provenance()}))
    return {}


def _alone(stage: AnyStage, *, root: Path, machine: Machine) -> dict[str, object]:
    """What the first process does by itself."""
    if isinstance(stage.args, InitArguments):
        return make_backbone(stage, root=root, machine=machine)
    score_predictions(stage, root=root, machine=machine)
    return {}


def tidy_up(order: Order, stages: Sequence[AnyStage], *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished training needs, once its done.json stands."""
    for stage in stages:
        if stage.key in order.todo and stage.verb == "train":
            tidy(stage, root=root, machine=machine)


def _begin(todo: Sequence[AnyStage], *, root: Path) -> None:
    for stage in todo:
        sweep(begin(stage, root))
