"""Which numbers a task of lm-evaluation-harness has here, which of them is its score, and what a reader must know of them.

metric_names(config)             # ['lm_eval_mean:acc', 'lm_eval_mean:acc_norm']: metrics of this project
score_of(file, config)           # () = the first; else the first whose largest value is the best
chance_of(config)                # the score of guessing
"""

from harness.api.registry import METRICS
from harness.planning.catalog.lm_eval_files.known_aggregations import FUNCTIONS
from harness.planning.catalog.lm_eval_files.known_keys import AGGREGATIONS
from harness.planning.catalog.lm_eval_files.task_file import TaskFile
from harness.specs.lm_eval import LmEvalTask
from harness.task_types.lm_eval_harness.process_results import value_name
from harness.task_types.lm_eval_harness.templates import num_listed

MAX_LOST = 5
"Metrics without a number that are named at most."


def lost_metrics(file: TaskFile) -> list[str]:
    """The metrics of the file that have no number here, but for the first, which a board says with what stands in its place."""
    names = list(dict.fromkeys(lost.name for lost in file.lost_metrics if not lost.is_first))
    more = f" and {len(names) - MAX_LOST} more" if len(names) > MAX_LOST else ""
    return [f"not computed here, of the metrics of its file: {', '.join(names[:MAX_LOST])}{more}"] if names else []


def ways_of_counting(file: TaskFile, config: LmEvalTask) -> list[str]:
    """What a reader must know of numbers that are no mean over examples, or whose smallest is the best."""
    whole = [scored.metric for scored in config.metrics if scored.aggregate is not None]
    lower = [scored.metric for scored in config.metrics if scored.metric in file.lower_is_better]
    said = [f"{', '.join(whole)}: the task's own function of all examples at once; intervals by a jackknife"] if whole else []
    return [*said, f"lower is better: {', '.join(lower)}"] if lower else said


def metric_names(config: LmEvalTask) -> list[str]:
    """The metrics of this project that make the task's numbers: each of its metrics under each of its filters."""
    names = [
        f"{ {**AGGREGATIONS, **FUNCTIONS}[scored.aggregation] }:{value_name(scored.metric, filter_.name)}"
        for scored in config.metrics
        for filter_ in config.filters
    ]
    return list(dict.fromkeys(names))


def score_of(file: TaskFile, config: LmEvalTask) -> tuple[str, ...]:
    """The task's number where the smallest value of its first metric is the best: the first of the others, if it has one."""
    first = config.metrics[0].metric if config.metrics else ""
    if first not in file.lower_is_better:
        return ()
    names = metric_names(config)
    better = [scored.metric for scored in config.metrics if scored.metric not in file.lower_is_better]
    if not better:
        return ()
    chosen = next(name for name in names if name.partition(":")[2].partition(",")[0] == better[0].replace(".", "_"))
    return (f"{chosen}.{METRICS.load(chosen).KEYS[0]}",)


def chance_of(config: LmEvalTask) -> float:
    """The score of guessing, where the number of choices stands in the file."""
    choices = config.doc_to_choice
    if config.metrics and config.metrics[0].metric == "mcc":
        return 0.0  # a correlation
    if config.output_type != "multiple_choice" or config.process_results is not None:
        return 0.0
    number = len(choices) if isinstance(choices, list | dict) else num_listed(choices) if isinstance(choices, str) else None
    return 100 / number if number else 0.0
