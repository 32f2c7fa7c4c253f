"""Finished stages and states of training at an fsspec address (s3://..., gs://..., file:///...), where folders are not shared.

    store = StageStore("s3://bucket/runs")
    store.push(stage.name, root=root)                        # done.json last, so that half a copy is none
    store.fetch(stage.name, root=root, weights=True)         # DamagedCopy where it is not as it was written
    store.push_progress(stage.name, root=root); store.fetch_progress(stage.name, root=root)

The same names as below the run folder.  Folders of an unfinished stage (`state-4`, `best-3`) have sizes and hashes in a file
beside them (`state-4.json`), which is written last and removed first.
"""

import contextlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness.api.cache import file_hash
from harness.api.errors import UserError
from harness.api.json_text import loads
from harness.api.progress import tell
from harness.runtime.folders import write_folder
from harness.runtime.integrity import REMOVABLE, seal
from harness.runtime.stages import DONE_FILE, read_done, write_text

ATTEMPTS = 3
"Times that a copy is tried: networks fail for a moment."
PAUSE = 2.0
"Seconds before the second attempt; twice as many before the third."
STATES = re.compile(r"state-(\d+)")
BEST = re.compile(r"best-(\d+)")
SMALL = ("bundle*.json", "lengths.json")
"Files of unfinished predictions that decide which rows share a batch."

T = TypeVar("T")


class StoreFailed(Exception):
    """What is at an fsspec address cannot be read or written."""


class DamagedCopy(Exception):
    """A finished stage in the store is not as it was written."""

    def __init__(self, name: str, why: str) -> None:
        """`name` of the stage."""
        super().__init__(name, why)
        self.name, self.why = name, why


class StageStore:
    """Stages at one address."""

    def __init__(self, url: str) -> None:
        """Raises UserError for an address that fsspec does not know, or whose package is not installed."""
        import fsspec

        self.url = url
        try:
            self._fs, base = fsspec.core.url_to_fs(url)
        except Exception as error:
            raise UserError(
                "no fsspec address", where="--copy_to", found=f"{url}: {error}", expected="e.g. s3://bucket/runs"
            ) from error
        self._base = str(base).rstrip("/")

    def check(self) -> None:
        """Raise UserError where nothing can be written, or where other machines would not find it."""
        if self._fs.protocol == "memory" or "memory" in self._fs.protocol:
            raise UserError("what is in the memory of one process no worker finds", where="--copy_to", found=self.url)
        try:
            self._write(f"{self._base}/.probe", b"probe")
            self._fs.rm_file(f"{self._base}/.probe")
        except Exception as error:
            raise UserError("nothing can be written there", where="--copy_to", found=f"{self.url}: {error}") from error

    def finished(self) -> set[str]:
        """Names of the stages that are there as a whole."""
        paths = self._tried("list", lambda: self._listed("*/*/" + DONE_FILE))
        return {"/".join(path.rsplit("/", 3)[-3:-1]) for path in paths}

    def push(self, name: str, *, root: Path) -> None:
        """Copy a finished stage there, the word that it is done last; what only an unfinished one needs is removed there."""
        folder, there = root / name, f"{self._base}/{name}"
        self._tried(name, lambda: self._remove(f"{there}/{DONE_FILE}"))
        for file in read_done(folder).get("files", {}):
            if (folder / file).is_file():  # --keep may have removed weights
                self._tried(name, partial(self._put, folder / file, f"{there}/{file}"))
        self._tried(name, lambda: self._write(f"{there}/{DONE_FILE}", (folder / DONE_FILE).read_bytes()))
        self._tried(name, lambda: self._forget_progress(there, keep=()))

    def fetch(self, name: str, *, root: Path, weights: bool) -> None:
        """Copy a finished stage here, with its checkpoint or without; its hashes are checked before it counts as done.

        Raises DamagedCopy where it is not as it was written, StoreFailed where it cannot be read.
        """
        folder, there = root / name, f"{self._base}/{name}"
        arriving = folder / f".arriving.{_own()}"
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir(parents=True)
        try:
            text = self._tried(name, partial(self._read, f"{there}/{DONE_FILE}"))
            (arriving / DONE_FILE).write_bytes(text)
            try:
                files = read_done(arriving).get("files", {})
            except UserError as error:
                raise DamagedCopy(name, error.message) from error
            wanted = {file: entry for file, entry in files.items() if weights or not file.startswith(f"{REMOVABLE}/")}
            self._bring(name, there, wanted, arriving)
            for file in wanted:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (arriving / file).replace(folder / file)
            write_text(folder / DONE_FILE, text.decode())
        finally:
            shutil.rmtree(arriving, ignore_errors=True)

    def has_weights(self, name: str) -> bool:
        """Whether the checkpoint of a finished training is there."""
        return bool(self._tried(name, lambda: self._listed(f"{name}/{REMOVABLE}/*")))

    def drop_weights(self, name: str) -> None:
        """Remove the checkpoint of a training."""
        self._tried(name, lambda: self._remove(f"{self._base}/{name}/{REMOVABLE}"))

    def forget(self, name: str) -> None:
        """Remove a stage, the word that it is done first."""
        self._tried(name, lambda: self._remove(f"{self._base}/{name}/{DONE_FILE}"))
        self._tried(name, lambda: self._remove(f"{self._base}/{name}"))

    def push_progress(self, name: str, *, root: Path, known: set[str]) -> str:
        """Copy there what an unfinished stage needs to go on: its newest state, and small files; the state's name, if it is new.

        `known` holds the names of the folders that are there already.  A training writes meanwhile: where the newest state is
        another one in the end, nothing is removed, and the next call comes to it.
        """
        folder, there = root / name, f"{self._base}/{name}"
        for path in (path for pattern in SMALL for path in folder.glob(pattern)):
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes()
                self._tried(name, partial(self._write, f"{there}/{path.name}", content))
        state = newest_state(folder)
        if state is None:
            return ""
        best = sorted(path.name for path in folder.glob("best-*") if BEST.fullmatch(path.name))
        new = state not in known
        with contextlib.suppress(FileNotFoundError):
            for each in (*best, state):
                if each == state and newest_state(folder) != state:
                    return ""  # what it rests on may have been removed
                if each not in known:
                    self._push_folder(name, folder / each, f"{there}/{each}")
                    known.add(each)
            if new and newest_state(folder) == state:
                self._tried(name, lambda: self._forget_progress(there, keep=(*best, state)))
                known.intersection_update((*best, state))
            return state if new else ""
        return ""

    def fetch_progress(self, name: str, *, root: Path) -> set[str]:
        """Copy here what an unfinished stage goes on from, where it is whole; the names of the folders that came."""
        folder, there = root / name, f"{self._base}/{name}"
        came: set[str] = set()
        for path in self._tried(name, lambda: self._listed(f"{name}/*.json")):
            own = path.rsplit("/", 1)[-1]
            kind = own.removesuffix(".json")
            text = self._tried(name, partial(self._read, path))
            if not (STATES.fullmatch(kind) or BEST.fullmatch(kind)):
                if any(Path(own).match(pattern) for pattern in SMALL) and not (folder / own).exists():
                    write_text(folder / own, text.decode())
                continue
            if (folder / kind).is_dir():
                came.add(kind)
                continue
            try:
                files = _manifest(text)
                write_folder(folder / kind, partial(self._bring, name, f"{there}/{kind}", files))
                came.add(kind)
            except DamagedCopy as damaged:  # the one before serves, or none: training goes on from there
                tell(f"{name}: {kind} in {self.url} is not used: {damaged.why}")
        return came

    def _push_folder(self, name: str, folder: Path, there: str) -> None:
        files = seal(folder)
        self._tried(name, lambda: self._remove(f"{there}.json"))
        for file in files:
            self._tried(name, partial(self._put, folder / file, f"{there}/{file}"))
        self._tried(name, lambda: self._write(f"{there}.json", json.dumps(files).encode()))

    def _forget_progress(self, there: str, *, keep: tuple[str, ...]) -> None:
        """Remove the folders of an unfinished stage but some, the word that they are whole first."""
        for path in self._listed(there.removeprefix(f"{self._base}/") + "/*"):
            own = path.rsplit("/", 1)[-1].removesuffix(".json")
            if (STATES.fullmatch(own) or BEST.fullmatch(own)) and own not in keep:
                self._remove(f"{there}/{own}.json")
                self._remove(f"{there}/{own}")

    def _bring(self, name: str, there: str, files: Mapping[str, Mapping[str, Any]], to: Path) -> None:
        """Files of a folder with their sizes and hashes; what does not arrive as it was written is asked for once more."""
        for file, entry in files.items():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            for last in (False, True):
                try:
                    self._tried(name, partial(self._fs.get_file, f"{there}/{file}", str(to / file)))
                except FileNotFoundError as error:
                    raise DamagedCopy(name, f"{file} is missing") from error
                if (to / file).stat().st_size == entry["size"] and file_hash(to / file) == entry["xxh3"]:
                    break
                if last:
                    raise DamagedCopy(name, f"{file} has changed since it was written")

    def _listed(self, pattern: str) -> list[str]:
        self._fs.invalidate_cache()
        return sorted(str(path) for path in self._fs.glob(f"{self._base}/{pattern}"))

    def _put(self, path: Path, there: str) -> None:
        self._fs.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
        self._fs.put_file(str(path), there)

    def _write(self, there: str, content: bytes) -> None:
        self._fs.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
        self._fs.pipe_file(there, content)

    def _read(self, there: str) -> bytes:
        return bytes(self._fs.cat_file(there))

    def _remove(self, there: str) -> None:
        self._fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(there, recursive=True)

    def _tried(self, what: str, do: Callable[[], T]) -> T:
        """Ask the file system, again after a moment where it fails; FileNotFoundError is an answer, all else StoreFailed."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return do()
            except FileNotFoundError:
                raise
            except Exception as error:  # each file system has its own errors
                if number == ATTEMPTS:
                    raise StoreFailed(f"{self.url}: {what}: {type(error).__name__}: {error}") from error
                tell(f"{self.url}: {what}: {type(error).__name__}: {error}; tried again")
                time.sleep(PAUSE * number)
        raise AssertionError


def newest_state(folder: Path) -> str | None:
    """The name of the newest state of a training, as it stands in its folder."""
    steps = [int(match[1]) for path in folder.glob("state-*") if (match := STATES.fullmatch(path.name))]
    return f"state-{max(steps)}" if steps else None


def _manifest(text: bytes) -> Mapping[str, Mapping[str, Any]]:
    try:
        found = loads(text.decode())
        if isinstance(found, dict) and all(isinstance(each, dict) and {"size", "xxh3"} <= set(each) for each in found.values()):
            return found
    except (ValueError, UnicodeDecodeError):
        pass
    raise DamagedCopy("", "its list of files cannot be read")


def _own() -> str:
    """What tells the temporary files of this process from those of others."""
    return f"{os.getpid()}{threading.get_ident()}"
