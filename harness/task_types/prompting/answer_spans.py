"""Finds an answer that a model wrote in the text it is about.

found_in("the Kremlin.", "... in The  Kremlin, ...")     # 'The  Kremlin': as the context spells it
"""

import unicodedata
from functools import lru_cache

_EDGES = "\"'`“”„‟‘’«»‹›「」『』()[]{}.,;:!?。、，；：！？،؛؟।"
"Marks around an answer that belong to the sentence in which it was given."


def found_in(answer: str, context: str) -> str | None:
    """The passage of the context that an answer names; None if there is none.

    As it is spelled first; then without regard to case, compatibility forms and the amount of white space; then without the marks
    at its edges.
    """
    answer = answer.strip()
    for wanted in (answer, answer.strip(_EDGES + " ")):
        if not wanted:
            continue
        if wanted in context:
            return wanted
        folded, places = _folded(context)
        text = _folded(wanted)[0]
        at = folded.find(text)
        if at >= 0 and text:
            return context[places[at] : places[at + len(text) - 1] + 1]
    return None


@lru_cache(maxsize=512)
def _folded(text: str) -> tuple[str, tuple[int, ...]]:
    """The text in one case and form, runs of white space as one space, and where each of its characters came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for folded in unicodedata.normalize("NFKC", letter).casefold():
            if not folded.isspace():
                letters.append(folded)
            elif letters and letters[-1] != " ":
                letters.append(" ")
            else:
                continue
            places.append(place)
    return "".join(letters), tuple(places)
