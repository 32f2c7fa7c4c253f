"""A text as a path: what no path can be is told before any file is looked for.

folder = path_named("runs/x", where="--output_path")        # Path, or UserError for '', a zero byte, a name of 300 bytes
"""

import os
from pathlib import Path

from harness.api.errors import UserError

PATH_BYTES, NAME_BYTES = 4095, 255
"Most bytes of a path and of each name in it, on Linux and most of its file systems."


def path_named(text: str, *, where: str, below: int = 0) -> Path:
    """The path that a text names; `below`: bytes that names below it will need."""
    if not text.strip():
        raise UserError("no name is given", where=where, expected="the path of a file or folder", found=f"'{text}'")
    if "\0" in text:
        raise UserError("no path holds a zero byte", where=where, found=repr(text))
    path = Path(text)
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    total = len(os.fsencode(path.absolute()))
    if longest > NAME_BYTES or total + below > PATH_BYTES:
        found = f"a name of {longest} bytes" if longest > NAME_BYTES else f"{total:,} bytes"
        most = f"at most {PATH_BYTES - below:,} bytes, {NAME_BYTES} in each name between the slashes"
        raise UserError("too long a path", where=where, expected=most, found=f"{found}: {text[:60]}...")
    return path


def user_path(text: str, *, where: str) -> Path:
    """The same, `~` and `~name` filled in where there is such a user."""
    path = path_named(text, where=where)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(str(error), where=where, found=text) from error
