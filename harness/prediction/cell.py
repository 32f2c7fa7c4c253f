"""One (task, language) to predict: its rows, its features, and what the model has said of them.

cell = Cell(stage=stage, folder=stage.folder(root), machine=machine, tokenizer=tokenizer)
cell.features, cell.lengths, cell.partials
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias

from harness.api.packed import Packed
from harness.api.progress import tell
from harness.api.protocols import Feature
from harness.api.registry import TASK_TYPES
from harness.data.examples import Split, load_examples
from harness.prediction.batching import check_longest
from harness.prediction.features import PackedFeatures
from harness.prediction.partials import Partials, open_partials
from harness.prediction.questions import Question, encoded_chunks, question_of, route_module
from harness.prediction.token_cache import kept_place, recall_features, remember_features
from harness.prediction.vocabulary import check_english, check_largest_id, count_tokens
from harness.runtime.arguments import PredictArguments
from harness.runtime.machine import Machine
from harness.runtime.processes import rank
from harness.runtime.stages import Stage, canonical, write_text
from harness.specs.limit import Limit
from harness.specs.portable import revive
from harness.specs.task import TaskSpec
from harness.task_types.prompting.prefixes import Beginning, beginnings

PredictStage: TypeAlias = Stage[PredictArguments]
LENGTHS_FILE = "lengths.json"

TO_COMPARE = "to do: compare them by --prompt_args normalise=per_token (or per_character), or word the choices apart"

_POOLS: dict[str, Sequence[Any]] = {}


@dataclass(kw_only=True)
class Cell:
    """One (task, language) of a bundle."""

    stage: Stage[PredictArguments]
    folder: Path
    machine: Machine
    tokenizer: Any
    max_positions: int | None = None
    "Longest input of the model, where it is known."
    num_embeddings: int | None = None
    "Rows of the model's table of words, where it has one."
    versions: Mapping[str, str] = field(default_factory=dict)
    "Of packages in another environment that compute its answers."
    computes_here: bool = True
    "Whether this machine computes its answers."
    placed: Mapping[str, int] = field(default_factory=dict)
    "Bytes of the model's weights by where they lie."
    _lengths: list[int] | None = None
    _read: set[str] = field(default_factory=set)
    "Fingerprints of the rows that were read: not those of the stage where a file has changed since it was planned."
    _partials: Partials | None = None
    _examples: Sequence[Any] | None = None
    _features: PackedFeatures | None = None
    _is_released: bool = False
    _making: threading.RLock = field(default_factory=threading.RLock)
    """Several threads ask for rows and features: one makes them.  (The lock of a cached_property of Python 3.11 is that of all
    cells, so that one would wait for the rows of another.)"""

    @property
    def args(self) -> PredictArguments:
        """The stage's arguments."""
        return self.stage.args

    @cached_property
    def spec(self) -> TaskSpec:
        """The task as the stage knows it."""
        return self.args.task_spec

    @cached_property
    def module(self) -> Any:
        """The task type, or its prompt route."""
        return route_module(
            self.spec, self.args.prompt, machine=self.machine, pool=self._pool(), max_positions=self.max_positions
        )

    def _pool(self) -> Sequence[Any]:
        """The English rows from which solved examples are drawn; those of the last task are kept, for its other languages."""
        shots = self.args.shots
        if shots is None:
            return []
        key = canonical(shots.json())
        if key not in _POOLS:
            spec = shots.task_spec
            (split,) = shots.spec["data"]
            folder = self.machine.task_folders.get(spec.task)
            rows = load_examples(spec, split=split, langs=spec.train_languages, place=self.machine.place, task_folder=folder)
            _POOLS.clear()
            _POOLS[key] = rows.examples
        return _POOLS[key]

    @cached_property
    def options(self) -> Any:
        """The options of the task type."""
        return self.module.Options.model_validate(self.args.options)

    @cached_property
    def question(self) -> Question:
        """What the model is asked; no rows are read for it."""
        if self.args.prompt is not None:
            return Question(None, None, self.spec.asks)
        return question_of(self.module, self.options, head=self.args.head, asks=None)

    @property
    def examples(self) -> Sequence[Any]:
        """The test rows, or the seeded sample of them; before them those on which the type chooses a threshold."""
        with self._making:
            if self._examples is None:
                found = self._asked_rows()
                self._examples = found if isinstance(found, Packed) else Packed(found)
            return self._examples

    def read_ahead(self) -> None:
        """Read the rows of a cell whose tokens were kept, while nobody waits for them: its predictions are made of both."""
        with self._making:
            if not self._is_released:
                _ = self.examples

    def _asked_rows(self) -> Sequence[Any]:
        asked = self._rows(self.spec, "test", limit=self.args.limit)
        if not self.module.CALIBRATES:
            return asked
        held_out = self.args.calibration
        rows = self._rows(revive(self.args.task, held_out.spec), "validation") if held_out else []
        found: Sequence[Any] = self.module.with_calibration(asked, rows, options=self.options)
        return found

    def _rows(self, spec: TaskSpec, split: Split, *, limit: Limit | None = None) -> Sequence[Any]:
        """The rows of a split in the language of the cell."""
        folder = self.machine.task_folders.get(spec.task)
        loaded = load_examples(
            spec, split=split, langs=[self.args.lang], place=self.machine.place, task_folder=folder, limit=limit
        )
        self._read.add(loaded.fingerprint)
        return loaded.examples

    @property
    def features(self) -> PackedFeatures:
        """The encoded rows; raises UserError for what the model cannot take, or a tokenizer that does not know English."""
        if (there := self._features) is not None:  # others need not wait while rows are read ahead
            return there
        with self._making:
            if self._features is None:
                self._features = self._checked_features()
            return self._features

    def _checked_features(self) -> PackedFeatures:
        place = kept_place(self.args, self.tokenizer) if self.reads_words else None
        known = recall_features(place) if place else None
        found = self._encoded() if known is None else known
        where = f"task '{self.spec.task}' in {self.args.lang}"
        check_longest(found.most_tokens, longest=self.max_positions, where=where)
        check_largest_id(found.largest_id, num_embeddings=self.num_embeddings, tokenizer=self.tokenizer, where=where)
        if self.reads_words and known is None:
            check_english(self.examples, kind=self.kind, tokenizer=self.tokenizer, where=where)
            if place and self._read <= {self.args.data, getattr(self.args.calibration, "data", self.args.data)}:
                remember_features(place, found)
        if self.args.prompt is not None:
            for doubt in self.module.doubts(self.examples, task=self.spec):
                warn(f"task '{self.spec.task}', {doubt}")
        for pair in self._beginnings(found):
            share = "" if pair.examples == len(self.examples) else f" in {pair.examples:,} examples"
            text = f"{pair.longer} can never be chosen{share}, for {pair.shorter} is how it begins"
            warn(f"task '{self.spec.task}': {text}", TO_COMPARE)
        return found

    def _encoded(self) -> PackedFeatures:
        found = PackedFeatures()
        for first, chunk in encoded_chunks(
            self.module, self.examples, spec=self.spec, tokenizer=self.tokenizer, options=self.options, train=False
        ):
            found.extend(chunk, first=first)
        return found

    def encode(self) -> None:
        """Make what is asked of a cell that is to be predicted, while nobody waits for it."""
        _ = self.module, self.features

    def _beginnings(self, features: Sequence[Feature]) -> list[Beginning]:
        """Choices that cannot win because another one is their beginning."""
        if self.args.prompt is None or not self.reads_words or not self.module.compares_sums(self.spec):
            return []
        return beginnings(features, labels=self.spec.labels, tokenizer=self.tokenizer)

    @property
    def kind(self) -> Any:
        """The task type, on every route."""
        return TASK_TYPES.load(self.spec.type)

    @property
    def reads_words(self) -> bool:
        """Whether its tokens mean anything: to a fake without a tokenizer all characters are one."""
        return self.args.model.adapter != "fake" or self.args.model.tokenizer is not None

    def token_facts(self) -> dict[str, Any]:
        """What the tokenizer made of the rows and of the choices among which one is taken; empty for a fake."""
        if not self.reads_words:
            return {}
        counts = count_tokens(self.features, self.examples, kind=self.kind, tokenizer=self.tokenizer)._asdict()
        pairs = [pair._asdict() for pair in self._beginnings(self.features)]
        return {**counts, **({"never_chosen": pairs} if pairs else {})}

    def computing(self) -> dict[str, Any]:
        """The number format, what decides how results are rounded, and where weights lay; empty where a server computed."""
        if not self.computes_here:
            return {}
        wanted = self.args.model.dtype
        divided = self.stage.knobs.engine.get("tensor_parallel_size") or 1  # sums of a layer are added up in as many parts
        arithmetic = self.machine.arithmetic(wanted) | ({"tensor_parallel_size": divided} if divided > 1 else {})
        return {"dtype": self.machine.dtype(wanted), "arithmetic": arithmetic, **self._placement()}

    def _placement(self) -> dict[str, Any]:
        """Where the weights of a model lay that was spread by a device_map, and what it was given; empty for any other."""
        said = {name: getattr(self.stage.knobs, name) for name in ("device_map", "cpu_memory_gib", "gpu_memory_gib")}
        given = {name: value for name, value in said.items() if value is not None}
        return {"placement": {**given, "bytes": dict(self.placed)}} if given else {}

    def measure(self) -> list[int]:
        """Tokens of each feature: read from disk, where they are kept, or known by encoding the rows."""
        if self._lengths is None:
            path = self.folder / LENGTHS_FILE
            if not path.is_file():
                write_text(path, json.dumps(self.features.lengths()))
            self._lengths = json.loads(path.read_text(encoding="utf-8"))
        return self._lengths or []

    @property
    def lengths(self) -> list[int]:
        """Tokens of each feature, so that batches can be planned without encoding finished cells again."""
        return self.measure()

    @property
    def partials(self) -> Partials:
        """What the model has said so far: opened, and what is on disk read, when it is first asked for."""
        if self._partials is None:
            self._partials = open_partials(self.folder, vectors=self.question.pooling is not None, rank=rank())
        return self._partials

    def close(self) -> None:
        """Close the files of `partials`, if they are open; they are read again when they are asked for again."""
        if self._partials is not None:
            self._partials.close()
            self._partials = None

    def release(self) -> None:
        """Forget rows and features, which a finished cell needs no more; they are made again when they are asked for."""
        self.close()
        with self._making:
            self._examples = self._features = None
            self._is_released = True


@cache
def warn(*lines: str) -> None:
    """Say something on stderr, once in a process, whatever number of cells says it."""
    if not rank():
        tell("warning: " + "\n  ".join(lines))
