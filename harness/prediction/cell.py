"""One (task, language) to predict: its rows, its features, and what the model has said of them; and cells that share batches.

cell = Cell(stage=stage, folder=stage.folder(root), machine=machine, tokenizer=tokenizer)
cell.features, cell.lengths, cell.partials
shared_batches(stages, todo=todo, root=root)     # which cells share batches: [[stage, ...], ...]
asked_in_order(cells)                            # [(cell, number of its feature), ...]: what begins alike stands together
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from harness.api.protocols import Feature, Pooling
from harness.api.registry import TASK_TYPES
from harness.data.examples import Split, load_examples
from harness.prediction.batching import num_tokens
from harness.prediction.partials import open_partials
from harness.runtime.machine import Machine
from harness.runtime.processes import rank
from harness.runtime.stages import Stage, canonical, read_json, write_json, write_text
from harness.specs.portable import revive
from harness.specs.prompt import PromptSettings
from harness.specs.task import TaskSpec
from harness.task_types.prompting.route import PromptRoute

ENCODE_CHUNK = 1000
BUNDLE_FILE = "bundle.json"
"Keys of the cells whose features are put into batches with those of this cell."


_POOLS: dict[str, Sequence[Any]] = {}


class Question(NamedTuple):
    """What an adapter is asked for a feature: one of its heads, or a pooled vector."""

    head: str | None
    pooling: Pooling | None
    asks: str | None = None
    "`loglikelihood` or `generate`: what a request in words wants."

    @staticmethod
    def of(module: Any, options: Any, *, head: str | None, task: TaskSpec) -> Question:
        """The question of a task type or its prompt route: pooled vectors where the type has no head."""
        if hasattr(module, "asks"):
            return Question(None, None, module.asks(task))
        pools = getattr(module, "pools", None)
        pooling = pools(options) if pools else None
        return Question(None, pooling) if pooling else Question(head, None)


def route_module(
    task: TaskSpec,
    prompt: Mapping[str, Any] | None,
    *,
    machine: Machine,
    pool: Sequence[Any] = (),
    max_positions: int | None = None,
) -> Any:
    """A task's type, or with the `prompt` arguments of a stage its prompt route: the type's own, where it has one."""
    module: Any = TASK_TYPES.load(task.type)
    if prompt is None:
        return module
    settings = PromptSettings.model_validate(prompt)
    if hasattr(module, "prompt_route"):
        return module.prompt_route(task=task, settings=settings, pool=pool, machine=machine, max_positions=max_positions)
    return PromptRoute(module=module, settings=settings, pool=pool, max_positions=max_positions)


@dataclass(kw_only=True)
class Cell:
    """One (task, language) of a bundle."""

    stage: Stage
    folder: Path
    machine: Machine
    tokenizer: Any
    max_positions: int | None = None
    "Longest input of the model, where it is known."
    versions: Mapping[str, str] = field(default_factory=dict)
    "Of packages in another environment that compute its answers."

    @property
    def args(self) -> Any:
        """The stage's arguments."""
        return self.stage.args

    @cached_property
    def spec(self) -> TaskSpec:
        """The task as the stage knows it."""
        return revive(self.args["task"], self.args["spec"])

    @cached_property
    def module(self) -> Any:
        """The task type, or its prompt route."""
        return route_module(
            self.spec, self.args.get("prompt"), machine=self.machine, pool=self._pool(), max_positions=self.max_positions
        )

    def _pool(self) -> Sequence[Any]:
        """The English rows from which solved examples are drawn; those of the last task are kept, for its other languages."""
        shots = self.args.get("shots")
        if shots is None:
            return []
        key = canonical(shots)
        if key not in _POOLS:
            spec = revive(shots["task"], shots["spec"])
            (split,) = shots["spec"]["data"]
            folder = self.machine.task_folders.get(spec.task)
            rows = load_examples(spec, split=split, langs=spec.train_languages, place=self.machine.place, task_folder=folder)
            _POOLS.clear()
            _POOLS[key] = rows.examples
        return _POOLS[key]

    @cached_property
    def options(self) -> Any:
        """The options of the task type."""
        return self.module.Options.model_validate(self.args["options"])

    @cached_property
    def question(self) -> Question:
        """What the model is asked."""
        return Question.of(self.module, self.options, head=self.args["head"], task=self.spec)

    @cached_property
    def examples(self) -> Sequence[Any]:
        """The test rows, or the seeded sample of them; before them those on which the type chooses a threshold."""
        asked = self._rows(self.spec, "test", limit=self.args.get("limit"))
        if not getattr(self.module, "CALIBRATES", False):
            return asked
        held_out = self.args.get("calibration")
        rows = self._rows(revive(self.args["task"], held_out["spec"]), "validation") if held_out else []
        found: Sequence[Any] = self.module.with_calibration(asked, rows, options=self.options)
        return found

    def _rows(self, spec: TaskSpec, split: Split, *, limit: int | None = None) -> Sequence[Any]:
        """The rows of a split in the language of the cell."""
        folder = self.machine.task_folders.get(spec.task)
        loaded = load_examples(
            spec, split=split, langs=[self.args["lang"]], place=self.machine.place, task_folder=folder, limit=limit
        )
        return loaded.examples

    @cached_property
    def features(self) -> list[Feature]:
        """The encoded rows."""
        return encode_all(self.module, self.examples, spec=self.spec, tokenizer=self.tokenizer, options=self.options, train=False)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each feature; kept on disk, so that batches can be planned without encoding finished cells again."""
        path = self.folder / "lengths.json"
        if not path.is_file():
            write_text(path, json.dumps([num_tokens(feature) for feature in self.features]))
        found: list[int] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @cached_property
    def partials(self) -> Any:
        """What the model has said so far."""
        return open_partials(self.folder, vectors=self.question.pooling is not None, rank=rank())

    def close(self) -> None:
        """Close the files of `partials`, if they were opened."""
        if "partials" in vars(self):
            self.partials.close()


def asked_in_order(cells: Sequence[Cell]) -> list[tuple[Cell, int]]:
    """All features of some cells, each with its number, in the order in which the model is asked.

    One language after the other, where neighbouring rows are questions on one text.  With solved examples before each question
    one row after the other in all languages of a task: parallel data have the same examples there, which are most of a prompt.
    """
    found: list[tuple[Cell, int]] = []
    for (_, shots), same in groupby(cells, key=lambda cell: (cell.args["task"], cell.args.get("shots"))):
        own = [(cell, n) for cell in same for n in range(len(cell.lengths))]
        found += sorted(own, key=lambda place: place[1]) if shots else own
    return found


def encode_all(
    module: Any, examples: Sequence[Any], *, spec: TaskSpec, tokenizer: Any, options: Any, train: bool, note: str = ""
) -> list[Feature]:
    """Encode in chunks with a progress bar; `Feature.example` counts over all examples."""
    features: list[Feature] = []
    starts = range(0, len(examples), ENCODE_CHUNK)
    for start in tqdm(starts, desc=f"encode {note or spec.task}", delay=2, leave=False, disable=not note):
        chunk = examples[start : start + ENCODE_CHUNK]
        encoded = module.encode(chunk, task=spec, tokenizer=tokenizer, options=options, train=train)
        features += [_moved(feature, start) for feature in encoded]
    return features


def _moved(feature: Feature, by: int) -> Feature:
    """The feature of an example that comes `by` places later."""
    if not by:
        return feature
    values = {name: getattr(feature, name) for name in Feature.__slots__}
    return Feature(**{**values, "example": feature.example + by})


def shared_batches(stages: Sequence[Stage], *, todo: Sequence[Stage], root: Path) -> list[list[Stage]]:
    """The groups of cells that share batches, and that hold all of `todo`.

    An interrupted group comes again as it was, finished cells included, so that the rest gets the batches it would have had.
    What has not begun is a group of its own: a language added later does not touch the others.
    """
    by_key = {stage.key: stage for stage in stages}
    groups: list[list[str]] = []
    waiting = {stage.key: stage for stage in todo}
    asked = set(waiting)
    for stage in todo:
        path = stage.folder(root) / BUNDLE_FILE
        keys = read_json(path) if path.is_file() else []
        if stage.key in keys and stage.key in waiting and set(keys) <= set(by_key):
            groups.append(keys)
            waiting = {key: other for key, other in waiting.items() if key not in keys}
    if waiting:
        groups.append(list(waiting))
    for keys in groups:
        for key in keys:
            if key in asked:
                write_json(by_key[key].folder(root) / BUNDLE_FILE, keys)
    return [[by_key[key] for key in keys] for keys in groups]
