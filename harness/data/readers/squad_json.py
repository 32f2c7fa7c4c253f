"""SQuAD's JSON (also XQuAD, MLQA, TyDi QA GoldP): one row per question, in the column layout of the hub.

Contexts are never stripped: `answer_start` counts from the raw beginning.  No options.

    read({"rows": path}, lang="de", options={})    # {"id", "context", "question", "answers": {"text", "answer_start"}, ...}
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per question; raises UserError with file:line for broken JSON, with the key path for a missing key."""
    (path,) = role_files("squad_json", files, ROLES)
    parse_options("squad_json", Options, options)
    document = parse_json("\n".join(line for _, line in lines(path)), where=str(path))
    for a, article in enumerate(_list(document, "data", path, "")):
        at_article = f"data[{a}]"
        for p, paragraph in enumerate(_list(article, "paragraphs", path, at_article)):
            at = f"{at_article}.paragraphs[{p}]"
            context = _get(paragraph, "context", path, at)
            for q, question in enumerate(_list(paragraph, "qas", path, at)):
                yield _row(question, title=article.get("title", ""), context=context, path=path, at=f"{at}.qas[{q}]")


def _row(question: Any, *, title: str, context: str, path: Path, at: str) -> dict[str, Any]:
    has_answers = isinstance(question, dict) and "answers" in question
    answers = _list(question, "answers", path, at) if has_answers else []
    return {
        "id": _get(question, "id", path, at),
        "title": title,
        "context": context,
        "question": _get(question, "question", path, at),
        "answers": {
            "text": [_get(answer, "text", path, f"{at}.answers[{n}]") for n, answer in enumerate(answers)],
            "answer_start": [_get(answer, "answer_start", path, f"{at}.answers[{n}]") for n, answer in enumerate(answers)],
        },
        "is_impossible": bool(question.get("is_impossible", False)),
    }


def _list(value: Any, key: str, path: Path, at: str) -> list[Any]:
    found = _get(value, key, path, at)
    if not isinstance(found, list):
        raise UserError(f"'{key}' is no list", where=f"{path}:1 {at}".rstrip(), found=repr(found)[:60])
    return found


def _get(value: Any, key: str, path: Path, at: str) -> Any:
    if not isinstance(value, dict) or key not in value:
        raise UserError(f"no '{key}'", where=f"{path}:1 {at}".rstrip(), expected="SQuAD's JSON: data, paragraphs, context, qas")
    return value[key]
