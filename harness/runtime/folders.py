"""Folders that are whole or absent, whenever the process dies: written under a temporary name and renamed.

write_folder(stage_folder / "checkpoint", lambda place: adapter.save(str(place)))
write_folder_together(stage_folder / "state-500", write)     # several processes, each a part of it
sweep(stage_folder)          # removes what a killed process left half-written
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from harness.runtime.outputs import output_failure
from harness.runtime.processes import from_first, rank, together


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder by `write(temporary)` and give it its name at the end; an older one of the name is replaced.

    Raises OutputFailed where the disk does not take it, with nothing left behind.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        remove_folder(folder)
        temporary.rename(folder)
    except BaseException as error:
        # Asked while the disk is as full as it was.
        failure = output_failure(error, folder=folder.parent) if isinstance(error, Exception) else None
        shutil.rmtree(temporary, ignore_errors=True)
        if failure:
            raise failure from error
        raise


def write_folder_together(
    folder: Path, write: Callable[[Path], None], *, finish: Callable[[Path], None] = lambda place: None
) -> None:
    """The same by all processes at once: each calls `write` for its part, then `finish` once every part is there.

    `finish` has to fail in all of them or in none.
    """

    def begin() -> Path:
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        return temporary

    def end() -> None:
        remove_folder(folder)
        temporary.rename(folder)

    temporary = folder
    try:
        temporary = from_first(begin)
        with together():
            write(temporary)
        finish(temporary)
        from_first(end)
    except BaseException as error:
        failure = output_failure(error, folder=folder.parent) if isinstance(error, Exception) else None
        if rank() == 0 and temporary != folder:
            shutil.rmtree(temporary, ignore_errors=True)
        if failure:
            raise failure from error
        raise


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there: its name goes first, so that a name is never left to half of the content."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{os.getpid()}.0")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed)


def link_folder(source: Path, target: Path) -> None:
    """Give the files of a folder a second name in another; copies where the file system has no links."""

    def link(old: str, new: str) -> str:
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)
        return new

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def sweep(folder: Path) -> None:
    """Remove half-written folders that a killed process left; only under the stage's lock."""
    for left in folder.glob(".*.[0-9]*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
