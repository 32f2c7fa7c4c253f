"""The files of a submission and of a label folder, read and written as XTREME's evaluate script reads them.

read_lines(path)           # ['entailment', ...]            the text of each line, stripped
read_answers(path)         # {'56beb4...': '308'}
read_questions(path)       # [GoldQuestion('56beb4...', ['308'])]
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.api.json_text import parse_json


class GoldQuestion(NamedTuple):
    """A question of a label file."""

    id: str
    answers: list[str]
    "Accepted texts."


def read_lines(path: Path) -> list[str]:
    """All lines without the white space around them, blank ones included: the script counts those too."""
    return [line.strip() for line in lines_of(read_text(path))]


def read_answers(path: Path) -> dict[str, str]:
    """Question id -> answer; raises UserError for anything but texts."""
    content = _json(path)
    if not isinstance(content, dict):
        raise UserError("no answers", where=str(path), expected="JSON {question id: text}", found=type(content).__name__)
    wrong = [key for key, value in content.items() if not isinstance(value, str)]
    if wrong:
        found = f"'{wrong[0]}': {content[wrong[0]]!r:.60}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        raise UserError("an answer is no text", where=str(path), expected="JSON {question id: text}", found=found)
    return content


def read_questions(path: Path) -> list[GoldQuestion]:
    """The questions of a SQuAD file in their order; raises UserError for another shape and for questions without an answer."""
    content = _json(path)
    try:
        articles = content["data"] if isinstance(content, dict) else content
        questions = [
            GoldQuestion(str(asked["id"]), [str(answer["text"]) for answer in asked["answers"]])
            for article in articles
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        expected = 'SQuAD JSON {"data": [{"paragraphs": [{"qas": [{"id": ..., "answers": [{"text": ...}]}]}]}]}'
        found = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError("no label file for questions", where=str(path), expected=expected, found=found) from error
    bare = [question.id for question in questions if not question.answers]
    if bare:
        raise UserError(f"{len(bare)} questions have no answer", where=str(path), found=f"'{bare[0]}', for example")
    return questions


def lines_text(lines: Sequence[str]) -> str:
    """A file of one text a line."""
    return "".join(f"{line}\n" for line in lines)


def sentences_text(sentences: Sequence[Sequence[str]]) -> str:
    """A file of tags.  A blank line ends every sentence, the last too, so that one without words can be read back."""
    return "".join("".join(f"{tag}\n" for tag in sentence) + "\n" for sentence in sentences)


def json_text(content: Any) -> str:
    """A JSON file."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def squad_content(paragraphs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """A SQuAD file of (context, questions)."""
    return {"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": c, "qas": list(q)} for c, q in paragraphs]}]}


def read_text(path: Path) -> str:
    """A file, the ends of its lines as Python has them; raises UserError for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", where=str(path), found=str(error), todo="save the file as UTF-8") from error
    except OSError as error:
        raise UserError("cannot be read", where=str(path), found=error.strerror or str(error)) from error


def lines_of(text: str) -> list[str]:
    """The lines of a text that `read_text` gave; str.splitlines would also cut at U+2028 and its like."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _json(path: Path) -> Any:
    return parse_json(read_text(path), where=str(path))
