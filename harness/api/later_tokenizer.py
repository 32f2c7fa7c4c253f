"""A tokenizer that is read when more is asked of it than what was written down when it was read before.

    tokenizer = LaterTokenizer(known, read=lambda: ..., note=lambda known: ...)
    len(tokenizer)                         # known
    tokenizer("a text")                    # read, once, in whichever thread asks first
    at_hand(tokenizer)                     # the tokenizer itself, for what asks for its class

A tokenizer of 250,000 words takes seconds to read.  Where the tokens of all rows are in the user's cache, a model can begin
before that.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any


class LaterTokenizer:
    """Behaves as the tokenizer that `read` gives."""

    def __init__(
        self, known: Mapping[str, Any], *, read: Callable[[], Any], note: Callable[[Mapping[str, Any]], None], there: Any = None
    ) -> None:
        """`known`: attributes of it, and `length`; `note` keeps what becomes known later; `there`: itself, if it was read."""
        self._later_known = dict(known)
        self._later_read, self._later_note, self._later_there = read, note, there
        self._later_lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """An attribute, known or of the tokenizer itself."""
        if name.startswith("_later_"):
            raise AttributeError(name)
        if self._later_there is None and name in self._later_known:
            return self._later_known[name]
        return getattr(at_hand(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What is set is set at the tokenizer itself."""
        if name.startswith("_later_"):
            object.__setattr__(self, name, value)
        else:
            setattr(at_hand(self), name, value)

    def __len__(self) -> int:
        """Its tokens, added ones included."""
        return int(self._later_known["length"]) if self._later_there is None else len(self._later_there)

    def __call__(self, *texts: Any, **how: Any) -> Any:
        """Encodes, as the tokenizer does."""
        return at_hand(self)(*texts, **how)


def at_hand(tokenizer: Any) -> Any:
    """The tokenizer itself, read now if it was not."""
    if not isinstance(tokenizer, LaterTokenizer):
        return tokenizer
    with tokenizer._later_lock:
        if tokenizer._later_there is None:
            tokenizer._later_there = tokenizer._later_read()
    return tokenizer._later_there


def known_of(tokenizer: Any, name: str, work_out: Callable[[Any], Any]) -> Any:
    """Something that is worked out of a tokenizer, and kept with what is known of it as long as it has as many tokens."""
    if not isinstance(tokenizer, LaterTokenizer):
        return work_out(tokenizer)
    known = tokenizer._later_known
    if name not in known or len(tokenizer) != known["length"]:
        found = work_out(at_hand(tokenizer))
        if len(tokenizer) != known["length"]:  # tokens were added: not what the files say
            return found
        known[name] = found
        tokenizer._later_note(known)
    return known[name]
