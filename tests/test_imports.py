"""Which module may import which: one way, without circles, and nothing heavy before it is needed."""

import ast
import importlib.util
import subprocess
import sys

import pytest

from harness.api.registry import ADAPTERS, ROOT

WINGS = [
    "harness.api",
    "harness.specs",
    "harness.scoring",
    "harness.data",
    "harness.runtime",
    "harness.task_types",
    "harness.prediction",
    "harness.training",
    "harness.planning",
    "harness.study",
    "harness.executors",
    "harness.report",
    "harness.commands",
    "harness.library",
]
"Each imports itself and those above it in this list, anywhere in its code."
ROOMS_OF_MODELS = [
    "models.loading",
    "models.packing",
    "models.inference",
    "models.headed",
    "models.low_rank",
    "models.causal",
    "models.*",
    "models.vllm",
    "models.server",
]
"The same for models/ (`models.*`: adapters that are files); it imports nothing of harness/ but harness.api and harness.specs."
LOADS_MODELS = (
    "harness.training",
    "harness.prediction.loop",
    "harness.executors",
    "harness.runtime.loading",
)
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "safetensors",
    "tokenizers",
    "peft",
    "vllm",
    "scipy",
    "matplotlib",
    "pandas",
}
FILES = sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "models").rglob("*.py"), ROOT / "run_eval.py"])


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, everywhere):
    """Dotted names that a file imports when it is loaded (or anywhere), without those that only type checkers see."""
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.FunctionDef) and not everywhere:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


NAMES = {name_of(path): path for path in FILES}
EVERYWHERE = {name: {other for other in imports(path, everywhere=True) if other in NAMES} for name, path in NAMES.items()}


def room(name, rooms):
    """Number of the room that a module lies in; `models.*` holds files of the folder itself."""
    if f"{name.rpartition('.')[0]}.*" in rooms and NAMES[name].name != "__init__.py":
        return rooms.index(f"{name.rpartition('.')[0]}.*")
    return next((n for n, one in enumerate(rooms) if name == one or name.startswith(f"{one}.")), None)


@pytest.mark.parametrize(("top", "rooms"), [("harness", WINGS), ("models", ROOMS_OF_MODELS)])
def test_every_module_is_in_a_room(top, rooms):
    assert [name for name in NAMES if name.startswith(f"{top}.") and room(name, rooms) is None] == []
    assert [one for one in rooms if one not in NAMES and not one.endswith("*")] == []


@pytest.mark.parametrize(("top", "rooms"), [("harness", WINGS), ("models", ROOMS_OF_MODELS)])
def test_no_module_imports_one_of_a_higher_room(top, rooms):
    places = {name: number for name in NAMES if (number := room(name, rooms)) is not None}
    wrong = [
        f"{name} imports {other}"
        for name, others in EVERYWHERE.items()
        for other in others
        if name in places and other in places and places[other] > places[name]
    ]
    assert wrong == []


def circles(graph):
    """Paths in a graph (node -> nodes) that come back to where they were, one for each place where that is seen."""
    done, found = set(), []

    def visit(node, stack):
        if node in stack:
            found.append(" -> ".join((*stack[stack.index(node) :], node)))
        elif node not in done:
            for other in sorted(graph.get(node, set()) - {node}):
                visit(other, (*stack, node))
            done.add(node)

    for node in graph:
        visit(node, ())
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == ["a -> b -> c -> a"]


def test_there_is_no_circle_of_files():
    loaded = {name: {other for other in imports(path, everywhere=False) if other in NAMES} for name, path in NAMES.items()}
    assert sum(map(len, loaded.values())) > 500
    assert circles(loaded) == []


def test_there_is_no_circle_of_folders():
    def folder(name):
        return name if NAMES[name].name == "__init__.py" else name.rpartition(".")[0]

    graph = {}
    for name, others in EVERYWHERE.items():
        graph.setdefault(folder(name), set()).update(folder(other) for other in others)
    assert len(graph) > 30
    assert circles(graph) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("harness")])
def test_the_harness_names_no_model(name):
    assert [other for other in imports(NAMES[name], everywhere=True) if other.split(".")[0] == "models"] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("models")])
def test_models_import_only_the_contract_and_each_other(name):
    found = {other for other in imports(NAMES[name], everywhere=True) if other.startswith("harness")}
    assert [other for other in found if not other.startswith(("harness.api", "harness.specs"))] == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("models", *LOADS_MODELS))])
def test_nothing_else_imports_torch_when_it_is_loaded(name):
    assert {other.split(".")[0] for other in imports(NAMES[name], everywhere=False)} & HEAVY == set()


BENCHMARKS = sorted(path for path in (ROOT / "benchmarks").glob("*.py"))
ELSEWHERE = ("lm_eval_driver", "lm_eval_mirror", "lm_eval_requests")
"Scripts that run in the environment of the lm-eval package."


@pytest.mark.parametrize("path", [path for path in BENCHMARKS if path.stem not in ELSEWHERE], ids=lambda path: path.stem)
def test_every_benchmark_can_be_imported(path, monkeypatch):
    """What it measures is still there."""
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name != "lm_eval_mirror"])
def test_the_benchmark_of_another_environment_can_be_imported_there(lm_eval_python, name):
    command = [lm_eval_python, ROOT / "benchmarks" / f"{name}.py", "--help"]
    assert "--mirror" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


METHODS = {
    "forward_head": "forward_head",
    "embed": "embed",
    "loglikelihood": "loglikelihood",
    "generate": "generate",
    "fit": "module",
}


@pytest.mark.parametrize("adapter", ADAPTERS.names())
def test_what_an_adapter_declares_is_in_its_code(adapter):
    """Each declared capability is a method of the class that `load` returns; `fit` is the `module` that the loop trains."""
    declared = ADAPTERS.constant(adapter, "CAPABILITIES")
    module = ADAPTERS.load(adapter)
    assert declared == module.CAPABILITIES
    assert set(declared) <= set(METHODS)
    returned = module.load.__annotations__["return"]
    kind = getattr(module, returned) if isinstance(returned, str) else returned
    for capability in declared:
        name = METHODS[capability]
        assert hasattr(kind, name) or name in kind.__annotations__ or f"self.{name}" in _source(kind), (adapter, capability)


def _source(kind):
    import inspect

    return inspect.getsource(kind)
