"""Which files a text that somebody else wrote may name: those below some folders, by their paths as they are written.

    is_below("/data/mine/../x.jsonl", ["/data/mine"])           # False
    check_below(path, [folder], where="t.yaml:4", name="../x")  # UserError

`..` and absolute paths are looked at as text; links are not followed first, because links are made by the user: caches of the hub
are full of them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from harness.api.errors import UserError

ALLOW = "move it there, or allow its folder with --allow_path DIR"


def is_below(path: str | Path, folders: Iterable[str | Path]) -> bool:
    """Whether a path is one of some folders, or lies below one."""
    own = os.path.abspath(path)
    return any(own == folder or own.startswith(folder.rstrip(os.sep) + os.sep) for folder in map(os.path.abspath, folders))


def check_below(path: str | Path, folders: Iterable[str | Path], *, where: str, name: str) -> None:
    """Raise UserError, with the name as it is written, for a path that is not below one of the folders."""
    allowed = [str(folder) for folder in folders]
    if not is_below(path, allowed):
        raise UserError(f"'{name}' is outside of what this file may read", where=where, expected=below(allowed), todo=ALLOW)


def below(folders: Iterable[str | Path]) -> str:
    """The folders as messages say them."""
    return "a path below " + " or ".join(dict.fromkeys(map(str, folders)))


def stays_inside(name: str) -> bool:
    """Whether a relative path or glob, as it is written, stays in the folder that it is looked for in."""
    return bool(name) and not os.path.isabs(name) and "\0" not in name and is_below(os.path.join("/in", name), ["/in"])
