"""The usage example of each module names things that exist: functions with these parameters, classes with these members.

A paragraph of a module docstring that is Python code is an example.  What it calls must be in the module or be public elsewhere
in the project, or be made by the example itself; keywords must be parameters, and all that are needed be there; members of what
a call gives must be those of the type that it returns.
"""

import ast
import builtins
import functools
import importlib
import inspect
import textwrap
import types
import typing
from pathlib import Path

import pytest

from harness.api.registry import ROOT

FILES = sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "models").rglob("*.py")])
ALONE = {"models.vllm.worker"}
"Runs in an environment of its own, without this project."
UNKNOWN = object()


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def examples(text):
    """The paragraphs of a docstring that are code: they parse, and they call, assign or look something up."""
    for paragraph in (text or "").split("\n\n"):
        try:
            tree = ast.parse(textwrap.dedent(paragraph))
        except SyntaxError:
            continue
        kinds = (ast.Call, ast.Assign, ast.Attribute, ast.With)
        if any(isinstance(node, kinds) for node in ast.walk(tree)):
            yield tree


@functools.cache
def public_names():
    """Public functions and classes of the whole project; of several of one name, none can be told."""
    found, several = {"Path": Path}, set()
    for path in FILES:
        if name_of(path) not in ALONE:
            module = importlib.import_module(name_of(path))
            for name, value in vars(module).items():
                if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_"):
                    several |= {name} if name in found else set()
                    found[name] = value
    return {name: UNKNOWN if name in several else value for name, value in found.items()}


def parameters_of(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def made_by(function):
    """The class of what a call gives, as far as it is stated."""
    if inspect.isclass(function):
        return function
    try:
        found = typing.get_type_hints(function).get("return")
    except (TypeError, NameError, AttributeError):
        return None
    return found if inspect.isclass(found) and found is not typing.Any else None


def members(kind):
    """Names that an object of a class has."""
    own = {name for one in inspect.getmro(kind) for name in (*vars(one), *getattr(one, "__annotations__", {}))}
    fields = getattr(kind, "model_fields", {})
    source = inspect.getsource(kind) if kind.__module__.split(".")[0] in ("harness", "models") else ""
    return own | set(fields) | {line.split("=")[0].strip().removeprefix("self.").split(":")[0] for line in source.split("\n")}


class Checker(ast.NodeVisitor):
    """Collects what an example says that is not so."""

    def __init__(self, module):
        self.module, self.wrong = module, []
        self.made = {}

    def resolve(self, node):
        """The object that a name or a dotted name of the example stands for; None where only a run would tell."""
        if isinstance(node, ast.Name):
            if node.id in self.made:
                return None
            own = vars(self.module).get(node.id, vars(builtins).get(node.id))
            return own if own is not None else public_names().get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            return None if owner is None else getattr(owner, node.attr, None)
        return None

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                function = self.resolve(node.value.func) if isinstance(node.value, ast.Call) else None
                self.made[target.id] = made_by(function) if function else None
            else:
                self.made |= {name.id: None for name in ast.walk(target) if isinstance(name, ast.Name)}

    def visit_comprehension(self, node):
        self.made |= {name.id: None for name in ast.walk(node.target) if isinstance(name, ast.Name)}
        self.generic_visit(node)

    def visit_ImportFrom(self, node):
        self.made |= {alias.name: None for alias in node.names}

    def visit_With(self, node):
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.made |= {name.id: None for name in ast.walk(item.optional_vars) if isinstance(name, ast.Name)}
        for statement in node.body:
            self.visit(statement)

    def visit_For(self, node):
        self.made |= {name.id: None for name in ast.walk(node.target) if isinstance(name, ast.Name)}
        self.generic_visit(node)

    def visit_Call(self, node):
        if isinstance(node.func, ast.Name) and node.func.id not in self.made and self.resolve(node.func) is None:
            self.wrong.append(f"{node.func.id}() is nowhere in the project")
        function = self.resolve(node.func)
        known = parameters_of(function) if isinstance(function, types.FunctionType) or inspect.isclass(function) else None
        if known is not None and not any(p.kind == p.VAR_KEYWORD for p in known.values()):
            given = {word.arg for word in node.keywords if word.arg}
            for word in sorted(given - set(known)):
                self.wrong.append(f"{ast.unparse(node.func)}() has no parameter '{word}'")
            left_out = any(isinstance(one, ast.Constant) and one.value is ... for one in node.args)
            needed = [n for n, p in known.items() if p.default is p.empty and p.kind == p.KEYWORD_ONLY]
            missing = sorted(set(needed) - given)
            if missing and not left_out and not any(word.arg is None for word in node.keywords):
                self.wrong.append(f"{ast.unparse(node.func)}() needs {', '.join(missing)}")
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name):
            kind = self.made.get(node.value.id)
            if kind is not None and node.attr not in members(kind):
                self.wrong.append(f"{node.value.id}.{node.attr}: {kind.__name__} has none")
            owner = self.resolve(node.value)
            if owner is not None and node.value.id in vars(self.module) and not hasattr(owner, node.attr):
                self.wrong.append(f"{node.value.id}.{node.attr} does not exist")
        self.generic_visit(node)


def mistakes(module, text):
    checker = Checker(module)
    for tree in examples(text):
        checker.visit(tree)
    return checker.wrong


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path) not in ALONE], ids=name_of)
def test_the_usage_example_names_things_that_exist(path):
    module = importlib.import_module(name_of(path))
    assert module.__doc__
    assert mistakes(module, module.__doc__) == []


def test_most_modules_show_how_they_are_used():
    shown = [path for path in FILES if list(examples(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))))]
    assert len(shown) > 100


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("stages = in_ordre([stage])", "in_ordre() is nowhere in the project"),
        ('stage = Stage(label="x", args=args, input=())', "has no parameter 'input'"),
        ("stage = Stage(args=args)", "Stage() needs label"),
        ('stage = Stage(label="x", args=args)\nstage.keys', "stage.keys: Stage has none"),
        ('canonical({"a": 1})\nStage.of(3)', "Stage.of does not exist"),
    ],
)
def test_an_example_that_is_out_of_date_is_found(example, said):
    module = importlib.import_module("harness.runtime.stages")
    assert any(said in wrong for wrong in mistakes(module, f"What it is.\n\n    {textwrap.indent(example, '    ').strip()}\n"))
    assert mistakes(module, 'What it is.\n\n    stage = Stage(label="x", args=args)\n    stage.key, canonical({})\n') == []
