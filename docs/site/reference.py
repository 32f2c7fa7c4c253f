"""The reference, made of the code: commands, YAML files, calls of Python, metrics, tasks and backbones.

pages = pages()          # {'commands.md': '# Commands ...', ...}

Commands come from their parsers, keys from the models that read the files and the strings under their fields, calls from their
signatures and docstrings, metrics, tasks and backbones from the catalog.
"""

import argparse
import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from markdown_parts import WRITTEN, code, docstring, joined, prose, table
from yaml_reference import arguments_page, file_page, task_types_page, yaml_page

from harness.api.escaping import markdown_text
from harness.api.registry import COMMANDS, METRICS
from harness.commands._parser import parser_of
from harness.library import calls, options, results
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.kinds import KINDS
from harness.scoring.own_metrics import facts_of
from harness.specs.language import LanguageSpec

CALLS = {
    "evaluate": (options.RunOptions, "run"),
    "plan": (options.PlanOptions, "plan"),
    "leaderboard": (options.BoardOptions, "leaderboard"),
    "compare": (options.CompareOptions, "compare"),
}
"Calls with their keywords and commands."
OPTIONS = [name for name in vars(options) if name.endswith("Options")]


def pages() -> dict[str, str]:
    """Every page by its name."""
    catalog = Catalog()
    return {
        "commands.md": _commands(),
        "python.md": _python(),
        "metrics.md": _metrics(),
        "tasks.md": _tasks(catalog),
        "backbones.md": _backbones(catalog),
        "task_types.md": task_types_page(),
        "arguments.md": arguments_page(),
        **{f"yaml_{kind}.md": yaml_page(kind, model) for kind, model in KINDS.items()},
        "yaml_languages.md": file_page("languages.yaml", "Languages of one's own, a row each.", [LanguageSpec]),
    }


def _commands() -> str:
    """Every command with its flags."""
    parts = ["# Commands", WRITTEN, "`run` is the command where none is named. An installation calls `run_eval.py` `xlift`."]
    for name in ("run", *(each for each in COMMANDS.names() if each != "run")):
        parser = parser_of(name)
        parts += [
            f"## {name}",
            docstring(parser.description or ""),
            table(["word or flag", "meaning"], _flags(parser.actions())),
        ]
    return joined(parts)


def _flags(actions: Iterable[argparse.Action]) -> Iterator[list[str]]:
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield [code(name), ", ".join(code(text) for each in parser._actions for text in each.option_strings[-1:])]
            continue
        takes = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        shown = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = f" {takes}" if action.option_strings and action.nargs != 0 else ""
        yield [code(shown + value), prose(action.help or "")]


def _python() -> str:
    """The calls and what they return."""
    parts = ["# Calls of Python", WRITTEN, docstring(calls.__doc__ or "")]
    for name, (kind, command) in CALLS.items():
        call = getattr(calls, name)
        shown = re.sub(r"harness\.library\.\w+\.|collections\.abc\.", "", str(inspect.signature(call)))
        shown = re.sub(r"\*<class '(\w+)'>", r"Unpack[\1]", shown)
        parts += [f"## {name}", f"```python\n{name}{shown}\n```", docstring(call.__doc__ or ""), _keywords(kind, command)]
    parts += ["# What they return"]
    for name, kind in vars(results).items():
        if inspect.isclass(kind) and kind.__module__ == results.__name__:
            parts += [f"## {name}", docstring(kind.__doc__ or ""), _members(kind)]
    return joined(parts)


def _keywords(kind: Any, command: str) -> str:
    """What a call takes by name: the flags of its command, told as there where no more is said."""
    flags = {action.dest: action.help or "" for action in parser_of(command).actions()}
    docs = _strings_under(kind)
    rows = [[code(key), code(_python_type(hint)), prose(docs.get(key, flags[key]))] for key, hint in get_type_hints(kind).items()]
    return table(["keyword", "type", "meaning"], rows)


def _members(kind: type) -> str:
    docs = _strings_under(kind)
    rows = [[code(key), code(_python_type(hint)), prose(docs.get(key, ""))] for key, hint in get_type_hints(kind).items()]
    for name, member in vars(kind).items():
        function = getattr(member, "func", member)
        if not name.startswith("_") and inspect.isfunction(function):
            shown = name if function is not member else f"{name}()"
            rows.append(
                [
                    code(shown),
                    code(_python_type(get_type_hints(function)["return"])),
                    prose(inspect.cleandoc(function.__doc__ or "")),
                ]
            )
    return table(["member", "type", "meaning"], rows)


def _python_type(hint: Any) -> str:
    text = hint.__name__ if inspect.isclass(hint) and not getattr(hint, "__args__", ()) else str(hint)
    return re.sub(r"\b(?:typing|collections\.abc|harness(?:\.\w+)*|os|pathlib)\.", "", text)


def _strings_under(kind: type) -> dict[str, str]:
    """The string under each field of a class and of those that it derives from."""
    found: dict[str, str] = {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    for base in definition.bases:  # TypedDict keeps no trace of them
        found |= _strings_under(vars(options)[base.id]) if isinstance(base, ast.Name) and base.id in OPTIONS else {}
    for field, text in itertools.pairwise(definition.body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if is_text and isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return found


def _metrics() -> str:
    """Every metric with what its module says of its source."""
    parts = [
        "# Metrics",
        WRITTEN,
        "[What each metric takes](../metrics.md) compares them; `run_eval.py show METRIC` prints one of these.",
    ]
    for name in METRICS.names():
        facts = facts_of(name)
        rows = [["keys", " ".join(map(code, facts.keys))], ["signature", code(facts.signature)]]
        parts += [f"## {name}", docstring(facts.doc), table(["", ""], rows)]
    return joined(parts)


def _tasks(catalog: Catalog) -> str:
    """Every shipped task with its licence."""
    parts = ["# Tasks", WRITTEN]
    specs = [catalog.task(name).spec for name in catalog.names("task")]
    rows = [[code(spec.task), spec.type, str(len(spec.languages) or ""), prose(spec.licence)] for spec in specs]
    parts.append(table(["task", "type", "test languages", "licence"], rows))
    for spec in specs:
        facts = {
            "type": spec.type,
            "test languages": " ".join(spec.languages),
            "trained on": spec.train_on or " ".join(spec.train_languages if spec.data.train else ()),
            "score": " ".join(spec.score) or " ".join(use.metric for use in spec.metrics),
            "chance": f"{spec.chance:g}",
            "licence": spec.licence,
            "described at": spec.homepage,
            "how to get it": spec.obtain,
            "notes": " ".join(spec.notes),
        }
        rows = [[key, prose(text)] for key, text in facts.items() if text]
        parts += [f"## {spec.task}", prose(spec.description), table(["", ""], rows)]
    return joined(parts)


def _backbones(catalog: Catalog) -> str:
    """Every preset with its licence and pitfalls."""
    parts = ["# Backbones", WRITTEN, "Any hub id or folder works as well; a preset adds what is known of a backbone."]
    for name in catalog.names("preset"):
        spec = catalog.preset(name).spec
        facts: Mapping[str, str] = {
            "hub": spec.hub or "made here",
            "parameters": f"{spec.parameters:,}" if spec.parameters else "",
            "without embeddings": f"{spec.non_embedding_parameters:,}" if spec.non_embedding_parameters else "",
            "family": spec.family,
            "licence": spec.licence,
            "pitfalls": " ".join(spec.pitfalls),
        }
        parts += [f"## {name}", table(["", ""], [[key, prose(text)] for key, text in facts.items() if text])]
    return joined(parts)


def notebook_page(path: Path) -> str:
    """A notebook as a page: its texts, its code, and the file itself to take along."""
    document = json.loads(path.read_text(encoding="utf-8"))
    parts = []
    for cell in document["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    parts.insert(1, f"The notebook itself: [{markdown_text(path.name)}]({path.name}).")
    return joined(parts)
