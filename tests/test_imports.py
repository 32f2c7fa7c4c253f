"""Which module may import which: one way, without circles, and nothing heavy before it is needed."""

import ast

import pytest

from harness.api.registry import ADAPTERS, ROOT

RANKS = [
    {
        "harness",
        "harness.api.errors",
        "harness.api.registry",
        "harness.api.randomness",
        "harness.runtime.provenance",
    },
    {
        "harness.specs",
        "harness.api.protocols",
    },
    {
        "harness.data",
        "harness.scoring.metrics",
        "harness.scoring.bootstrap",
        "harness.task_types.vectors.nearest_neighbours",
        "harness.runtime.machine",
    },
    {
        "harness.task_types",
        "harness.task_types.prompting",
        "harness.task_types.lm_eval_harness",
        "harness.prediction.batching",
        "harness.runtime.stages",
        "harness.planning.catalog.file_checks",
    },
    {
        "harness.planning.catalog.catalog",
        "harness.planning.precedence",
        "harness.planning.backbone.resolve",
        "harness.scoring.score",
    },
    {
        "harness.planning.resolved_tasks",
    },
    {
        "harness.planning.stage_builder",
        "harness.planning.request_checks",
    },
    {
        "harness.planning.plan",
    },
    {
        "harness.planning.overlaps",
        "harness.planning.costs",
        "harness.report.record.writer",
    },
    {
        "harness.commands",
        "harness.report",
        "harness.report.comparison",
        "harness.report.submission",
    },
    {
        "run_eval",
    },
]
"Lowest first; a module imports its own rank and those below.  Rooms that load models follow below."
ROOMS = {name: number for number, names in enumerate(RANKS) for name in names}
HEAVY = {"torch", "transformers", "datasets", "accelerate", "safetensors", "tokenizers", "peft", "vllm"}
LOADS_MODELS = (
    "harness.training.loop",
    "harness.prediction.loop",
    "harness.executors",
    "harness.runtime.loading",
    "harness.training.gradients",
)
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
LOADED = {name: {other for other in imports(path, everywhere=False) if other in NAMES} for name, path in NAMES.items()}


def room(name):
    """The longest entry of ROOMS that a module lies in; None for rooms that load models."""
    parts = name.split(".")
    return next(
        (found for n in range(len(parts), 0, -1) if (found := ".".join(parts[:n])) in ROOMS and (n > 1 or name == found)), None
    )


def test_no_module_imports_one_of_a_higher_rank():
    wrong = [
        f"{name} imports {other}"
        for name, others in LOADED.items()
        for other in others
        if room(name) and room(other) and ROOMS[room(other)] > ROOMS[room(name)]
    ]
    assert wrong == []


def test_there_is_no_circle():
    done, circles = set(), []

    def visit(name, stack):
        if name in stack:
            circles.append(" -> ".join((*stack[stack.index(name) :], name)))
        elif name not in done:
            for other in sorted(LOADED[name] - {name}):
                visit(other, (*stack, name))
            done.add(name)

    for name in LOADED:
        visit(name, ())
    assert circles == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("harness")])
def test_the_harness_names_no_model(name):
    assert [other for other in imports(NAMES[name], everywhere=True) if other.split(".")[0] == "models"] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("models")])
def test_models_import_only_the_contract_and_each_other(name):
    allowed = ("harness.api", "harness.specs")
    found = {other for other in imports(NAMES[name], everywhere=True) if other.startswith("harness")}
    assert [other for other in found if not other.startswith(allowed)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("models", *LOADS_MODELS))])
def test_nothing_else_imports_torch_when_it_is_loaded(name):
    assert {other.split(".")[0] for other in imports(NAMES[name], everywhere=False)} & HEAVY == set()


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
