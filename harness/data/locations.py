"""Where data are looked for: a local mirror of hub datasets, files beside a YAML, and then the hub.

place = DataPlace.resolve("/data/mirror")      # --data_dir, or $HARNESS_DATA_DIR if None
place.mirror_files("facebook/xnli", config="de", split="test").paths
"""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.api.allowed_paths import ALLOW, below, is_below, stays_inside
from harness.api.errors import MissingData, UserError, WrongData
from harness.api.path_names import user_path
from harness.specs.yaml_text import plain_values

DATA_DIR_VARIABLE = "HARNESS_DATA_DIR"
_YES = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The files found at one place, or where they were looked for."""

    paths: tuple[Path, ...]
    "The files, in the order of their rows; empty if there are none."
    looked: tuple[str, ...]
    "Every place that was looked at, for the error message."
    unread: tuple[Path, ...] = ()
    "Files of that split which are not Parquet, and so are not read from a mirror."


@dataclass(frozen=True, kw_only=True)
class DataPlace:
    """The folders of this machine; none of it is part of a stage's key."""

    data_dir: Path | None = None
    "Local mirror `DIR/<org>/<name>/...` of hub datasets, and first folder in which `files` are looked for."
    offline: bool = False
    "Do not ask the hub for anything that is not in its local cache."
    trust_task_code: bool = False
    "Whether Python code that lies beside task files of other harnesses may run."
    trust_evaluate_metrics: bool = False
    "Whether such code may let the package evaluate download metrics and run them."
    trust_generated_code: bool = False
    "Whether tasks may run programs that models write."
    allowed: tuple[Path, ...] = ()
    "Folders besides data_dir and its own that a task's `files` may lie in."

    @classmethod
    def resolve(cls, data_dir: str | Path | None = None, *, allowed: Sequence[Path] = (), **trusted: bool) -> "DataPlace":
        """The place that --data_dir, $HARNESS_DATA_DIR and $HF_HUB_OFFLINE say; raises UserError if the folder is not there."""
        chosen = data_dir or os.environ.get(DATA_DIR_VARIABLE) or None
        origin = "--data_dir" if data_dir else f"${DATA_DIR_VARIABLE}"
        folder = user_path(str(chosen), where=origin).resolve() if chosen else None
        if folder is not None and not folder.is_dir():
            raise UserError(
                "there is no such folder", where=origin, found=str(folder), expected="the folder of a mirror of hub datasets"
            )
        offline = any(os.environ.get(name, "").upper() in _YES for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
        return cls(data_dir=folder, offline=offline, allowed=tuple(allowed), **trusted)

    def mirror_files(self, hub: str, *, config: str, split: str) -> Found:
        """Parquet files of a split in the mirror: as the README's `configs:` header says, else where the hub puts them.

        Raises UserError for a path that leaves the dataset's folder, whoever wrote it.
        """
        if self.data_dir is None:
            return Found(paths=(), looked=(f"local mirror (none: --data_dir and ${DATA_DIR_VARIABLE} are not set)",))
        _check_stays(hub, where=f"dataset '{hub}'", what="the name of a dataset", folder=self.data_dir)
        folder = self.data_dir / hub
        if not os.path.isdir(folder):
            return Found(paths=(), looked=(f"{folder} (no such folder)",))
        looked: list[str] = []
        unread: list[Path] = []
        for patterns in (_readme_patterns(folder, config, split), *([layout] for layout in _layouts(config, split))):
            paths = tuple(path for pattern in patterns for path in _globbed(folder, pattern, f"{config}, {split}"))
            if paths and all(path.suffix == ".parquet" for path in paths):
                return Found(paths=paths, looked=())
            looked.extend(f"{folder / pattern}" + (" (not parquet)" if paths else "") for pattern in patterns)
            unread.extend(paths)
        return Found(paths=(), looked=tuple(dict.fromkeys(looked)), unread=tuple(unread))

    def local_files(
        self, files: Mapping[str, str | Sequence[str]], *, task: str, lang: str, task_folder: str | Path | None = None
    ) -> dict[str, tuple[Path, ...]]:
        """The paths of a source's files by role, from data_dir or the folder of the task's YAML; else raises MissingData.

        A name may be a glob, and a role may have several names: each is looked for in the folders in turn, and all files of the
        first folder that has some count; one name that finds a file is enough.  Raises UserError for a name that leads elsewhere.
        """
        folders = [Path(folder) for folder in (self.data_dir, task_folder) if folder is not None] or [Path.cwd()]
        found: dict[str, tuple[Path, ...]] = {}
        looked: list[str] = []
        for role, names in files.items():
            own = [os.path.expanduser(name) for name in ([names] if isinstance(names, str) else names)]
            _check_allowed(own, folders, (*folders, *self.allowed), task=task)
            there = [path for name in own for path in next(filter(None, (_matching(folder, name) for folder in folders)), ())]
            found[role] = tuple(dict.fromkeys(there))
            if not there:
                looked.extend(str(folder / name) for name in own for folder in folders)
        if looked:
            raise MissingData(
                f"task '{task}' has no data for language '{lang}'",
                found="looked at " + "; ".join(dict.fromkeys(looked)),
                todo="put the file there, or give the folder that holds it as --data_dir (no command fetches your own files)",
            )
        return found


def _check_allowed(names: Sequence[str], folders: Sequence[Path], allowed: Sequence[Path], *, task: str) -> None:
    """Raise UserError for a name or glob that leads out of the folders that a task may read."""
    for name in names:
        if not all(is_below(folder / name, allowed) for folder in folders):
            raise UserError(
                f"'{name}' is outside of what this task may read", where=f"task '{task}'", expected=below(allowed), todo=ALLOW
            )


def _check_stays(name: str, *, where: str, what: str, folder: Path) -> None:
    """Raise UserError for a name that leads out of a folder."""
    if not stays_inside(name):
        raise UserError(f"{what} leads out of its folder", where=where, expected=f"a path below {folder}", found=name[:200])


def _globbed(folder: Path, pattern: str, what: str) -> list[Path]:
    """The files of a mirror's folder that match a glob, sorted; raises UserError for what is no glob or leaves the folder."""
    where = f"{folder / 'README.md'} ({what})"
    _check_stays(pattern, where=where, what="a path of this mirror", folder=folder)
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, OSError) as error:
        expected = "a pattern relative to the dataset's folder, such as data/test-*.parquet"
        raise UserError("not a pattern of files", where=where, expected=expected, found=pattern[:80]) from error


def _matching(folder: Path, name: str) -> list[Path]:
    """The file of that name, or those of the folder that match it as a glob, sorted by their own names, then by their folders."""
    if os.path.isfile(folder / name):  # also for a name that no file can have
        return [folder / name]
    found = [path for match in glob.glob(name, root_dir=folder) if os.path.isfile(path := folder / match)]
    return sorted(found, key=lambda path: (path.name, str(path)))


def missing_hub_data(what: str, *, task: str, lang: str, looked: Iterable[str], unread: Sequence[Path] = ()) -> MissingData:
    """The error for a hub dataset that is neither in the mirror nor to be had from the hub."""
    if unread:
        return MissingData(
            f"task '{task}': the mirror holds {what} in files that are no Parquet",
            found=", ".join(map(str, unread[:3])),
            todo="convert them to Parquet, or name them as `files` with a `reader` in the task's file",
        )
    return MissingData(
        f"task '{task}' has no data for language '{lang}': {what}",
        found="looked at " + "; ".join(looked),
        todo=f"python run_eval.py fetch --tasks {task} --languages {lang}   (on a machine that reaches the hub)",
        fetchable=True,
    )


def _layouts(config: str, split: str) -> list[str]:
    """Globs for repositories without a header: a folder a config, `data/` or none for the only one, the hub's own conversions."""
    only = [f"data/{split}-*.parquet", f"{split}-*.parquet", f"{split}.parquet"] if config == "default" else []
    return [f"{config}/{split}-*.parquet", *only, f"{config}/{split}/*.parquet"]


def _readme_patterns(folder: Path, config: str, split: str) -> list[str]:
    """Globs, relative to the repository, that the README's header gives for a split; [] if it says nothing of it."""
    readme = folder / "README.md"
    if not readme.is_file():
        return []
    entries = _configs(readme, readme.stat().st_mtime_ns)
    if config == "default" and not any(entry.get("config_name") == config for entry in entries):
        named = [entry for entry in entries if entry.get("default")] or list(entries)
        config = str(named[0].get("config_name")) if len(named) == 1 else config  # what the hub takes where none is named
    for entry in entries:
        if entry.get("config_name") == config:
            inside = entry["data_dir"].strip("/") if isinstance(entry.get("data_dir"), str) else ""
            prefix = f"{inside}/" if inside else ""
            return [prefix + pattern for pattern in _split_patterns(entry.get("data_files"), split)]
    return []


def _split_patterns(data_files: Any, split: str) -> list[str]:
    """`data_files` is a glob or a list of globs (all of them train), or a list of {split, path: glob or globs}."""
    patterns: list[str] = []
    for item in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(item, dict) and item.get("split") == split:
            paths = item.get("path")
            patterns.extend(path for path in (paths if isinstance(paths, list) else [paths]) if isinstance(path, str))
        elif isinstance(item, str) and split == "train":
            patterns.append(item)
    return patterns


@lru_cache(maxsize=64)
def _configs(readme: Path, mtime_ns: int) -> tuple[dict[str, Any], ...]:
    """The entries of the `configs:` list in the YAML header of a README."""
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongData("the README of a mirror cannot be read", where=str(readme), found=str(error)) from None
    if not text.startswith("---"):
        return ()
    try:
        header = plain_values(text.split("\n---", 1)[0].removeprefix("---"), file=str(readme))
    except UserError as error:
        raise WrongData.of(error) from None
    entries = header.get("configs") if isinstance(header, dict) else []
    return tuple(entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()
