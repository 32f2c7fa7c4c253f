"""The code of each metric, pinned beside its SIGNATURE: the keys of scores hold the signature, so code may not change without it.

python tests/scoring/test_metric_code.py        # writes metric_code.json anew: when numbers stay, or SIGNATURE has changed too
"""

import ast
import json
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from harness.api.registry import METRICS, ROOT

FILE = Path(__file__).with_name("metric_code.json")
PINNED = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="code is written out as Python 3.11 writes it")


def files_of(path: Path) -> list[Path]:
    """A module and those of harness/scoring that it imports, directly or not, sorted."""
    found, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness.scoring"):
                module = ROOT / str(node.module).replace(".", "/")
                beside = [module / f"{alias.name}.py" for alias in node.names]
                waiting += [file for file in (module.with_suffix(".py"), *beside) if file.is_file()]
    return sorted(found)


def bare(source: str) -> str:
    """Code without comments, docstrings, strings below constants, SIGNATURE and GOLDEN."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [line for line in node.body if not _is_said(line)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_said(line: ast.stmt) -> bool:
    is_text = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    targets = line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
    return is_text or any(isinstance(target, ast.Name) and target.id in ("GOLDEN", "SIGNATURE") for target in targets)


def pin_of(name: str) -> dict[str, str]:
    path = METRICS.folder / f"{name}.py"
    code = "\n".join(bare(file.read_text(encoding="utf-8")) for file in files_of(path))
    return {"signature": METRICS.load(name).SIGNATURE, "code": sha256(code.encode()).hexdigest()[:16]}


@pytest.mark.parametrize("name", METRICS.names())
def test_code_changes_together_with_the_signature(name: str) -> None:
    if name not in PINNED:
        pytest.skip("new: pinned when metric_code.json is written")
    todo = "if numbers change, change SIGNATURE; then run python tests/scoring/test_metric_code.py"
    assert pin_of(name) == PINNED[name], todo


def test_words_are_no_code_and_numbers_are() -> None:
    source = '"""Doc."""\nLEVEL = 1\n"What it is."\nGOLDEN = (1,)\ndef f(x):\n    """Doc."""\n    return x * 100  # percent\n'
    assert bare(source) == "LEVEL = 1\n\ndef f(x):\n    return x * 100"
    assert bare(source.replace("100", "10")) != bare(source)
    assert bare(
        source.replace("Doc.", "Other.").replace("What", "Which").replace("# percent", "").replace("(1,)", "(2,)")
    ) == bare(source)


def test_what_a_metric_imports_is_its_code() -> None:
    names = {path.name for path in files_of(METRICS.folder / "squad_v2.py")}
    assert {"squad_v2.py", "squad.py", "_answers.py", "_ratio.py"} <= names


if __name__ == "__main__":
    pins = {name: pin_of(name) for name in METRICS.names()}
    FILE.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{FILE.name}: {len(pins)} metrics\n")
