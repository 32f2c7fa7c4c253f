"""`submission score` on files as large as XTREME's test sets, beside XTREME's own evaluate.py.

    python benchmarks/submission_speed.py --xtreme FOLDER                 # needs `make bench-peers`
    python benchmarks/submission_speed.py --xtreme FOLDER --share 0.1     # a tenth of each file

FOLDER is a checkout of google-research/xtreme (838c13b).

Each turn is a whole command, from the start of its interpreter to the scores in a file.  The folders are made up
(submission_files.py) and lie in a temporary folder for as long as it takes.  The script gets seqeval 0.0.12, on which XTREME's
published numbers rest; all scores of all tasks and languages must be equal digit for digit.  The mean of the nine tasks alone may
differ in its last digit: the script adds up a set, whose order changes from run to run.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import ROOT, Row, against, arguments, peer_python
from benchmarks.side import serve


def xlift(folder: Path) -> None:
    """Our side."""
    command = [sys.executable, "run_eval.py", "submission", "score", "predictions", "labels", "--output", "ours.json"]
    _serve_command([*command[:1], str(ROOT / command[1]), *command[2:]], folder, "ours.json", environment={})


def xtreme(folder: Path, script: Path) -> None:
    """The script's side."""
    seqeval = Path(sys.prefix) / "seqeval-0.0.12"
    if not seqeval.is_dir():
        raise SystemExit(f"{seqeval} is not here: `make bench-peers` makes it")
    flags = [("prediction_folder", "predictions"), ("label_folder", "labels"), ("output_file", "theirs.json")]
    words = [word for name, value in flags for word in (f"--{name}", str(folder / value))]
    _serve_command([sys.executable, str(script), *words], folder, "theirs.json", environment={"PYTHONPATH": str(seqeval)})


def _serve_command(command: list[str], folder: Path, output: str, *, environment: dict[str, str]) -> None:
    """A turn is the command; what is shown of it is where its scores lie."""
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}  # as an installation has it

    def work() -> None:
        (folder / output).unlink(missing_ok=True)
        subprocess.run(command, check=True, cwd=folder, env={**os.environ, **bytecode, **environment})

    serve(work, shown=lambda _: str(folder / output))


def same(ours: str, theirs: str) -> str:
    """Every number of both files, digit for digit."""
    found = json.loads(Path(ours).read_text(encoding="utf-8"))["scores"]
    wanted = json.loads(Path(theirs).read_text(encoding="utf-8"))
    if not math.isclose(found.pop("all_task"), wanted["all_task"], rel_tol=1e-14):
        raise SystemExit("the means of the nine tasks differ")
    mean = wanted.pop("all_task")
    wrong = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if wrong:
        raise SystemExit(f"scores differ: {', '.join(wrong)}; see {ours} and {theirs}")
    return f"{_numbers(wanted)} scores, all digits; mean of the tasks {mean:.4f}"


def _numbers(value: Any) -> int:
    return sum(map(_numbers, value.values())) if isinstance(value, dict) else 1


def main() -> None:
    """Make the folders, measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--xtreme", required=True, type=Path, help="a checkout of google-research/xtreme")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of each test set (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="new folder for the files, which stay there (default: a temporary one)")
    args = parser.parse_args()
    script = args.xtreme.expanduser().resolve() / "evaluate.py"
    if not script.is_file():
        raise SystemExit(f"{script} is not here: git clone https://github.com/google-research/xtreme")
    if args.side:
        xlift(args.folder) if args.side == "xlift" else xtreme(args.folder, script)
        return
    with tempfile.TemporaryDirectory(prefix="xlift-submission-") as temporary:
        folder = (args.folder or Path(temporary)).expanduser().resolve()
        _measure(args, folder)


def _measure(args: Any, folder: Path) -> None:
    from benchmarks.submission_files import write

    num_examples = write(folder / "predictions", folder / "labels", share=args.share)
    part = f"`submission score` of {num_examples:,} examples, the whole command"
    row = Row(name="submission", part=part, peer="XTREME's evaluate.py with seqeval 0.0.12", goal=10.0)
    words = ("--xtreme", str(args.xtreme), "--folder", str(folder))
    against(row, "script", *words, python=peer_python(), agree=same, args=args)


if __name__ == "__main__":
    main()
