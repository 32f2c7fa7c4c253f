"""Print a script by which the shell completes commands, flags, their values, and names of tasks, models and recipes.

    source <(xlift completion bash)                       # in ~/.bashrc; in a checkout: <(python run_eval.py completion bash)
    xlift completion zsh > ~/.xlift-completion; echo 'source ~/.xlift-completion' >> ~/.zshrc

It completes `xlift` and `run_eval.py` (also as ./run_eval.py).  The names stand in the script: print it anew after an upgrade,
with --include_path for those of your own files.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence

from harness.api.errors import UserError, did_you_mean
from harness.api.registry import COMMANDS
from harness.commands._arguments import add_include_arguments, new_catalog, out
from harness.commands._parser import parser_of
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.editor_schemas import editor_kinds

HELP = "print a script by which bash or zsh complete commands, flags and names"
PROGRAMS = ("xlift", "run_eval.py", "./run_eval.py")
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
"zsh reads bash's completions after this."
NAMED: Mapping[str, Sequence[str]] = {
    "tasks": ("task", "group"),
    "task": ("task",),
    "intermediate": ("task",),
    "model": ("preset",),
    "backbones": ("preset",),
    "recipe": ("recipe",),
    "on": ("device",),
    "name": ("task", "group", "recipe", "preset", "study", "device"),
    "study": ("study",),
}
"Flags and words -> kinds of files whose names they take."
WORDS: Mapping[str, Sequence[str]] = {
    "what": ("tasks", "models", "metrics", "groups", "recipes", "studies", "types", "languages", "references", "devices"),
    "kind": editor_kinds(),
    "shell": ("bash", "zsh"),
}
"What stands without a flag in `ls`, `schema` and here."
BEGIN = """\
# Completion of xlift: made by `run_eval.py completion`.
_xlift_words() {
  # The words that may stand at the cursor, those after the last comma: $1 a list, $2 what is typed so far.
  local begun="${2%"${2##*,}"}"
  local IFS=$' \\n'
  COMPREPLY=($(compgen -P "$begun" -W "$1" -- "${2##*,}"))
}
_xlift() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}" flags="" words=""
  if [ "$COMP_CWORD" -eq 1 ] && [ "${cur:0:1}" != "-" ]; then
    _xlift_words "$commands" "$cur"; return
  fi
  case "$command" in -*) command=run ;; esac
"""

END = """\
  if [ "${cur:0:1}" = "-" ]; then _xlift_words "$flags" "$cur"
  elif [ -n "$words" ]; then _xlift_words "$words" "$cur"; fi
}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", metavar="SHELL", help="bash or zsh")
    add_include_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    shells: Mapping[str, Callable[[str], str]] = {"bash": lambda script: script, "zsh": lambda script: ZSH + script}
    if args.shell not in shells:
        raise UserError(f"no completion for '{args.shell}'", expected="bash or zsh", todo=did_you_mean(args.shell, shells))
    out(shells[args.shell](_script(new_catalog(args, args.include_path))))
    return 0


def _script(catalog: Catalog) -> str:
    """The function that bash calls, and what it is called for."""
    commands = COMMANDS.names()
    begin = BEGIN.replace('"$commands"', f'"{" ".join(commands)}"')
    cases = "\n".join(f"    {name})\n{_command(name, catalog)}\n      ;;" for name in commands)
    return f'{begin}  case "$command" in\n{cases}\n  esac\n{END}complete -o default -F _xlift {" ".join(PROGRAMS)}'


def _command(name: str, catalog: Catalog) -> str:
    """What may stand in a command: its flags, the values of each, and words without a flag."""
    actions = parser_of(name).actions()
    flags = [flag for action in actions for flag in action.option_strings]
    valued = [(action, values) for action in actions if action.option_strings and (values := _values(action, catalog))]
    lines = [f'      flags="{" ".join(flags)}"']
    words = [value for action in actions if not action.option_strings for value in _values(action, catalog)]
    if words:
        lines.append(f'      words="{" ".join(words)}"')
    if valued:
        lines.append('      case "$prev" in')
        lines += [
            f'        {"|".join(action.option_strings)}) _xlift_words "{" ".join(values)}" "$cur"; return ;;'
            for action, values in valued
        ]
        lines.append("      esac")
    return "\n".join(lines)


def _values(action: argparse.Action, catalog: Catalog) -> list[str]:
    """What a flag or word takes, as far as it is known beforehand; paths the shell completes itself."""
    if action.nargs == 0:
        return []
    if action.choices is not None:
        return [str(value) for value in action.choices]
    if action.dest in WORDS:
        return list(WORDS[action.dest])
    return [name for kind in NAMED.get(action.dest, ()) for name in catalog.names(kind)]
