r"""Names, notes and other texts that somebody else wrote, as they are printed: nothing in them acts on a page or on a terminal.

    markdown_text("a|b <script> [x](y)")           # 'a\|b &lt;script> [x\](y)'
    markdown_texts(board)                          # every text of a document, keys included
    visible("red: \x1b[31m")                       # 'red: \x1b[31m'

Ordinary texts come out as they are: underscores within words, single `<`, and pairs of backticks are left alone.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"What moves the cursor, colours, rings, turns the direction of writing, or cannot be written as UTF-8; no line breaks."
_SPACES = re.compile(r"[ \t\r\n\v\f\u2028\u2029]+")
_ACTING = re.compile(r"[\\`*_~<&\[\]|#>+-]")
_PAIRED = re.compile(r"[^`]*(?:`[^`]+`[^`]*)*")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\(?=[!-/:-@\[-`{-~])"), r"\\\\"),
    (re.compile(r"([*|])"), r"\\\1"),
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), r"\\_"),
    (re.compile(r"~(?=~)|(?<=~)~"), r"\\~"),
    (re.compile(r"\](?=[(\[:])"), r"\\]"),
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"^(#|>|[+-](?= ))"), r"\\\1"),
)


def visible(text: str, *, tabs: bool = False) -> str:
    """A text for a terminal: characters that act on it are spelled out, line breaks stay."""

    def spelled(match: re.Match[str]) -> str:
        code = ord(match[0])
        return match[0] if tabs and code == 9 else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"

    return _CONTROL.sub(spelled, text)


@lru_cache(maxsize=1 << 16)
def markdown_text(text: str) -> str:
    """A text in the middle of a line of Markdown or a cell of a table: it stays one line, and shows what it is."""
    text = visible(_SPACES.sub(" ", text))
    if not _ACTING.search(text):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text if _PAIRED.fullmatch(text) else text.replace("`", "\\`")


def markdown_texts(document: Any) -> Any:
    """A document of which every text, the keys of mappings included, may be put into Markdown."""
    if isinstance(document, str):
        return markdown_text(document)
    if isinstance(document, Mapping):
        return {markdown_texts(key): markdown_texts(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [markdown_texts(value) for value in document]
    return document
