"""Fine-tune on English, score in every language, print the board.

    python run_eval.py --model FacebookAI/xlm-roberta-base --tasks xnli,panx --intermediate none,mnli --recipe xtreme_2020
    python run_eval.py ls tasks | show xnli | validate my_tasks/ | plan ... | fetch ... | leaderboard runs/x

Exit codes: 0 all done; 1 some stages failed or data are missing (everything else was done), or the disk is full; 2 the request
is wrong; 130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP, 141 by a reader that closed the pipe (`| head`).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from harness.api.errors import OutputFailed, UserError, did_you_mean


def _lacking(error: ModuleNotFoundError) -> UserError | None:
    """What to say where a command cannot begin for want of a package; None where it is a module of ours or of Python's own."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "harness", "models", "xlift", *sys.stdlib_module_names):
        return None
    return UserError(
        f"this Python has no package '{package}', which xlift needs",
        found=sys.executable,
        todo=".venv/bin/python run_eval.py ..., which `make demo` and `make test` make; or pip install this folder",
    )


try:
    from harness.api.escaping import visible
    from harness.api.registry import COMMANDS
    from harness.commands._parser import WrongFlags, parse_command
    from harness.commands._program import as_called
    from harness.runtime.interruption import Interrupted, ending_signals
    from harness.runtime.processes import is_first
    from harness.runtime.streams import standard_streams
    from harness.runtime.threads import settle_threads
except ModuleNotFoundError as lacking:  # a Python in which nothing was installed
    said = _lacking(lacking) if __name__ == "__main__" else None
    if said is None:
        raise
    print(f"error: {said}", file=sys.stderr)
    sys.exit(2)

DEFAULT = "run"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; `run` is the command where none is named."""
    words = list(arguments)
    names = COMMANDS.names()
    if not words or words[0] in ("-h", "--help"):
        commands = "\n".join(
            f"  {name:12} {COMMANDS.constant(name, 'HELP')}" for name in [DEFAULT, *(n for n in names if n != DEFAULT)]
        )
        print(as_called(f"{(__doc__ or '').strip()}\n\nCommands (each has --help):\n{commands}"))
        raise SystemExit(0)
    command = DEFAULT if words[0].startswith("-") else words.pop(0)
    if command not in names:
        raise UserError(f"unknown command '{command}'", todo=did_you_mean(command, names))
    return parse_command(command, words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    settle_threads(os.environ)  # before anything loads torch
    with standard_streams():
        try:
            try:
                return run_command(sys.argv[1:] if arguments is None else arguments)
            finally:
                sys.stdout.flush()
        except OutputFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Interrupted as interrupted:  # a closed pipe has nobody to tell it to
            return interrupted.exit_code


def run_command(arguments: Sequence[str]) -> int:
    """Run one command, and say what ended it; returns the exit code."""
    try:
        with ending_signals():
            try:
                parsed = parse(arguments)
            except ModuleNotFoundError as error:
                said = _lacking(error)
                if said is None:
                    raise
                raise said from error
            code: int = parsed.run(parsed)
            return code
    except WrongFlags as error:
        print(
            f"{error.program}: error: {visible(error.message, tabs=True)}\n  all flags: {error.program} --help", file=sys.stderr
        )
        return 2
    except UserError as error:
        print(f"error: {as_called(visible(str(error), tabs=True))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        by = interrupt.by if isinstance(interrupt, Interrupted) else signal.SIGINT
        if by == signal.SIGPIPE:
            raise
        if is_first():
            how = "" if by == signal.SIGINT else f" by {by.name}"
            print(f"interrupted{how}: the same command goes on where it was", file=sys.stderr)
        return 128 + by


if __name__ == "__main__":
    sys.exit(main())
