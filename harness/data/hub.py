"""Hub datasets through the `datasets` package, imported when it is needed; scripts of a repository are never run.

found = load_split("facebook/xnli", config="de", split="test", revision=None, offline=False)
found.revision                  # the commit that was used, also where none was pinned
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import pyarrow as pa

COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
"`owner/name`, or a name alone: never a path."


class NotOnHub(Exception):
    """The hub (or, offline, its local cache) does not give the dataset; the message says why in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSplit:
    """One split of a hub dataset."""

    table: pa.Table
    revision: str
    "Commit of 40 hex digits."


def find_revision(hub: str, *, config: str, revision: str | None, offline: bool) -> str:
    """The commit that loading would use: one question to the hub per dataset, none for a commit; raises NotOnHub."""
    commit = revision if offline else _commit(hub, revision)
    if not offline and commit is not None and COMMIT.fullmatch(commit):
        return commit
    return str(_builder(hub, config=config, revision=commit, offline=offline).hash)


@lru_cache(maxsize=256)
def _commit(hub: str, revision: str | None) -> str | None:
    """The commit of a branch or tag now, so that all configs of a run use the same one; unchanged if the hub does not answer."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    return _ask(hub, revision) or revision


@lru_cache(maxsize=256)
def _ask(hub: str, revision: str | None) -> str | None:
    """The commit that the hub names; None if it does not answer, or has no such repository: `datasets` says which.

    Without a connection the packages below would try again for half a minute for each config of each dataset, so the process
    goes on as if it had been told to be offline: what is in the local cache still serves.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().dataset_info(hub, revision=revision).sha
    except HfHubHTTPError:  # an answer
        return None
    except Exception:
        import datasets

        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        return None


@lru_cache(maxsize=4)
def load_split(hub: str, *, config: str, split: str, revision: str | None, offline: bool) -> HubSplit:
    """Download (or take from the local cache) a split as one Arrow table, kept for the next call; raises NotOnHub."""
    commit = revision if offline else _commit(hub, revision)
    builder = _builder(hub, config=config, revision=commit, offline=offline)
    try:
        builder.download_and_prepare()
        rows = builder.as_dataset(split=split)
    except Exception as error:  # as for the builder below
        raise NotOnHub(one_line(error)) from error
    table = rows.with_format("arrow")[:]
    return HubSplit(table=table.replace_schema_metadata(rows.features.arrow_schema.metadata), revision=str(builder.hash))


def _datasets(offline: bool) -> ModuleType:
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets

    return datasets


@lru_cache(maxsize=256)
def _builder(hub: str, *, config: str, revision: str | None, offline: bool) -> Any:
    """The dataset's builder, whose `hash` is the commit of a repository without scripts."""
    datasets = _datasets(offline)
    if not offline:
        _ask(hub, revision)
    try:
        builder = datasets.load_dataset_builder(hub, None if config == "default" else config, revision=revision)
    except Exception as error:  # what it is depends on the HTTP package below: no connection, repository, config, or a script
        raise NotOnHub(one_line(error)) from error
    if revision is not None and COMMIT.fullmatch(revision) and builder.hash != revision:
        # Offline, `datasets` takes the newest version in its cache, whatever revision was asked for.
        raise NotOnHub(f"the local cache holds commit {builder.hash}, not the pinned {revision}")
    return builder


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Silence the progress bars of `datasets`, where what it does is a detail of a step that has a bar of its own."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def one_line(error: Exception) -> str:
    """Kind and beginning of an error's text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
