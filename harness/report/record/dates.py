"""When a command was given, and where it looked for data: what its request file holds besides what was asked for.

    date = claimed_date(root / "requests" / "0f3a.json")      # '2026-11-28T09:33:37.123Z'; the newest request of a folder counts
    folder = remembered_data_dir([Path("runs/x")])            # --data_dir of the newest command there

The same command given again keeps its date, and with it every byte of its request file, unless another came between: then it is
the newest again.  File times would not do: they change when a folder is copied.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_STEP = timedelta(milliseconds=1)


def claimed_date(path: Path) -> str:
    """The date for a request that is made now, or made again: its own while it is the newest of its folder, else the time."""
    others = max((date for other in path.parent.glob("*.json") if other != path and (date := date_in(other))), default="")
    own = date_in(path)
    return own if own > others else _later_than(others)


def remembered_data_dir(runs: Iterable[Path]) -> Path | None:
    """The data folder of the newest command of some run folders; None where there was none, or no command yet."""
    paths = [path for run in runs for path in (run / "requests").glob("*.json")]
    newest = max(paths, key=lambda path: (date_in(path), path.name), default=None)
    found = _held(newest, "data_dir") if newest else ""
    return Path(found) if found else None


def date_in(path: Path) -> str:
    """The date that a request file holds; empty where it holds none or cannot be read."""
    date = _held(path, "date")
    try:
        datetime.fromisoformat(date)
    except ValueError:
        return ""
    return date


def _held(path: Path, name: str) -> str:
    """A text of a request file; empty where it is not there or the file cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _later_than(date: str) -> str:
    """Now, or just behind a date that a clock which was ahead has left."""
    now = datetime.now(UTC)
    now = max(now, datetime.fromisoformat(date) + _STEP) if date else now
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def newest_date(runs: Iterable[Path]) -> str:
    """When the newest command of some run folders was given, ISO 8601 in UTC; the beginning of time where none says."""
    dates = [date_in(path) for run in runs for path in (run / "requests").glob("*.json")]
    return max(filter(None, dates), default="1970-01-01T00:00:00.000Z")
