"""`study --watch`: how far a study is, while other processes run it.

watch(stages_of, root=root)        # until it is done or Ctrl-C; one look where the output is no terminal
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from harness.report.studies.progress import STATES, StudyProgress, study_progress
from harness.runtime.stages import AnyStage

EVERY = 2.0
"Seconds between looks."
PLAN_EVERY = 60.0
"Seconds after which the stages are planned anew: rates that were chosen since make new ones."
MOST_NAMES = 5


def watch(find_stages: Callable[[], Mapping[str, Sequence[AnyStage]]], *, root: Path) -> None:
    """Show the state of all stages until none is left."""
    console = Console()
    if not sys.stdout.isatty():
        console.print(_view(study_progress(find_stages(), root=root, now=time.time())))
        return
    with Live(console=console, refresh_per_second=2) as live:
        stages, planned = find_stages(), time.monotonic()
        while True:
            if time.monotonic() - planned > PLAN_EVERY:
                stages, planned = find_stages(), time.monotonic()
            found = study_progress(stages, root=root, now=time.time())
            live.update(_view(found))
            if not found.counts["running"] + found.counts["waiting"]:
                return
            time.sleep(EVERY)


def _view(found: StudyProgress) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("backbone")
    for state in STATES:
        table.add_column(state, justify="right")
    table.add_column("left", justify="right")
    for name, one in found.backbones.items():
        table.add_row(name, *(f"{one.counts[state]:,}" for state in STATES), _time(one.seconds_left, one.untold))
    counts = found.counts
    table.add_row("all", *(f"{counts[state]:,}" for state in STATES), _time(found.seconds_left, found.untold), style="bold")
    lines = [f"{found.per_hour:,.0f} stages an hour over the last ten minutes"]
    for what in ("running", "failed"):
        names = [name for one in found.backbones.values() for name in getattr(one, what)]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        lines += [f"{what}: {', '.join(names[:MOST_NAMES])}{more}"] if names else []
    if found.untold:
        lines.append(f"nothing is foretold of {found.untold:,} stages: none of their kind has finished on their backbone")
    return Group(table, *lines)


def _time(seconds: float, untold: int) -> str:
    """Hours and minutes of one process; + where there is more than is foretold."""
    more = "+" if untold else ""
    if not seconds:
        return "?" if untold else "-"
    minutes = round(seconds / 60)
    return (f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{max(minutes, 1)} min") + more
