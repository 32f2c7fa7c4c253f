"""One made-up row of a task of lm-eval whose dataset is not here: columns by what its file and code ask for, values by name.

    row_that_works(spec, folder, place=place)      # a row of which the task makes requests; None where none was found

Some dozens of rows are tried, in which labels are numbers, letters or texts, and choices lists, mappings or spelt lists.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError, meta

from harness.api.errors import UserError
from harness.data.locations import DataPlace
from harness.data.row_errors import RowErrors
from harness.data.rows import Rows
from harness.runtime.machine import Machine
from harness.specs.lm_eval import Function, LmEvalTask
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types import lm_eval
from harness.task_types.lm_eval_harness.task_code import TaskCode, file_of

NAME = re.compile(r"[^\W\d]\w*")
MANY = re.compile(
    r"choice|option|ending|candidate|targets|answers|distractor|opcion|mc\d|tokens|tags|pos$|turns|list|translation",
    re.IGNORECASE,
)
RIGHT = re.compile(r"label|gold|idx|index|^answer|_answer|correct|target|respuesta|gabarito|solution|key|rank|num", re.IGNORECASE)
FOUR = ["one", "two", "three", "four"]
LISTS: tuple[Any, ...] = (
    FOUR,
    {"text": FOUR, "label": ["A", "B", "C", "D"], "choices": FOUR, "labels": [1, 0, 0, 0], "answer_start": [0, 1, 2, 3]}
    | dict(zip("ABCD", FOUR)),
    str(FOUR),
    [{"text": one, "label": letter, "content": one} for one, letter in zip(FOUR, "ABCD")],
    [0, 1, 2, 3],
)
MOST_WORDS, MOST_COLUMNS = 6, 14
LABELS: tuple[Any, ...] = (0, "A", "1", "one")


def columns_of(config: LmEvalTask, folder: Path) -> list[str]:
    """The names that templates take, and the texts by which code looks things up."""
    found: dict[str, None] = {}
    for text in _texts(config):
        if NAME.fullmatch(text):
            found[text] = None
        try:
            found |= dict.fromkeys(sorted(meta.find_undeclared_variables(Environment().parse(text))))
        except TemplateError:
            continue
    for path in {file_of(one.function, folder / one.folder) for one in config.functions()}:
        for node in ast.walk(ast.parse(path.read_bytes())) if path else ():
            key = node.slice if isinstance(node, ast.Subscript) else None
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
                key = node.args[0]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = None
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, LmEvalTask):
        for key in ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix"):
            yield from _texts(getattr(value, key))
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def words_of(config: LmEvalTask, folder: Path, code: TaskCode) -> list[str]:
    """Texts by which the function that prepares the rows may choose some: what it was given beforehand, and what it names."""
    wanted = config.process_docs
    if not isinstance(wanted, Function):
        return []
    function = getattr(code.function(wanted), "__wrapped__", None)
    given = [value for value in getattr(function, "keywords", {}).values() if isinstance(value, str)]
    path, own = file_of(wanted.function, folder / wanted.folder), wanted.function.rpartition(".")[2]
    found: dict[str, None] = dict.fromkeys(given)
    for node in ast.walk(ast.parse(path.read_bytes())) if path else ():
        if isinstance(node, ast.JoinedStr):  # f"mmlu_{lang}.{subject}"
            for word in given:
                parts = (str(part.value) if isinstance(part, ast.Constant) else word for part in node.values)
                found["".join(parts)] = None
    for node in ast.parse(path.read_bytes()).body if path else ():
        names = {getattr(node, "name", ""), *(getattr(target, "id", "") for target in getattr(node, "targets", ()))}
        for inner in ast.walk(node) if own in names else ():
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                found[inner.value] = None
    return list(found)[:MOST_WORDS]


def made_up_rows(columns: list[str], words: list[str]) -> Iterator[dict[str, Any]]:
    """Rows to try, the likeliest first."""
    for word, right, several in itertools.product([*words, None], [*LABELS, *words[:3]], LISTS):
        row: dict[str, Any] = {}
        many = {**dict.fromkeys(columns, "a text"), **several} if isinstance(several, dict) else several
        for name in columns:
            plain = f"Some {name}." if word is None else word
            row[name] = many if MANY.search(name) else right if RIGHT.search(name) else plain
        yield row


def row_that_works(spec: TaskSpec, folder: Path, *, place: DataPlace) -> Mapping[str, Any] | None:
    """The first of the rows of which the task makes requests."""
    assert spec.lm_eval is not None
    config = spec.lm_eval.model_copy(update={"custom_dataset": None})
    plain = spec.model_copy(update={"lm_eval": config})
    machine = Machine(place=place, task_folders={spec.task: folder})
    route = lm_eval.prompt_route(task=plain, prompt_args=PromptArgs(), pool=[], machine=machine, max_positions=None)
    columns, words = columns_of(config, folder), words_of(config, folder, route.code)
    for _ in range(MOST_COLUMNS):  # columns whose names are put together show when they are missing
        missing: set[str] = set()
        for row in made_up_rows(columns, words):
            if _makes_requests(plain, row, route, folder, place, missing=missing):
                return row
        if not missing - {*columns}:
            return None
        columns = [*columns, *sorted(missing - {*columns})]
    return None


def _makes_requests(
    spec: TaskSpec, row: Mapping[str, Any], route: Any, folder: Path, place: DataPlace, *, missing: set[str]
) -> bool:
    rows = Rows(rows=[row], fingerprint="made up", origin="made up")
    errors = RowErrors()
    try:
        how = {"lang": spec.languages[0], "split": "test", "place": place, "task_folder": folder, "errors": errors}
        examples = [one for one in lm_eval.documents(rows, task=spec, **how) if one is not None]
        return bool(examples) and bool(route.requests(examples[0], task=spec.task)) and not errors.errors()
    except (UserError, LookupError, TypeError, ValueError, AttributeError) as error:
        missing |= set(re.findall(r"KeyError: '(\w+)'", f"{type(error).__name__}: {error}"))
        return False  # another row may do
