"""`validate` of lm-eval's whole library, beside lm-eval's own `validate`, which looks whether it has the names.

    python benchmarks/validate_speed.py                  # needs `make lm-eval`
    python benchmarks/validate_speed.py --names 1        # lm-eval is asked for one name: it reads all files even so

xlift checks every task and group file that lm-eval brings: includes, kinds of values, templates, functions, metrics, filters,
languages (--specs_only: no rows are read).  lm-eval is asked for the names of all of them at once.  Each turn is a whole
command, from the start of its interpreter; bytecode is there, as in an installation.  They agree if xlift finds a task or group
for every name that lm-eval lists, but for those that stand in a group only.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import ROOT, Row, against, arguments, peer_python
from benchmarks.side import serve

# A single argument of a command may hold 128 KiB on Linux, of which all names take 340: they are put in by the program.
THEIR_COMMAND = """
import sys
from lm_eval._cli.harness import HarnessCLI
names = open(sys.argv[1]).read().split()
sys.argv = ["lm_eval", "validate", "--tasks", ",".join(names)]
cli = HarnessCLI()
cli.execute(cli.parse_args())
"""
ALL_NAMES = "from lm_eval.tasks import TaskManager; print(*TaskManager().all_tasks, sep='\\n')"


def xlift(tasks: Path, bytecode: Path) -> None:
    """Our side; what is shown is what the command says last."""
    _serve_command([sys.executable, "run_eval.py", "validate", str(tasks), "--specs_only"], bytecode, codes=(0, 2))


def lm_eval(names: Path, bytecode: Path) -> None:
    """The peer's side."""
    _serve_command([sys.executable, "-c", THEIR_COMMAND, str(names)], bytecode, codes=(0,))


def _serve_command(command: list[str], bytecode: Path, *, codes: tuple[int, ...]) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}

    def work() -> str:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode not in codes:
            raise SystemExit(done.stderr[-3000:])
        return done.stdout.splitlines()[-1]

    serve(work, shown=str)


def agreement(num_names: int) -> Any:
    """How the results are held against each other."""

    def agree(ours: str, theirs: str) -> str:
        files = int((re.match(r"(\d+) files checked", ours) or ["", "0"])[1])
        if theirs != "All tasks found and valid" or not 0.9 * num_names < files < 1.1 * num_names:
            raise SystemExit(f"results differ: {ours}; {theirs}")
        return f"xlift: {ours}; lm-eval: {num_names:,} names found"

    return agree


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--names", type=int, default=0, help="how many names lm-eval is asked for (default: all)")
    parser.add_argument("--scratch", type=Path, help="folder for the names and bytecode (default: a temporary one)")
    args = parser.parse_args()
    python = Path(sys.executable if args.side == "lm-eval" else peer_python(".venv-lm-eval"))
    if args.side:
        tasks = next(python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks"))
        bytecode = args.scratch / args.side
        xlift(tasks, bytecode) if args.side == "xlift" else lm_eval(args.scratch / "names", bytecode)
        return
    with tempfile.TemporaryDirectory(prefix="xlift-validate-") as temporary:
        _measure(args, str(python), args.scratch or Path(temporary))


def _measure(args: Any, python: str, scratch: Path) -> None:
    found = subprocess.run([python, "-c", ALL_NAMES], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    asked = found[: args.names or len(found)]
    (scratch / "names").write_text("\n".join(asked), encoding="utf-8")
    part = "`validate` of lm-eval's whole library: every task file is checked (no rows are read)"
    peer = f"lm-eval 0.4.13 validate of {len(asked):,} names, which looks whether they are there"
    row = Row(name="validate_library", part=part, peer=peer, goal=1.0)
    words = ("--scratch", str(scratch.resolve()))
    against(row, "lm-eval", *words, python=python, agree=agreement(len(found)), args=args)


if __name__ == "__main__":
    main()
