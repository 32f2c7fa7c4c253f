"""Downloads what a run needs, for machines that then go offline.

wanted = [*dataset_items([task], langs=["de"]), BackboneItem(path="FacebookAI/xlm-roberta-base")]
outcomes = fetch(wanted, place=place, say=print)
[outcome for outcome in outcomes if outcome.state == "failed"]
"""

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.api.errors import MissingData
from harness.api.registry import TASK_TYPES
from harness.data.hub import NotOnHub, load_split, one_line
from harness.data.locations import DataPlace
from harness.data.rows import file_names, filled, languages_read
from harness.specs.task import Source, TaskSpec

_SMALL_FILES = ("*.json", "*.txt", "*.model", "*.vocab", "*.jinja", "*.tiktoken", "README.md", "LICENSE*")
"Configuration and tokenizer; code is never fetched."


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """A source in one language, its placeholders filled."""

    source: Source
    task: str
    lang: str
    task_folder: str | None = None
    obtain: str = ""
    "How to get the data where no command can."
    optional: bool = False
    "The task runs without them (rows that choose a threshold), and its scores say so."

    def __str__(self) -> str:
        source = self.source
        what = f"{source.hub} {source.config} {source.split}" if source.hub else ", ".join(file_names(source))
        return f"data of {self.task} in {self.lang}: {what}"


@dataclass(frozen=True, kw_only=True)
class BackboneItem:
    """A pretrained model on the hub, or a local folder, which is only looked at."""

    path: str
    revision: str | None = None
    tokenizer_alone: bool = False
    "A server has the weights."

    def __str__(self) -> str:
        return f"{'tokenizer' if self.tokenizer_alone else 'backbone'} {self.path}" + (
            f" at {self.revision}" if self.revision else ""
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of fetching one item."""

    item: DatasetItem | BackboneItem
    state: Literal["there", "fetched", "absent", "failed"]
    detail: str = field(default="")
    "Where it lies, why it failed, or what is absent and can be done without."


def dataset_items(
    tasks: Iterable[TaskSpec],
    *,
    langs: Sequence[str] | None = None,
    splits: Sequence[Literal["train", "validation", "test"]] = ("train", "validation", "test"),
    task_folders: Mapping[str, str] | None = None,
) -> list[DatasetItem]:
    """Every source of the tasks, each once; `langs` narrows the test languages, None takes all of each task."""
    items: dict[str, DatasetItem] = {}
    for task in tasks:
        for split in splits:
            own = task.languages if split == "test" else task.train_languages
            wanted = [lang for lang in own if langs is None or split != "test" or lang in langs]
            sources = [source for source in getattr(task.data, split) if source.world is None]
            for lang, source in [(read, s) for asked in wanted for s in sources for read in languages_read(s, asked)]:
                item = DatasetItem(
                    source=filled(source, lang),
                    task=task.task,
                    lang=lang,
                    task_folder=(task_folders or {}).get(task.task),
                    obtain=task.obtain,
                    optional=split == "validation" and TASK_TYPES.load(task.type).CALIBRATES,
                )
                key = item.source.model_copy(update={"where": (), "rename": {}, "beside": None}).model_dump_json()
                items.setdefault(key, item)
    return list(items.values())


def fetch(items: Sequence[DatasetItem | BackboneItem], *, place: DataPlace, say: Callable[[str], None]) -> list[Outcome]:
    """Fetch each item that is not there; a failure does not stop the others.  Says a line per item, and all failures last."""
    outcomes = []
    for number, item in enumerate(items, start=1):
        outcome = _fetch_dataset(item, place) if isinstance(item, DatasetItem) else _fetch_backbone(item, place)
        say(f"[{number}/{len(items)}] {outcome.state:8} {item}" + (f" ({outcome.detail})" if outcome.detail else ""))
        outcomes.append(outcome)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in ("there", "fetched", "absent", "failed")}
    say(", ".join(f"{number} {state}" for state, number in counts.items() if number or state != "absent"))
    for outcome in failed:
        say(f"failed: {outcome.item}\n  {outcome.detail}")
    return outcomes


def _fetch_dataset(item: DatasetItem, place: DataPlace) -> Outcome:
    source = item.source
    if source.files is not None:
        try:
            place.local_files(source.files, task=item.task, lang=item.lang, task_folder=item.task_folder)
        except MissingData as error:
            detail = " ".join(str(error.advising(item.obtain)).split())
            return Outcome(item=item, state="absent" if item.optional else "failed", detail=detail)
        return Outcome(item=item, state="there")
    assert source.hub is not None
    if place.mirror_files(source.hub, config=source.config, split=source.split).paths:
        return Outcome(item=item, state="there", detail="local mirror")
    cached = _cached_revision(source)
    try:
        got = load_split(source.hub, config=source.config, split=source.split, revision=source.revision, offline=place.offline)
    except NotOnHub as error:
        return Outcome(item=item, state="failed", detail=("offline: " if place.offline else "") + str(error))
    state: Literal["there", "fetched"] = "there" if got.revision == cached else "fetched"
    return Outcome(item=item, state=state, detail=f"commit {got.revision}, {got.table.num_rows} rows")


def _cached_revision(source: Source) -> str | None:
    """The commit whose prepared files lie in the local cache of `datasets` already, None if there are none."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    org, _, name = (source.hub or "").partition("/")
    root = Path(os.path.expanduser(config.HF_DATASETS_CACHE))
    folder = root / f"{org}___{camelcase_to_snakecase(name)}" / source.config / "0.0.0"
    prepared = sorted(folder.glob("*/dataset_info.json"), key=lambda path: path.stat().st_mtime)
    return prepared[-1].parent.name if prepared else None


def _fetch_backbone(item: BackboneItem, place: DataPlace) -> Outcome:
    if Path(item.path).expanduser().is_dir():
        return Outcome(item=item, state="there", detail="local folder")
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        names = [] if place.offline else huggingface_hub.list_repo_files(item.path, revision=item.revision)
        patterns = backbone_files(names, weights=not item.tokenizer_alone)
        try:
            folder = huggingface_hub.snapshot_download(
                item.path, revision=item.revision, allow_patterns=patterns, local_files_only=True
            )
            enough = item.tokenizer_alone or _has_weights(Path(folder))
            there = enough if place.offline else all((Path(folder) / name).exists() for name in patterns)
        except LocalEntryNotFoundError:
            there = False
        if place.offline and not there:
            return Outcome(item=item, state="failed", detail="offline, and not in the local cache")
        if not there:
            folder = huggingface_hub.snapshot_download(item.path, revision=item.revision, allow_patterns=patterns)
    except Exception as error:  # what it is depends on the HTTP package below
        return Outcome(item=item, state="failed", detail=one_line(error))
    return Outcome(item=item, state="there" if there else "fetched", detail=f"commit {Path(folder).name}")


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def backbone_files(names: Sequence[str], *, weights: bool = True) -> list[str]:
    """Files of a repository's top folder that loading needs: safetensors (else pytorch .bin), configuration, tokenizer."""
    top = [name for name in names if "/" not in name]
    large = fnmatch.filter(top, "*.safetensors") or fnmatch.filter(top, "pytorch_model*.bin")
    small = [name for name in top if any(fnmatch.fnmatch(name, pattern) for pattern in _SMALL_FILES)]
    return sorted({*(large if weights else ()), *small})
