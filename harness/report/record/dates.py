"""When a command was given: the date that its request file holds, by which the newest request of a folder is known.

    date = claimed_date(root / "requests" / "0f3a.json")      # '2026-11-28T09:33:37.123Z'

The same command given again keeps its date, and with it every byte of its request file, unless another came between: then it is
the newest again.  File times would not do: they change when a folder is copied.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

_STEP = timedelta(milliseconds=1)


def claimed_date(path: Path) -> str:
    """The date for a request that is made now, or made again: its own while it is the newest of its folder, else the time."""
    others = max((date for other in path.parent.glob("*.json") if other != path and (date := date_in(other))), default="")
    own = date_in(path)
    return own if own > others else _later_than(others)


def date_in(path: Path) -> str:
    """The date that a request file holds; empty where it holds none or cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        date = content["date"]
        datetime.fromisoformat(date)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    return str(date)


def _later_than(date: str) -> str:
    """Now, or just behind a date that a clock which was ahead has left."""
    now = datetime.now(UTC)
    now = max(now, datetime.fromisoformat(date) + _STEP) if date else now
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
