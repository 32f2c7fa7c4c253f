"""One class a name: who reads a class name anywhere in harness/ and models/ knows which class is meant."""

import ast
from collections import defaultdict

from harness.api.registry import ROOT

PRESCRIBED = {"Options", "Example"}
"Names that a plug point asks of each of its modules: readers and task types."


def test_no_class_name_is_defined_twice():
    places = defaultdict(list)
    for room in ("harness", "models"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: found for name, found in places.items() if len(found) > 1 and name not in PRESCRIBED}
    assert twice == {}
