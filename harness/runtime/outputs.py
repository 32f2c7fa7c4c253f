"""Where a command writes: looked at before any work, and what is said when it can be written no more.

root = output_folder(args.output_path, where="--output_path")       # UserError for "", a file, too long a name, read-only
make_output_folder(root, where="--output_path")                     # the same once more for real: made, and written to
check_output_file(args.output, where="--output")
failure = output_failure(error, folder=root)                        # OutputFailed where an error is the disk's; else None
"""

import contextlib
import errno
import os
from pathlib import Path

from harness.api.errors import OutputFailed, UserError
from harness.api.path_names import path_named

BELOW = 480
"Bytes of a path that are left for what a run makes below its folder: a stage's name and the files of a checkpoint."
INNER = ("requests", "logs", "init", "train", "predict", "score")
"Folders that a run makes below its own."
PROBE_BYTES = 1 << 16
DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of this user is used up",
    errno.EROFS: "it can only be read",
    errno.EACCES: "it may not be written",
    errno.EPERM: "it may not be written",
    errno.EFBIG: "a file is larger than it may be (ulimit -f)",
    errno.EIO: "the disk fails",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "this is a file",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOLCK: "files cannot be locked there",
}
"Reasons of the system in words."
LOST = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
"Reasons that concern all that a run writes."
AGAIN = "what is done is kept: make room (or name another folder), then give the same command again"


def output_folder(text: str, *, where: str) -> Path:
    """The folder that a flag names, there or not; raises UserError where it is known beforehand that nothing can be written."""
    path = path_named(text, where=where, below=BELOW)
    if os.path.exists(path) and not os.path.isdir(path):
        raise UserError("this is a file", where=where, expected="a folder", found=text)
    for name in INNER:
        if os.path.exists(path / name) and not os.path.isdir(path / name):
            raise UserError(f"'{name}' in it is a file", where=where, expected="a folder of runs, or a new one", found=text)
    _check_writable(path, where=where)
    return path


def make_output_folder(path: Path, *, where: str) -> None:
    """Make the folder and write to it; raises UserError where that fails, with nothing left behind."""
    new = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for folder in (path, *(path / name for name in INNER if os.path.isdir(path / name))):
            _probe(folder)
    except OSError as error:
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise UserError(
            f"nothing can be written there: {reason(error)}",
            where=where,
            expected="a folder that is there and can be written, or one that can be made",
            found=str(path),
        ) from error


def output_path(text: str) -> Path:
    """A flag's value as a path, for argparse; UserError for one that can be none."""
    return path_named(text, where="a path to write to")


def check_output_file(path: Path | None, *, where: str) -> None:
    """Raise UserError where a file cannot be written; None is a flag that was not given."""
    if path is None:
        return
    path_named(str(path), where=where)
    if os.path.isdir(path):
        raise UserError("this is a folder", where=where, expected="a file to write", found=str(path))
    _check_writable(path, where=where)


def check_output_folder(path: Path | None, *, where: str) -> None:
    """Raise UserError where files cannot be written into a folder, there or not; None is a flag that was not given."""
    if path is None:
        return
    path_named(str(path), where=where, below=BELOW)
    if os.path.exists(path) and not os.path.isdir(path):
        raise UserError("this is a file", where=where, expected="a folder to write to", found=str(path))
    _check_writable(path, where=where)


def reason(error: OSError) -> str:
    """Why the system does not write, in words."""
    return DISK.get(error.errno or 0, error.strerror or str(error))


def output_failure(error: BaseException, *, folder: Path) -> OutputFailed | None:
    """The failure that concerns everything below a folder, where an error (or what it came from) is one; else None.

    Packages that write files say what went wrong in their own ways: if not in the words of the system, it is tried out whether
    the disk takes anything.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OutputFailed):
            return seen
        if isinstance(seen, OSError) and seen.errno in LOST:
            return failed_output(seen, folder)
        for code in LOST:
            if os.strerror(code) in str(seen):
                return failed_output(OSError(code, str(seen)), folder)
        seen = seen.__cause__ or seen.__context__
    try:
        _probe(folder)
    except OSError as refused:
        return failed_output(refused, folder)
    return None


def failed_output(error: OSError, path: Path) -> OutputFailed:
    """The error for a path that cannot be written."""
    return OutputFailed(f"cannot be written: {reason(error)}", where=str(path), found=str(error), todo=AGAIN)


def _check_writable(path: Path, *, where: str) -> None:
    """Raise UserError where the nearest folder above that is there (or the path itself) cannot be written."""
    nearest = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if nearest != path and not os.path.isdir(nearest):
        raise UserError(f"{nearest} is no folder", where=where, expected="a path whose folders can be made", found=str(path))
    if not os.access(nearest, os.W_OK):
        raise UserError(f"{nearest} cannot be written", where=where, expected="a place that can be written", found=str(path))


def _probe(folder: Path) -> None:
    """Write something to a folder; raises OSError."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)
