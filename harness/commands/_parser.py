"""The words of a command become its arguments, for the command line and for the calls of Python alike.

args = parse_command("plan", ["--model", "mini", "--tasks", "mini/nli"])      # WrongFlags for words that it does not take

The command is `run` of what is returned, which takes it: `args.run(args)` gives the exit code.
"""

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

from harness.api.errors import UserError
from harness.api.registry import COMMANDS
from harness.commands._arguments import say
from harness.commands._program import as_called, program
from harness.runtime.processes import is_first

BORROWS = ("run", "plan")
"Commands that also take the flags of other harnesses."


class WrongFlags(UserError):
    """Words that the command does not take."""

    def __init__(self, message: str, *, program: str) -> None:
        """`program`: what was called, with its command."""
        super().__init__(message, todo=f"{program} --help lists all flags")
        self.program = program


class Parser(argparse.ArgumentParser):
    """argparse whose errors are a UserError, and name the nearest flag or command."""

    def actions(self) -> list[argparse.Action]:
        """What it takes."""
        return list(self._actions)

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
        """Raise what argparse would print and leave with."""
        raise WrongFlags(message, program=self.prog)


def parser_of(command: str) -> Parser:
    """The parser of a command."""
    module = COMMANDS.load(command)
    parser = Parser(
        prog=f"{program()} {command}",
        description=as_called(module.__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def parse_command(command: str, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command, which runs by `args.run(args)`."""
    words = list(words)
    if command == "validate":
        from harness.commands._borrowed_answers import refuse_tasks_of_validate

        refuse_tasks_of_validate(words)
    if command in BORROWS:
        from harness.commands._borrowed_flags import translate

        words, notes = translate(words)
        for note in notes if is_first() else ():
            say(f"note: {note}")
    parser = parser_of(command)
    parser.check_flags(words)
    parsed = parser.parse_args(words)
    parsed.run = COMMANDS.load(command).run
    return parsed
