"""One side of a pair: a process that prepares its work, then does it each time it is told to, and says how long it took.

    serve(lambda: score(predictions, golds), shown=lambda found: {"f1": found.f1})      # at the end of a script of either side

It reads a line of stdin for each turn and answers with a line of JSON: `seconds` of the work, and what is shown of its result.
Only the standard library is used: scripts of a peer's environment import this file, too.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(work: Callable[[], Any], *, shown: Callable[[Any], Any], times: int = 1) -> None:
    """Work for each line of stdin, `times` over where once is too short to be timed; what the work prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print what they like
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for _ in sys.stdin:
        begin, cpu = time.perf_counter(), _processor_seconds()
        for _ in range(times):
            found = work()
        taken = {"seconds": (time.perf_counter() - begin) / times, "processor": (_processor_seconds() - cpu) / times}
        print(json.dumps({**taken, "result": shown(found)}), file=answers, flush=True)


def _processor_seconds() -> float:
    """Of this process and of those that it has started and waited for."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system
