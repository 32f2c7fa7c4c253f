"""How many rows and steps stages have.

cost = training_cost(stage.args, machine)
cost.rows, cost.steps
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.api.cache_entries import cache_entries
from harness.api.errors import UserError
from harness.data.examples import Split
from harness.data.rows import load_rows
from harness.data.values import READING
from harness.runtime.arguments import ComponentArguments, PredictArguments, SplitRows, TrainArguments, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import Stage, canonical
from harness.specs.recipe import Training
from harness.training.mixture import Mixture, SampledTask


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """The size of one training stage."""

    rows: int | None
    "Rows before windows and pieces are cut; None = the data are not here."
    batch_size: int
    steps: int | None
    rates: Mapping[str, float] = field(default_factory=dict)
    "Of a mixture: the share of the steps that each task gets."

    def shown(self) -> tuple[str, str, str]:
        """Rows, batch and steps as text."""
        return (_number(self.rows), str(self.batch_size), _number(self.steps))


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def num_test_rows(stage: Stage[PredictArguments], machine: Machine) -> int | None:
    """Test rows of a prediction without its limit; None where the data cannot be read here."""
    return _num_rows(stage.args.rows, "test", machine)


def num_training_rows(component: ComponentArguments, training: Training, machine: Machine) -> int | None:
    """Rows that a component trains on; None where the data cannot be read here."""
    rows = _num_rows(component, "train", machine)
    return rows if rows is None else min(rows, component.max_examples(training) or rows)


def training_cost(args: TrainArguments, machine: Machine) -> TrainingCost:
    """Rows and steps of a training."""
    training = args.hyper_parameters
    parts: list[SampledTask] = []
    for component in args.tasks:
        rows = num_training_rows(component, training, machine)
        if rows is None:
            return TrainingCost(rows=None, batch_size=training.batch_size, steps=training.max_steps)
        batch_size = component.batch_size(training)
        parts.append(SampledTask(name=component.task, strata=(rows,), num_examples=rows, batch_size=batch_size))
    mixture = Mixture(
        components=parts,
        seed=0,
        sampling=training.sampling,
        cap=training.sampling_cap,
        temperature=training.sampling_temperature,
    )
    return TrainingCost(
        rows=sum(part.num_items for part in parts),
        batch_size=training.batch_size,
        steps=mixture.steps_for(epochs=training.epochs, max_steps=training.max_steps),
        rates=mixture.rates if len(parts) > 1 else {},
    )


def _num_rows(rows: SplitRows, split: Split, machine: Machine) -> int | None:
    """Rows of a split, read once for each fingerprint; None where the data cannot be read here."""
    store = cache_entries("row_counts")
    key = canonical([READING, rows.spec["data"], dict(rows.data)])
    known = store.get(key)
    if known is None:
        spec = rows.task_spec
        folder = machine.task_folders.get(file_of(spec.task))
        try:
            known = sum(
                len(load_rows(source, lang=lang, place=machine.place, task=spec.task, task_folder=folder).rows)
                for lang in rows.data
                for source in getattr(spec.data, split)
            )
        except UserError:
            return None  # the run itself reports data that cannot be read
        store.add({key: known})
    return int(known)
