"""What is wrong with the rows that a plan reads: they are made examples here, and put into words, before anything is computed.

for error in data_mistakes(plan, machine=machine): print(error)

Rows that came out right are remembered in the user's cache folder by what they are and how they are read.  Rows that are not here
are no mistake (`plan.missing`), and generated worlds are not looked at.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from harness.api.cache import cache_folder, remember
from harness.api.errors import MissingData, UserError, collecting
from harness.api.registry import TASK_TYPES
from harness.data.examples import Split, load_examples, written_at
from harness.data.values import READING
from harness.planning.plan import Plan
from harness.runtime.arguments import InitArguments, PredictArguments, SplitRows, TrainArguments, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage, canonical
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.prompting.route import PromptRoute
from harness.task_types.prompting.templates import wording_of


class _Read(NamedTuple):
    """Rows that a stage reads, in one language."""

    spec: TaskSpec
    split: Split
    lang: str
    fingerprint: str
    in_words: bool

    def digest(self) -> str:
        """Of all that decides whether they come out right."""
        what = self.spec.model_dump(mode="json", exclude_defaults=True)
        content = canonical([READING, what, self.split, self.lang, self.fingerprint, self.in_words])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def data_mistakes(plan: Plan, *, machine: Machine) -> list[UserError]:
    """The first mistake of each split and language that the stages of a plan read."""
    reads = {(read.spec.task, read.split, read.lang): read for stage in plan.stages for read in _reads(stage)}
    errors: list[UserError] = []
    for read in tqdm(reads.values(), desc="check rows", delay=2, leave=False, disable=not machine.progress):
        known = cache_folder() / "right_rows" / f"{read.digest()}.json"
        if read.fingerprint.startswith("world:") or known.is_file():
            continue
        found: list[UserError] = []
        with collecting(found):
            _check(read, machine)
            remember(known, True)
        errors += [error for error in found if not isinstance(error, MissingData)]
    return errors


def _reads(stage: AnyStage) -> Iterator[_Read]:
    args = stage.args
    if isinstance(args, PredictArguments):
        yield from _splits(args.rows, "test", in_words=args.prompt is not None)
        if args.shots:
            (split,) = args.shots.spec["data"]
            yield from _splits(args.shots, split, in_words=True)
    elif isinstance(args, TrainArguments):
        for component in args.tasks:
            yield from _splits(component, "train", in_words=component.prompt is not None)
            if component.validation:
                yield from _splits(component.validation, "validation", in_words=False)
    elif isinstance(args, InitArguments):
        yield from _splits(args.texts, "train", in_words=False)


def _splits(rows: SplitRows, split: Split, *, in_words: bool) -> Iterator[_Read]:
    for lang, fingerprint in rows.data.items():
        yield _Read(rows.task_spec, split, lang, fingerprint, in_words)


def _check(read: _Read, machine: Machine) -> None:
    """Raise what is wrong with the rows."""
    spec, folder = read.spec, machine.task_folders.get(file_of(read.spec.task))
    found = load_examples(spec, split=read.split, langs=[read.lang], place=machine.place, task_folder=folder)
    if read.in_words:
        check_wording(spec, found.examples, lang=read.lang, folder=folder)


def check_wording(spec: TaskSpec, examples: Sequence[Any], *, lang: str, folder: Path | None) -> None:
    """Put every example into words; raises UserError for one on which a template of the prompt fails."""
    if spec.prompt is None:
        return
    arguments = PromptArgs()
    route = PromptRoute(module=TASK_TYPES.load(spec.type), prompt_args=arguments, pool=[])
    wording = wording_of(spec, prompt_args=arguments, lang=lang)
    tokenizer: Any = None  # none is needed where nothing is put into a chat
    for example in examples:
        try:
            route.rendered(example, wording, task=spec, tokenizer=tokenizer)
            wording.continuations(example)
        except UserError as error:
            place = f"task '{spec.task}', language {lang}, row with the id '{example.id}', prompt"
            raise error.at(written_at(error, spec, folder, below="prompt") + place) from None
