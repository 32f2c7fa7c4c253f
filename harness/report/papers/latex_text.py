r"""Texts that somebody else wrote, as LaTeX: nothing in them acts, and they compile with pdfLaTeX, XeLaTeX and LuaLaTeX.

    latex_text("mnli+qqp_2 50% #1")          # 'mnli+qqp\_2 50\% \#1'
    latex_text("модель")                     # '\othertext{модель}{U+043C ...}', which PREAMBLE defines

Letters that pdfLaTeX has no font for stand in the argument of a macro, which prints them where the engine reads Unicode, and
their code points where it does not.
"""

import re

from harness.api.escaping import visible

PREAMBLE = r"\providecommand{\othertext}[2]{\ifdefined\Umathcode #1\else\texttt{#2}\fi}"
"What a table with such letters needs before it; each file begins with it."
_ACTING = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\char96{}",
    "'": "'{}",
    "-": "-{}",
    "[": "{[}",  # behind \\ it would begin an argument
    "]": "{]}",
    "*": "{*}",
}
_OTHER = re.compile("[^\x20-\x7e\u00a0-\u017f\u2013\u2014\u2018\u2019\u201c\u201d\u2026]+")
"What the fonts of pdfLaTeX do not hold."
_SPACES = re.compile(r"[\s\u2028\u2029]+")


def latex_text(text: str) -> str:
    """A text as it is to be read in a cell or a caption."""
    text = visible(_SPACES.sub(" ", text).strip())
    found, end = "", 0
    for match in _OTHER.finditer(text):
        codes = " ".join(f"U+{ord(letter):04X}" for letter in match[0])
        found += _escaped(text[end : match.start()]) + f"\\othertext{{{match[0]}}}{{{codes}}}"
        end = match.end()
    return found + _escaped(text[end:])


def _escaped(text: str) -> str:
    # Two hyphens or quotes would become one sign, so something stands between them; single ones are left alone.
    text = re.sub(r"[-'](?![-'])", lambda match: "\0" if match[0] == "-" else "\1", text)
    escaped = "".join(_ACTING.get(letter, letter) for letter in text)
    return escaped.replace("\0", "-").replace("\1", "'").replace("\u00a0", "~")
