"""The filters and metrics of a task of lm-evaluation-harness, as far as this project computes them.

    filters_of(file), metrics_of(file)        # of specs.lm_eval: Filter, LmEvalMetric

A metric that lm-eval has and this project has not is left out with a remark as long as another one remains; one that neither has,
which lm-eval finds out after the run, is an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.errors import did_you_mean
from harness.planning.catalog.lm_eval_files.known_aggregations import known_aggregation
from harness.planning.catalog.lm_eval_files.known_keys import (
    AGGREGATIONS,
    AGGREGATIONS_ELSEWHERE,
    DEFAULT_METRICS,
    ELSEWHERE,
    FILTERS,
    FILTERS_ELSEWHERE,
    LOWER_IS_BETTER,
    METRIC_KEYS,
    METRIC_RULES,
    OF_TEXTS,
)
from harness.planning.catalog.lm_eval_files.task_file import TaskFile, value_of
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.lm_eval import Filter, LmEvalMetric, Step
from harness.specs.yaml_nodes import KeyPath
from harness.task_types.lm_eval_harness.code_facts import registered_filter

FIRST_ANSWER = (Filter(),)
"What files without a filter have."


def filters_of(file: TaskFile) -> tuple[Filter, ...]:
    """The filters of the file, or the one that takes the first answer."""
    found: list[Filter] = []
    given = file.get("filter_list", [])
    for number, entry in enumerate(given if isinstance(given, list) else [given]):
        path: KeyPath = ("filter_list", number)
        if not isinstance(entry, Mapping) or "name" not in entry or not isinstance(entry.get("filter"), list):
            file.wrong("a filter has a name and a list of steps", path, expected="{name: ..., filter: [{function: ...}]}")
            continue
        steps = [_step(file, step, (*path, "filter", at)) for at, step in enumerate(entry["filter"])]
        found.append(Filter(name=str(entry["name"]), steps=tuple(step for step in steps if step)))
    return tuple(found) or FIRST_ANSWER


def _step(file: TaskFile, step: Any, path: KeyPath) -> Step | None:
    own = step.get("function") if isinstance(step, Mapping) else None
    if isinstance(own, FunctionName):  # a class whose `apply` takes and gives what a filter does
        options = {key: value for key, value in step.items() if key != "function"}
        return Step(function="custom", options=value_of(file, {**options, "filter_class": own}, (*path, "function")))
    function = str(own)
    registered = None if function in FILTERS else registered_filter(function, file.folder)
    if registered:  # a class that the code beside the file puts into lm-eval's registry
        made = value_of(file, FunctionName(registered, file.folder), (*path, "function"))
        options = {key: value for key, value in step.items() if key != "function"}
        return Step(function="custom", options={**value_of(file, options, path), "filter_class": made})
    if function not in FILTERS:
        known = (
            "lm-eval has it, but it is not supported here" if function in FILTERS_ELSEWHERE else did_you_mean(function, FILTERS)
        )
        file.wrong(f"unknown filter '{function}'", (*path, "function"), todo=known)
        return None
    options = {key: value for key, value in step.items() if key != "function"}
    for key in options:
        if key not in FILTERS[function]:
            file.wrong(f"filter '{function}' has no '{key}'", (*path, key), todo=did_you_mean(str(key), FILTERS[function]))
    return Step(function=function, options=value_of(file, options, path))


def metrics_of(file: TaskFile) -> tuple[LmEvalMetric, ...]:
    """The metrics of the file, or those of its output type."""
    kind = file.get("output_type", "generate_until")
    given = file.get("metric_list")
    if given is None:
        entries: Sequence[Any] = [{"metric": name} for name in DEFAULT_METRICS.get(kind, ())]
    else:
        entries = given if isinstance(given, list) else [given]
    found = [_metric(file, entry, ("metric_list", n) if given is not None else (), kind) for n, entry in enumerate(entries)]
    made = tuple(one for one in found if one)
    if not made and not file.errors:
        expected = ", ".join(name for name, rule in METRIC_RULES.items() if kind in rule.output_types)
        file.wrong("none of its metrics can be computed here", ("metric_list",), expected=expected)
    return made


def _metric(file: TaskFile, entry: Any, path: KeyPath, kind: str) -> LmEvalMetric | None:
    """One entry of metric_list; None, with a mistake or a remark, for one that cannot be computed."""
    name = entry.get("metric") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        file.wrong("'metric' is missing", (*path, "metric"))
        return None
    function = value_of(file, name, (*path, "metric")) if isinstance(name, FunctionName) else None
    if isinstance(name, FunctionName):
        name = name.reference.rpartition(".")[2]
    own = file.get("process_results") is not None or function is not None
    rule = METRIC_RULES.get(name)
    # Of written answers lm-eval's other metrics are the pair of the right one and the answer, for a function to look at.
    is_pair = kind == "generate_until" and rule is not None and name != "exact_match"
    if not own and (rule is None or (kind not in rule.output_types and not is_pair)):
        if name in ELSEWHERE or rule:
            file.lose(name, (*path, "metric"), reason=f"output_type {kind}")
        else:
            names = [known for known, other in METRIC_RULES.items() if kind in other.output_types]
            file.wrong(f"unknown metric '{name}'", (*path, "metric"), todo=did_you_mean(name, names))
        return None
    aggregation = _aggregation(file, entry, path, name=name, default="mean" if function or not rule else rule.aggregation)
    if aggregation is None:
        return None
    if not own and is_pair and aggregation.function is None and aggregation.name not in OF_TEXTS:
        file.lose(name, (*path, "metric"), reason=f"lm-eval's {aggregation.name} takes no texts")
        return None
    if not entry.get("higher_is_better", name not in LOWER_IS_BETTER):
        file.lower_is_better.add(name)
    if function is not None:  # whatever else stands there is handed to it
        options = value_of(file, {key: value for key, value in entry.items() if key not in METRIC_KEYS}, path)
    else:
        options = _options(file, entry, path, () if own or not rule else rule.options)
    return LmEvalMetric(
        metric=name, aggregation=aggregation.name, options=options, function=function, aggregate=aggregation.function
    )


class _Aggregation(NamedTuple):
    """How the values of all examples become one number."""

    name: str
    function: Any = None


def _aggregation(file: TaskFile, entry: Mapping[str, Any], path: KeyPath, *, name: str, default: str) -> _Aggregation | None:
    """What an entry of metric_list says of it; None, with a mistake or a remark, where that cannot be computed."""
    given = entry.get("aggregation", default)
    if not isinstance(given, str):
        file.wrong("'aggregation' is a name", (*path, "aggregation"), found=repr(given)[:80])
        return None
    if isinstance(given, FunctionName):
        known = known_aggregation(given.reference, given.folder)
        return _Aggregation(known) if known else _Aggregation("mean", value_of(file, given, (*path, "aggregation")))
    if given in AGGREGATIONS:
        return _Aggregation(given)
    if given in AGGREGATIONS_ELSEWHERE:
        file.lose(name, (*path, "aggregation"), reason=f"its aggregation is {given}")
    else:
        todo = did_you_mean(str(given), [*AGGREGATIONS, *AGGREGATIONS_ELSEWHERE])
        file.wrong(f"unknown aggregation '{given}'", (*path, "aggregation"), todo=todo)
    return None


def _options(file: TaskFile, entry: Mapping[str, Any], path: KeyPath, known: Sequence[str]) -> Any:
    """The options that a metric has here; one that it has not stops lm-eval where the metric takes options, else does nothing."""
    options = {key: value for key, value in entry.items() if key not in METRIC_KEYS}
    for key in options:
        if key not in known:
            near = did_you_mean(str(key), [*METRIC_KEYS, *known])
            if known and file.get("output_type", "generate_until") == "generate_until":
                file.wrong(f"metric '{entry['metric']}' has no option '{key}'", (*path, key), todo=near)
            else:
                file.note(f"metric '{entry['metric']}' has no option '{key}', which lm-eval runs over ({near})", (*path, key))
    if entry.get("hf_evaluate"):
        file.note(f"metric '{entry['metric']}' is lm-eval's, not that of the package evaluate", (*path, "hf_evaluate"))
    return value_of(file, {key: value for key, value in options.items() if key in known}, path)
