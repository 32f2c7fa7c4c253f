r"""Text as a terminal may get it: what moves the cursor, colours, hides or turns around is shown and not obeyed.

printable("\x1b[31mred")        # '\\x1b[31mred'
"""

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
r"Control characters but \t and \n, those that set the direction of writing, and halves of characters, which UTF-8 has not."


def printable(text: str) -> str:
    """The text with such characters written as Python writes them."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], text)
