"""How much of lm-eval's own task library runs here, and why the rest does not.

    python benchmarks/lm_eval_coverage.py --lm_eval SITE-PACKAGES/lm_eval/tasks [--load] [--rows 300] [--names]

Every name of a task is resolved as --tasks does it.  With --load the Python code behind it is imported as --trust_task_code
allows, in the environment of this command, and its metrics are tried on a made-up answer.  Shares are of text tasks: all names
less those that need images or sound.  Prints a Markdown table; --names adds the first names behind each reason.

With --rows requests are made of a made-up row for so many of the tasks that run, drawn at random.  Their datasets are not here:
a task for which no guess fits may well run with its own rows.
"""

import argparse
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from lm_eval_made_up_rows import row_that_works

from harness.api.errors import UserError
from harness.data.locations import DataPlace
from harness.planning.catalog.lm_eval_files.groups import LmEvalNames
from harness.planning.catalog.lm_eval_files.index import Index, yaml_files
from harness.planning.task_code_checks import code_mistakes
from harness.task_types.lm_eval_harness.task_code import TaskCode

NOT_TEXT = re.compile(r"'doc_to_(image|audio)' is not supported")
QUOTED = re.compile(r"'[^']*'")
SHOWN = 3


def names_below(folder: Path) -> LmEvalNames:
    """All names of the files below a folder."""
    index = Index(within=[folder])
    index.add(list(yaml_files(folder)))
    return LmEvalNames(index=index)


def reason(error: UserError) -> str:
    """What kind of mistake it is, without the names in it."""
    text = QUOTED.sub("'…'", error.message)
    package = re.search(r"No module named '([\w.]+)'", error.found)
    if package:
        return f"its code needs the package {package[1].partition('.')[0]}"
    if "package evaluate" in error.message:
        return error.message.removeprefix("task code ")
    return text if "code of task" not in error.message else f"{text}: {error.found[:90]}"


def looked_at(names: LmEvalNames, *, load: bool) -> Iterator[tuple[str, str]]:
    """Each name with why it does not run; '' where it does."""
    place = DataPlace(offline=True, trust_task_code=True)
    for name in names.index.tasks:
        try:
            made = names.task(name)
        except UserError as error:
            yield name, reason(error)
            continue
        if made.spec is None or made.spec.lm_eval is None:
            worst = next((error for error in made.errors if NOT_TEXT.match(error.message)), made.errors[0])
            yield name, worst.message if NOT_TEXT.match(worst.message) else reason(worst)
            continue
        folder = names.path(name).parent
        mistakes = code_mistakes(made.spec.lm_eval, TaskCode.at(place, folder=folder, task=name)) if load else []
        yield name, reason(mistakes[0]) if mistakes else ""


def main() -> None:
    """Count, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm_eval", required=True, type=Path, help="the folder lm_eval/tasks of an installed lm-eval")
    parser.add_argument("--load", action="store_true", help="import the code beside the task files: it runs here")
    parser.add_argument("--names", action="store_true", help="the first names behind each reason")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="make requests of a made-up row of N tasks")
    args = parser.parse_args()
    names = names_below(args.lm_eval.resolve())
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, why in looked_at(names, load=args.load):
        reasons[why].append(name)
    other = sum(len(several) for why, several in reasons.items() if NOT_TEXT.match(why))
    total = sum(map(len, reasons.values())) - other
    running = reasons.pop("", [])
    fine = len(running)
    does = "resolve and load their code" if args.load else "resolve"
    lines = [f"| {does} | {fine:,} | {100 * fine / total:.2f} % |"]
    for why, several in sorted(reasons.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if not NOT_TEXT.match(why):
            more = f" ({', '.join(several[:SHOWN])})" if args.names else ""
            lines.append(f"| {why}{more} | {len(several):,} | {100 * len(several) / total:.2f} % |")
    head = f"{total:,} text tasks; {other} more names need images or sound.\n\n| | tasks | share |\n|---|--:|--:|\n"
    sys.stdout.write(head + "\n".join(lines) + "\n")
    if args.rows:
        asked = random.Random(0).sample(running, min(args.rows, fine))
        made = [name for name in asked if _takes_a_row(names, name)]
        sys.stdout.write(f"\nRequests of a made-up row: {len(made)} of {len(asked)} tasks drawn at random.\n")


def _takes_a_row(names: LmEvalNames, name: str) -> bool:
    spec = names.task(name).spec
    assert spec is not None
    return row_that_works(spec, names.path(name).parent, place=DataPlace(offline=True, trust_task_code=True)) is not None


if __name__ == "__main__":
    main()
