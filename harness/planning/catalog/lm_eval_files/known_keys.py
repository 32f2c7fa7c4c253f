"""What may stand in a task file of lm-evaluation-harness 0.4.13, and which of it is understood here.

"doc_to_text" in TASK_KEYS; METRIC_RULES["acc"].aggregation
"""

from collections.abc import Mapping
from typing import NamedTuple

TASK_KEYS = (
    "task", "task_alias", "tag", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs", "training_split",
    "validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_image",
    "doc_to_audio", "unsafe_code", "doc_to_choice", "process_results", "use_prompt", "description", "target_delimiter",
    "fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats",
    "filter_list", "should_decontaminate", "doc_to_decontamination_query", "gen_prefix", "metadata",
)  # fmt: skip
STRUCTURE = ("include", "task_list", "group", "tag", "class")
"Keys that are settled before a task is made of the rest."
GROUP_KEYS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata")
FEWSHOT_KEYS = (
    "sampler", "split", "process_docs", "fewshot_indices", "samples", "doc_to_text", "doc_to_choice", "doc_to_target",
    "gen_prefix", "fewshot_delimiter", "target_delimiter",
)  # fmt: skip
REFUSED: Mapping[str, str] = {
    "custom_dataset": "rows that a function makes",
    "doc_to_image": "images",
    "doc_to_audio": "sound",
    "use_prompt": "prompts of promptsource",
    "unsafe_code": "tasks that run what the model writes",
    "class": "tasks that are Python classes",
}
"Keys that ask for what this project does not support, and what that is."
OWN_KEYS = ("type", "fields", "members", "recipe", "preset", "metrics", "languages", "data", "train_on", "labels", "options")
"Keys that only this project's own files have."
LM_EVAL_KEYS = tuple(key for key in (*TASK_KEYS, "class", "task_list", "group_alias", "aggregate_metric_list") if key not in (
    "task", "description", "num_fewshot"))  # fmt: skip
"Keys that only files of lm-eval have."
TOKEN_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"Names of the longest answer, the first that is given counts."


class MetricRule(NamedTuple):
    """A metric that lm-eval has: the output types it is for, how it is averaged, its options."""

    output_types: tuple[str, ...]
    aggregation: str
    options: tuple[str, ...] = ()


METRIC_RULES: Mapping[str, MetricRule] = {
    "acc": MetricRule(("multiple_choice", "loglikelihood"), "mean"),
    "acc_norm": MetricRule(("multiple_choice",), "mean"),
    "acc_bytes": MetricRule(("multiple_choice",), "mean"),
    "acc_mutual_info": MetricRule(("multiple_choice",), "mean"),
    "exact_match": MetricRule(
        ("multiple_choice", "generate_until"), "mean",
        ("regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"),
    ),
    "f1": MetricRule(("multiple_choice",), "f1"),
    "mcc": MetricRule(("multiple_choice",), "matthews_corrcoef"),
    "bleu": MetricRule(("generate_until",), "bleu"),
    "chrf": MetricRule(("generate_until",), "chrf"),
}  # fmt: skip
"Metrics that are computed here where the task has no function of its own for it."
ELSEWHERE = (
    "perplexity", "ter", "chrf++", "brier_score", "likelihood", "word_perplexity", "byte_perplexity",
    "bits_per_byte", "bypass", "acc_all",
)  # fmt: skip
"Metrics of lm-eval that are not computed here."
DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {
    "multiple_choice": ("acc", "acc_norm"),
    "generate_until": ("exact_match",),
    "loglikelihood": ("perplexity", "acc"),
}
AGGREGATIONS: Mapping[str, str] = {
    "mean": "lm_eval_mean",
    "nanmean": "lm_eval_mean",
    "f1": "lm_eval_f1",
    "bleu": "lm_eval_bleu",
    "chrf": "lm_eval_chrf",
    "matthews_corrcoef": "lm_eval_mcc",
}
"Aggregation of lm-eval -> metric of this project."
AGGREGATIONS_ELSEWHERE = (
    "perplexity", "median", "weighted_perplexity", "bits_per_byte", "ter", "chrf++",
    "brier_score", "bypass",
)  # fmt: skip
METRIC_KEYS = ("metric", "aggregation", "higher_is_better", "hf_evaluate")
"Keys of an entry of metric_list; all others are options of the metric."
FILTERS: Mapping[str, tuple[str, ...]] = {
    "take_first": (),
    "take_first_k": ("k",),
    "majority_vote": (),
    "regex": ("regex_pattern", "group_select", "fallback"),
    "multi_choice_regex": (
        "regex_pattern", "group_select", "fallback", "ignore_case", "ignore_punctuation", "regexes_to_ignore"
    ),
    "remove_whitespace": (),
    "lowercase": (),
    "uppercase": (),
    "map": ("mapping_dict", "default_value"),
    "custom": ("filter_fn",),
}  # fmt: skip
"Filter -> its options."
FILTERS_ELSEWHERE = ("regex_pos", "format_span", "decontaminate")
