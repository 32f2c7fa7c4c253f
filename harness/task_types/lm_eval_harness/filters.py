r"""The filters of lm-evaluation-harness: how the answers of a model are prepared before they are scored.

    filtered = apply_filter(config.filters[0], answers, rows, code=code)      # one entry a request

`answers` holds for each request the list of what the model answered, once for each repetition; what a filter gives may be one
answer in place of the list.  Most filters look at each answer alone, `custom` ones get everything at once.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from harness.api.errors import UserError
from harness.data.templates.regular_expressions import substitute
from harness.specs.lm_eval import Filter, Function, Step
from harness.task_types.lm_eval_harness.matches import INVALID, NUMBER, chosen_match, named_spans, pos_tags
from harness.task_types.lm_eval_harness.task_code import TaskCode

Rows = Sequence[Mapping[str, Any]]


def apply_filter(filter_: Filter, answers: Sequence[Any], rows: Rows, *, code: TaskCode) -> list[Any]:
    """The answers after every step; raises UserError where a step cannot work with them."""
    found: Iterable[Any] = list(answers)
    for step in filter_.steps:
        try:
            found = list(_step(step, code)(list(found), rows))
        except UserError:
            raise
        except (TypeError, AttributeError, IndexError, KeyError, ValueError, re.error) as error:
            text = f"{type(error).__name__}: {error}"
            raise UserError(f"filter '{filter_.name}' fails at {step.function}", found=text[:300]) from error
    return list(found)


def _step(step: Step, code: TaskCode) -> Callable[[list[Any], Rows], Iterable[Any]]:
    """The function of a step, with its options."""
    options = {key: code.function(value) if isinstance(value, Function) else value for key, value in step.options.items()}
    if "filter_class" in options:
        made = code.made(options.pop("filter_class"), **options)
        return lambda answers, rows: code.within(made.apply, answers, rows)
    if step.function == "custom":
        function: Callable[[list[Any], Rows], Iterable[Any]] = options["filter_fn"]
        return function
    return _MAKERS[step.function](**options)


def _each(change: Callable[[Any], Any]) -> Callable[[list[Any], Rows], Iterable[Any]]:
    """A filter that changes each answer by itself."""

    def apply(answers: list[Any], _: Rows) -> list[Any]:
        found = []
        for number, own in enumerate(answers):
            try:
                found.append([change(answer) for answer in own])
            except UserError as error:
                raise error.at(f"the answer to request {number + 1}") from None
        return found

    return apply


def _take_first() -> Callable[[list[Any], Rows], Iterable[Any]]:
    return lambda answers, _: [own[0] for own in answers]


def _take_first_k(k: int) -> Callable[[list[Any], Rows], Iterable[Any]]:
    def take(answers: list[Any], _: Rows) -> list[Any]:
        if answers and len(answers[0]) < k:
            raise UserError(f"take_first_k wants {k} answers", found=str(len(answers[0])), todo="raise `repeats`")
        return [own[:k] for own in answers]

    return take


def _majority_vote() -> Callable[[list[Any], Rows], Iterable[Any]]:
    """The most frequent answer, the first among equals."""
    return lambda answers, _: [[Counter(own).most_common(1)[0][0]] for own in answers]


def _map(mapping_dict: Mapping[Any, Any] | None = None, default_value: Any = None) -> Callable[[list[Any], Rows], Iterable[Any]]:
    return _each(lambda answer: (mapping_dict or {}).get(answer, default_value))


def _regex(
    regex_pattern: str = NUMBER, group_select: int = 0, fallback: str = INVALID
) -> Callable[[list[Any], Rows], Iterable[Any]]:
    """The match of a pattern in each answer, the first of its groups that matched, or what stands for none."""
    pattern = re.compile(regex_pattern)

    def change(answer: Any) -> str:
        found = chosen_match(pattern, answer, group_select)
        return fallback if found is None else found

    return _each(change)


def _regex_pos(
    regex_pattern: str = "", group_select: int = 0, fallback: Sequence[str] | None = None
) -> Callable[[list[Any], Rows], Iterable[Any]]:
    """The tags of ('word', 'TAG') in each answer; as there the pattern is compiled and not used."""
    re.compile(regex_pattern)
    return _each(lambda answer: pos_tags(answer) or list(fallback if fallback is not None else ("invalid",)))


@cache
def _punctuation() -> dict[int, None]:
    return {code: None for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")}


def _multi_choice_regex(
    regex_pattern: str = NUMBER,
    group_select: int = 0,
    fallback: str = INVALID,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    regexes_to_ignore: Sequence[str] | None = None,
) -> Callable[[list[Any], Rows], Iterable[Any]]:
    """The letter of a choice, "(A)": by the pattern, else by the text of a choice, else by a letter behind a colon."""
    pattern = re.compile(regex_pattern)

    def bare(text: str) -> str:
        for ignored in regexes_to_ignore or ():
            text = substitute(ignored, "", text)
        text = text.lower() if ignore_case else text
        return text.translate(_punctuation()) if ignore_punctuation else text

    def change(answer: Any, choices: Sequence[str]) -> str:
        letters = [chr(ord("A") + number) for number in range(len(choices))]
        texts = {bare(choice.strip()): f"({letter})" for choice, letter in zip(choices, letters)}
        longest = sorted((re.escape(text) for text in map(bare, (choice.strip() for choice in choices))), key=len, reverse=True)
        ways: tuple[tuple[re.Pattern[str], Any, Mapping[str, str]], ...] = (
            (pattern, answer, {}),
            (re.compile("|".join(longest)), bare(answer) if isinstance(answer, str) else "", texts),
            (re.compile(rf":[\s]*({'|'.join(letters)})"), answer, {letter: f"({letter})" for letter in letters}),
        )
        for way, text, named in ways:
            found = chosen_match(way, text, group_select)
            if found and named.get(found, found):
                return named.get(found, found)
        return fallback

    def apply(answers: list[Any], rows: Rows) -> list[Any]:
        return [[change(answer, row["choices"]) for answer in own] for own, row in zip(answers, rows, strict=True)]

    return apply


_MAKERS: Mapping[str, Callable[..., Callable[[list[Any], Rows], Iterable[Any]]]] = {
    "take_first": _take_first,
    "take_first_k": _take_first_k,
    "majority_vote": _majority_vote,
    "regex": _regex,
    "multi_choice_regex": _multi_choice_regex,
    "remove_whitespace": lambda: _each(lambda answer: answer.strip()),
    "lowercase": lambda: _each(lambda answer: answer.lower()),
    "uppercase": lambda: _each(lambda answer: answer.upper()),
    "map": _map,
    "format_span": lambda: _each(named_spans),
    "regex_pos": _regex_pos,
}
