"""Starts vLLM in a process of the environment that has it, sends it orders, and turns its failures into errors with advice.

    worker = Worker(python, log=Path("runs/x/logs/vllm-0123456789.log"), folder=folder, environment={})
    worker.post({"do": "start", ...})
    answer, blob = worker.wait()              # UserError with the end of the log where the worker failed or is gone
    worker.close()

The worker ends with this process in every case: its standard input is a pipe that closes when this process is gone.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from models.vllm.worker import receive, send

SCRIPT = Path(__file__).with_name("worker.py")
FIXED = {
    # In one process with its engine vLLM plans the same batches for the same requests; it also starts in a fifth of the time.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # The last id of a sequence is never computed: one more than the model has positions for is asked, and is no mistake.
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
ADVICE = (
    (r"KV cache|cache blocks|max seq len", "give it more with --model_args kv_cache_gib=4 or gpu_memory_utilization=0.95"),
    (
        r"[Oo]ut of memory|OutOfMemory|MemoryError|memory utilization",
        "--model_args gpu_memory_utilization=0.8, max_num_seqs=64 or tensor_parallel_size=2",
    ),
    (r"not supported|[Uu]nsupported|[Nn]o module or parameter|architectures", "leave engine=vllm out: transformers answers then"),
)
"Pattern in an error -> advice."
OTHER_ADVICE = "read the log; without engine=vllm transformers answers"
NOISE = re.compile(r"^\s|^Traceback|INFO \d|WARNING \d|DEBUG \d|\d%|[Ww]arning")
"Lines of a log that are no error."
IN_A_PROCESS = re.compile(r"ERROR \d.*\] (\w*(?:Error|Exception)\b.*)$")
"A line of the log with the error of one of several processes of an engine."
ELSEWHERE = re.compile(r"root cause|stack trace|initialization failed")
"Errors that only point to another one."
MOST_LINES, MOST_LETTERS = 4, 400
"The most lines, and letters of a line, that a message quotes of an error."


class Worker:
    """One vLLM process; orders are answered one after the other."""

    def __init__(self, python: str, *, log: Path, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it; `folder` is removed when both processes are gone, `environment` is added to this one's."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        here, there = socket.socketpair()
        path = os.pathsep.join((str(Path(python).parent), os.environ.get("PATH", "")))
        with log.open("ab") as output, there:
            self._process = subprocess.Popen(
                [python, "-P", str(SCRIPT), str(there.fileno()), str(folder)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(there.fileno(),),
                env={**os.environ, **FIXED, "PATH": path, **environment},
                start_new_session=True,
            )
        self._connection = here
        self.close = weakref.finalize(self, _end, self._process, here)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def post(self, order: Mapping[str, Any]) -> None:
        """Give an order; UserError where the worker is gone."""
        try:
            send(self._connection, dict(order))
        except OSError as error:
            raise self._ended_error() from error

    def wait(self) -> tuple[dict[str, Any], bytes]:
        """The answer to the order; UserError where it is an error or there is none."""
        try:
            answer, blob = receive(self._connection)
        except (EOFError, OSError) as error:
            raise self._ended_error() from error
        if "error" in answer:
            raise self._error("vLLM failed", _reason(self.log, answer["error"]))
        return answer, blob

    def _ended_error(self) -> UserError:
        """The error for a process that has ended."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; the machine may be out of memory" if code == -signal.SIGKILL else ""
        return self._error(f"vLLM's process has ended ({how}{hint})", _reason(self.log, ""))

    def _error(self, message: str, reason: str) -> UserError:
        todo = next((advice for pattern, advice in ADVICE if re.search(pattern, reason)), OTHER_ADVICE)
        return UserError(message, where=str(self.log), found=reason, todo=todo)


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    """End a worker and all that it has started."""
    connection.close()
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(log: Path, error: str) -> str:
    """What went wrong, in a few lines: the error where it says what, else the last lines of the log that do."""
    reasons = [line.strip() for line in error.splitlines() if line.strip()][:MOST_LINES]
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-300:]
    reasons += [found[1] for line in lines if (found := IN_A_PROCESS.search(line)) and found[1] not in reasons][-1:]
    if not reasons or ELSEWHERE.search(error):
        reasons += [line.strip() for line in lines if line.strip() and not NOISE.search(line)][-MOST_LINES:]
    return "\n    ".join(line[:MOST_LETTERS] for line in reasons) or "nothing in the log"
