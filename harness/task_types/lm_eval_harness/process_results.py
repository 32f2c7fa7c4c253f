"""From the model's answers to a row to the values that lm-evaluation-harness averages.

    answers = [[(-3.2, False)], [(-2.9, True)]]                       # of each request, once for each repetition
    values = score_rows(renderer, rows, answers_of_rows, inputs=0, targets=0)     # [{'acc': 1.0, ...}, ...]

A task whose rows have several answers, or choices that are the questions, is one whose first row has them, as in lm-eval.  What
is scored by `!function` is scored by that function alone.
"""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.data.templates.regular_expressions import substitute
from harness.specs.lm_eval import Function, LmEvalMetric
from harness.task_types.lm_eval_harness.corpus_functions import put_shares
from harness.task_types.lm_eval_harness.filters import apply_filter
from harness.task_types.lm_eval_harness.templates import Row, RowRenderer

NONE = -100
"Stands for a gold answer that is none of the choices."


def value_name(metric: str, filter_name: str) -> str:
    """What a number is called: the metric, with the filter where it has a name; dots part metrics from keys elsewhere."""
    return (metric if filter_name == "none" else f"{metric},{filter_name}").replace(".", "_")


def score_rows(
    renderer: RowRenderer, rows: Sequence[Row], answers: Sequence[Sequence[Any]], *, inputs: int, targets: int
) -> list[dict[str, Any]]:
    """The values of each row under every filter; `answers` are those of each row's requests, each a list of repetitions."""
    config = renderer.config
    flat = [own for several in answers for own in several]
    owners = [row for row, several in zip(rows, answers, strict=True) for _ in several]
    found: list[dict[str, Any]] = [{} for _ in rows]
    for filter_ in config.filters:
        filtered = iter(apply_filter(filter_, flat, owners, code=renderer.code))
        scored = []
        for row, several in zip(rows, answers, strict=True):
            results = [next(filtered) for _ in several]
            scored.append(dict(score(renderer, row, results, inputs=inputs, targets=targets)))
        for metric in config.metrics:
            if isinstance(metric.aggregate, Function):
                put_shares(scored, metric.metric, renderer.code.function(metric.aggregate))
        for values, own in zip(found, scored, strict=True):
            values |= {value_name(metric, filter_.name): plain(value) for metric, value in own.items()}
    return found


def score(renderer: RowRenderer, row: Row, results: Sequence[Any], *, inputs: int, targets: int) -> Mapping[str, Any]:
    """The values of one row; raises UserError where the task's own function gives no mapping of them."""
    config = renderer.config
    if isinstance(config.process_results, Function):
        values = renderer.code.function(config.process_results)(row, list(results))
        if not isinstance(values, Mapping):
            raise UserError("process_results gives no mapping", found=f"{type(values).__name__} {values!r:.80}")
        return values
    if config.output_type == "loglikelihood":
        value, greedy = results[0]
        return {"perplexity": value, "acc": int(greedy)}
    if config.output_type == "loglikelihood_rolling":
        return _rolling(renderer.target(row), results[0])
    if config.output_type == "multiple_choice":
        return _choice(renderer, row, results, inputs=inputs, several=bool(targets))
    return _generated(renderer, row, results[0], several=bool(targets))


def _choice(renderer: RowRenderer, row: Row, results: Sequence[Any], *, inputs: int, several: bool) -> dict[str, Any]:
    """The values of the likeliest choice: as it is, by its characters and by its bytes."""
    choices = renderer.choices(row)
    likelihoods = np.array([one for one, _ in results], dtype=np.float64)
    greedy = [bool(one) for _, one in results]
    alone = likelihoods[len(choices) :]
    likelihoods = likelihoods[: len(choices)]
    characters = np.array([float(len(choice)) for choice in choices])
    size = np.array([float(len(choice.encode())) for choice in choices])
    with np.errstate(divide="ignore", invalid="ignore"):  # an empty choice; lm-eval divides by its length as well
        best = {
            "acc": int(np.argmax(likelihoods)),
            "acc_norm": int(np.argmax(likelihoods / characters)),
            "acc_bytes": int(np.argmax(likelihoods / size)),
        }
    gold = _gold(renderer.text(row) if inputs else renderer.target(row), choices)
    if several and not isinstance(gold, list):
        gold = [gold]
    values: dict[str, Any] = {name: float(choice in gold if several else choice == gold) for name, choice in best.items()}
    if several:
        values["exact_match"] = int(any(greedy[n] for n in gold if n != NONE))
    else:
        values["exact_match"] = int(isinstance(gold, int) and gold != NONE and greedy[gold])
    values["f1"] = [gold, best["acc"]]
    wanted = {scored.metric for scored in renderer.config.metrics}
    if "mcc" in wanted:
        values["mcc"] = [gold, best["acc"]]
    if "brier_score" in wanted:
        values["brier_score"] = _brier(likelihoods, gold)
    if len(alone):
        values["acc_mutual_info"] = float(int(np.argmax(likelihoods - alone)) == gold)
    return values


def _brier(likelihoods: np.ndarray, gold: Any) -> float:
    """Brier's score: the squared distance of the choices' probabilities from the right one's."""
    if not isinstance(gold, int) or not 0 <= gold < len(likelihoods):
        raise UserError("brier_score takes one right choice", found=repr(gold)[:60])
    weights = np.exp(likelihoods - likelihoods.max())
    right = np.zeros(len(likelihoods))
    right[gold] = 1.0
    return float(np.sum((weights / weights.sum() - right) ** 2))


def _rolling(text: str, likelihood: Any) -> dict[str, Any]:
    """The log-likelihood of a text beside its words and its bytes."""
    size = len(text.encode())
    return {
        "word_perplexity": [likelihood, len(re.split(r"\s+", text))],
        "byte_perplexity": [likelihood, size],
        "bits_per_byte": [likelihood, size],
    }


def _gold(gold: Any, choices: Sequence[str]) -> Any:
    """The number of the right choice, or the numbers of several."""
    if isinstance(gold, list | tuple):
        return [number if number < len(choices) else NONE for number in gold]
    if isinstance(gold, str):
        return choices.index(gold) if gold in choices else NONE
    if isinstance(gold, bool | int | float):
        return int(gold) if gold < len(choices) else NONE
    raise UserError("the right choice is neither a number nor a text", found=f"{type(gold).__name__} {gold!r:.60}")


def _generated(renderer: RowRenderer, row: Row, result: Any, *, several: bool) -> dict[str, Any]:
    """The values of a generated text."""
    config, gold = renderer.config, renderer.target(row)
    if config.doc_to_choice is not None:
        gold = renderer.choices(row)[gold]
    elif several:
        gold = list(gold) if isinstance(gold, list | tuple) else [gold]
    elif type(gold) is not type(result) and not isinstance(result, list | None):
        gold = type(result)(gold)
    values: dict[str, Any] = {}
    for scored in config.metrics:
        if scored.metric == "exact_match":
            golds = gold if several else [gold]
            given = result if isinstance(result, list) else [result]
            hits = [float(np.mean([_equal(text, one, **scored.options) for text in given])) for one in golds]
            values["exact_match"] = float(any(hits)) if several else hits[0]
        elif isinstance(scored.function, Function):
            values |= _by_function(renderer, scored, gold, result, several=several)
        else:  # corpus metrics take the pair
            values[scored.metric] = [gold, result]
    return values


def _by_function(renderer: RowRenderer, scored: LmEvalMetric, gold: Any, result: Any, *, several: bool) -> dict[str, Any]:
    """What the task's own metric gives for an example; of several right answers, whether any scores at all."""
    assert isinstance(scored.function, Function)
    function = renderer.code.function(scored.function)

    def one(wanted: Any) -> Any:
        """As lm-eval calls it: by name, and with the pair where it takes no names."""
        try:
            return function(references=[wanted], predictions=[result], **scored.options)
        except UserError as error:
            if not isinstance(error.__cause__, TypeError):
                raise
            return function([wanted, result])

    if several:
        hits = [one(wanted) for wanted in gold]
        hits = [hit.get(scored.metric) if isinstance(hit, Mapping) else hit for hit in hits]
        return {scored.metric: float(any(hits))}
    value = one(gold)
    if isinstance(value, Mapping):  # of several numbers the one of the metric's name, or the first
        return {**value, scored.metric: value.get(scored.metric, next(iter(value.values()), None))}
    return {scored.metric: value}


def _equal(
    given: Any,
    wanted: Any,
    *,
    regexes_to_ignore: Sequence[str] | None = None,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
) -> bool:
    """Whether two answers are equal but for what is to be ignored."""
    if not (isinstance(given, str) and isinstance(wanted, str)):
        return bool(given == wanted)
    dropped = (string.punctuation if ignore_punctuation else "") + (string.digits if ignore_numbers else "")
    texts = []
    for text in (given, wanted):
        for pattern in regexes_to_ignore or ():
            text = substitute(pattern, "", text)
        text = text.lower() if ignore_case else text
        texts.append(text.translate(str.maketrans("", "", dropped)))
    return texts[0] == texts[1]


def plain(value: Any) -> Any:
    """A value as JSON has it: numpy's numbers and arrays as Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
