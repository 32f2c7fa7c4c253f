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
STRUCTURE = ("include", "task_list", "group", "tag", "class", "construct_requests")
"Keys that are settled before a task is made of the rest."
GROUP_KEYS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata")
FEWSHOT_KEYS = (
    "sampler", "split", "process_docs", "fewshot_indices", "samples", "doc_to_text", "doc_to_choice", "doc_to_target",
    "gen_prefix", "fewshot_delimiter", "target_delimiter",
)  # fmt: skip
REFUSED: Mapping[str, str] = {
    "doc_to_image": "images",
    "doc_to_audio": "sound",
    "use_prompt": "prompts of promptsource",
    "class": "a class whose file does not say what it asks",
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
    "f1": MetricRule(("multiple_choice", "generate_until"), "f1"),
    "mcc": MetricRule(("multiple_choice",), "matthews_corrcoef"),
    "brier_score": MetricRule(("multiple_choice",), "brier_score"),
    "bleu": MetricRule(("generate_until",), "bleu"),
    "chrf": MetricRule(("generate_until",), "chrf"),
    "chrf++": MetricRule(("generate_until",), "chrf++"),
    "ter": MetricRule(("generate_until",), "ter"),
    "perplexity": MetricRule(("loglikelihood",), "perplexity"),
    "word_perplexity": MetricRule(("loglikelihood_rolling",), "weighted_perplexity"),
    "byte_perplexity": MetricRule(("loglikelihood_rolling",), "weighted_perplexity"),
    "bits_per_byte": MetricRule(("loglikelihood_rolling",), "bits_per_byte"),
}  # fmt: skip
"Metrics that are computed here where the task has no function of its own for it."
OF_TEXTS = ("bleu", "chrf", "chrf++", "ter", "weighted_f1", "micro_f1")
"Aggregations that take pairs of texts."
LOWER_IS_BETTER = ("brier_score", "ter", "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
"Of them, those whose smallest number is the best."
ELSEWHERE = ("likelihood", "bypass", "acc_all")
"Metrics of lm-eval that are not computed here."
DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {
    "multiple_choice": ("acc", "acc_norm"),
    "generate_until": ("exact_match",),
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
}
AGGREGATIONS: Mapping[str, str] = {
    "mean": "lm_eval_mean",
    "nanmean": "lm_eval_mean",
    "f1": "lm_eval_f1",
    "bleu": "lm_eval_bleu",
    "chrf": "lm_eval_chrf",
    "chrf++": "lm_eval_chrf_plus_plus",
    "ter": "lm_eval_ter",
    "matthews_corrcoef": "lm_eval_mcc",
    "brier_score": "lm_eval_mean",
    "perplexity": "lm_eval_perplexity",
    "weighted_perplexity": "lm_eval_perplexity",
    "bits_per_byte": "lm_eval_bits_per_byte",
}
"Aggregation of lm-eval -> metric of this project."
AGGREGATIONS_ELSEWHERE = ("median", "bypass")
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
    "format_span": (),
    "regex_pos": ("regex_pattern", "group_select", "fallback"),
    "custom": ("filter_fn",),
}  # fmt: skip
"Filter -> its options."
FILTERS_ELSEWHERE = ("decontaminate",)
