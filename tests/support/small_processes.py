"""Runs of a small project by several processes that work together on the CPU, as torchrun would start them.

codes = run_together(2, project.with_machine(sharding="full"), root, tasks="pairs")       # exit codes by rank
codes = run_together(2, project, root, tasks="pairs", die_at_step=5)                      # the last one dies by SIGKILL
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from listening import before_each_step
from small_runs import Project

PATIENCE = 500
"Seconds until all are taken for stuck."


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _work(rank: int, count: int, port: int, folder: Path, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    names = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    output = os.open(folder / f"rank-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        sys.exit(work(*arguments))
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _run(project: Project, root: Path, request: dict[str, Any], die_at_step: int | None) -> int:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == die_at_step and int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with before_each_step(count):
        report = project.run(root, **request)
    return 1 if report.failed or report.not_run else 0


def work_together(count: int, folder: Path, work: Callable[..., int], *arguments: Any) -> list[int]:
    """Exit codes of `work(*arguments)` in so many processes; where one dies, the others are ended as torchrun would.

    What they print lies in `folder`.
    """
    context = multiprocessing.get_context("forkserver")
    preload = ["small_processes", "harness.training.loop", "models.encoder", "models.decoder", "accelerate", "datasets"]
    context.set_forkserver_preload(preload)
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    children = [context.Process(target=_work, args=(rank, count, port, folder, work, arguments)) for rank in range(count)]
    for child in children:
        child.start()
    multiprocessing.connection.wait([child.sentinel for child in children], timeout=PATIENCE)
    for child in children:
        child.join(10 if any(one.exitcode for one in children) else PATIENCE)
    for child in children:
        if child.is_alive():
            child.kill()
            child.join()
    return [child.exitcode or 0 for child in children]


def run_together(count: int, project: Project, root: Path, *, die_at_step: int | None = None, **request: Any) -> list[int]:
    """Exit codes of a run of the project by so many processes; the last one dies at its so many-th step."""
    return work_together(count, root.with_name(f"{root.name}-said"), _run, project, root, request, die_at_step)


def said(root: Path) -> str:
    """What the processes of the newest run below a root have printed."""
    return "\n".join(path.read_text() for path in sorted(root.with_name(f"{root.name}-said").glob("rank-*.txt")))
