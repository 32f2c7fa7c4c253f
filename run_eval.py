"""Fine-tune on English, score in every language, print the board.

    python run_eval.py --model FacebookAI/xlm-roberta-base --tasks xnli,panx --intermediate none,mnli --recipe xtreme_2020
    python run_eval.py ls tasks | show xnli | validate my_tasks/ | plan ... | fetch ... | leaderboard runs/x

Exit codes: 0 all done; 1 some stages failed or data are missing (everything else was done); 2 the request is wrong;
130 interrupted.
"""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness.api.errors import UserError, did_you_mean
from harness.api.escaping import visible
from harness.api.registry import COMMANDS

DEFAULT = "run"


class Parser(argparse.ArgumentParser):
    """argparse whose errors name the nearest flag or command."""

    def check_flags(self, words: Sequence[str]) -> None:
        """Name every flag that does not exist, before argparse says which required ones are missing."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        lines = []
        for word in (word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)):
            if word not in flags:
                near = difflib.get_close_matches(word, flags, n=1)
                lines.append(f"unknown flag {word}" + (f"\n  to do: did you mean {near[0]}?" if near else ""))
        if lines:
            self.error("\n".join(lines))

    def error(self, message: str) -> NoReturn:
        """Print one message and leave with code 2."""
        print(f"{self.prog}: error: {visible(message, tabs=True)}\n  all flags: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; `run` is the command where none is named."""
    words = list(arguments)
    names = COMMANDS.names()
    if not words or words[0] in ("-h", "--help"):
        commands = "\n".join(
            f"  {name:12} {COMMANDS.constant(name, 'HELP')}" for name in [DEFAULT, *(n for n in names if n != DEFAULT)]
        )
        print(f"{(__doc__ or '').strip()}\n\nCommands (each has --help):\n{commands}")
        raise SystemExit(0)
    command = DEFAULT if words[0].startswith("-") else words.pop(0)
    if command not in names:
        raise UserError(f"unknown command '{command}'", todo=did_you_mean(command, names))
    module = COMMANDS.load(command)
    parser = Parser(
        prog=f"run_eval.py {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.check_flags(words)
    parsed = parser.parse_args(words)
    parsed.run = module.run
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        parsed = parse(sys.argv[1:] if arguments is None else arguments)
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {visible(str(error), tabs=True)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it was", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` closed the pipe: that is the reader's right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
