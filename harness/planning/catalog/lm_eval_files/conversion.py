"""From a task file of lm-evaluation-harness to a TaskSpec of the task type `lm_eval`.

    made = convert(read_file(path), name="xnli_de", overrides={})
    made.spec, made.errors, made.remarks           # a spec (None where the file cannot be run), mistakes and what to know

Errors are what lm-eval itself would stop at, what it would do wrong in silence (an unknown metric), and what is not supported
here.  Mistakes that lm-eval ignores are remarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.api.errors import UserError, did_you_mean
from harness.planning.catalog.lm_eval_files.caveats import remarks_on, remarks_on_shots, remarks_on_writing
from harness.planning.catalog.lm_eval_files.filters_and_metrics import filters_of, metrics_of
from harness.planning.catalog.lm_eval_files.index import PREFIX
from harness.planning.catalog.lm_eval_files.known_keys import (
    DEFAULT_METRICS,
    FEWSHOT_KEYS,
    REFUSED,
    STRUCTURE,
    TASK_KEYS,
    TOKEN_LIMITS,
)
from harness.planning.catalog.lm_eval_files.languages import language_of
from harness.planning.catalog.lm_eval_files.numbers import chance_of, lost_metrics, metric_names, score_of, ways_of_counting
from harness.planning.catalog.lm_eval_files.python_classes import values_of_class
from harness.planning.catalog.lm_eval_files.shapes import of_the_right_kind
from harness.planning.catalog.lm_eval_files.sources import sources_of
from harness.planning.catalog.lm_eval_files.task_file import Functions, TaskFile, check_template, value_of
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName, LoadedFile
from harness.specs.lm_eval import LmEvalTask, Sampling, Shots, Turns
from harness.specs.loader import Document
from harness.specs.task import Data, MetricUse, TaskSpec
from harness.specs.yaml_nodes import KeyPath

TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix")
TURNS = tuple(Turns.model_fields)


@dataclass(kw_only=True)
class Converted:
    """The outcome of converting a file."""

    spec: TaskSpec | None
    errors: list[UserError]
    notes: list[str]
    "What a reader of its scores must know."
    warnings: list[str]
    "Mistakes that lm-eval ignores, with file and line."

    @property
    def remarks(self) -> list[str]:
        """Notes and warnings together."""
        return [*self.notes, *self.warnings]


def convert(reading: LoadedFile, *, name: str, overrides: Mapping[str, Any], functions: Functions | None = None) -> Converted:
    """Make a spec; `overrides` are the keys that a group sets for the task, `functions` those that other files named."""
    values = {**reading.document.values, **{key: value for key, value in overrides.items() if key != "task"}}
    errors: list[UserError] = []
    values = of_the_right_kind(values, reading.document, errors)
    values = _with_class(values, reading.document, errors)
    file = TaskFile(
        name=name,
        values=values,
        document=reading.document,
        errors=errors,
        remarks=list(reading.remarks),
        functions=functions or Functions(),
    )
    _check_keys(file)
    config = _config(file)
    sources = sources_of(file)
    answer = file.get("doc_to_target", "")
    language = language_of(
        name=name.rpartition("::")[2],
        dataset=_text(file.get("dataset_path")),
        config=_text(file.get("dataset_name")),
        answer=answer if isinstance(answer, str) and not isinstance(answer, FunctionName) else "",
    )
    notes: list[str] = []
    spec = None
    if config and sources and not file.errors:
        notes = [
            *lost_metrics(file),
            *file.told,
            *ways_of_counting(file, config),
            *remarks_on(file, config, sources, language=language),
        ]
        config = config.model_copy(update={"rows": f"{file.get('dataset_path')} {sources.asked_split}"})
        metadata = file.get("metadata", {})
        version = metadata.get("version", "") if isinstance(metadata, Mapping) else ""
        spec = TaskSpec(
            task=PREFIX + name,
            type="lm_eval",
            description=_description(file, config, version),
            languages=(language,),
            train_languages=(language,),
            data=Data(test=(sources.asked,), train=(sources.shown,) if sources.shown else ()),
            fields={},
            metrics=tuple(MetricUse(metric=name) for name in metric_names(config)),
            score=score_of(file, config),
            chance=chance_of(config),
            selection="none",
            notes=tuple(notes),
            stands_in_for=next((lost.name for lost in file.lost_metrics if lost.is_first), ""),
            lm_eval=config,
        )
    if spec:
        notes += [*remarks_on_shots(spec), *remarks_on_writing(spec)]
    return Converted(spec=spec, errors=file.errors, notes=notes, warnings=file.remarks)


def _with_class(values: dict[str, Any], document: Document, errors: list[UserError]) -> dict[str, Any]:
    """The values with what a task that is a Python class says; what stands in its file besides wins."""
    name = values.get("class")
    if not isinstance(name, FunctionName) or "recipe" in values:
        return values
    try:
        found = values_of_class(name)
    except UserError as error:
        errors.append(error.within(document.where(("class",))))
        return values
    return {**found, **{key: value for key, value in values.items() if key != "class"}}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _description(file: TaskFile, config: LmEvalTask, version: Any) -> str:
    """One sentence for `ls`."""
    alias = file.get("task_alias")
    dataset = " ".join(str(file.get(key)) for key in ("dataset_path", "dataset_name") if file.get(key))
    text = f"{config.output_type} on {dataset}" + (f", version {version}" if version != "" else "")
    return f"{alias}: {text}" if alias else text


def _check_keys(file: TaskFile) -> None:
    """Note keys that lm-eval does not know, and those that ask for what is not supported here."""
    for key, value in file.values.items():
        if key in REFUSED and value not in (None, False):
            file.wrong(f"'{key}' is not supported: {REFUSED[key]}", (key,))
        elif key not in TASK_KEYS and key not in STRUCTURE:
            file.wrong(f"unknown key '{key}'", (key,), todo=did_you_mean(str(key), TASK_KEYS))
    kind = file.get("output_type", "generate_until")
    if kind not in DEFAULT_METRICS:
        todo = did_you_mean(str(kind), DEFAULT_METRICS)
        file.wrong(f"output_type '{kind}' is not supported", ("output_type",), expected=", ".join(DEFAULT_METRICS), todo=todo)
    if kind == "multiple_choice" and file.lacks("doc_to_choice"):
        file.wrong("multiple_choice without doc_to_choice", ("output_type",))
    for key in ("doc_to_text", "doc_to_target") if kind != "loglikelihood_rolling" else ("doc_to_target",):
        if file.lacks(key):
            file.wrong(f"'{key}' is missing", ())


def _turns(file: TaskFile, values: Mapping[str, Any], path: KeyPath, inherited: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that turn a row into a question and an answer, inherited where the file has none; templates are checked."""
    found = dict(inherited)
    for key in TURNS:
        if key in values and (values[key] is not None or not inherited):
            found[key] = value_of(file, values[key], (*path, key))
        if isinstance(values.get(key), str) and not isinstance(values[key], FunctionName) and key in TEMPLATES:
            check_template(file, values[key], (*path, key))
    return {key: value for key, value in found.items() if value is not None}


def _config(file: TaskFile) -> LmEvalTask | None:
    """The part of a task that decides its results; None where the file has mistakes."""
    turns = _turns(file, file.values, (), {})
    description = file.get("description", "")
    if isinstance(description, str):
        check_template(file, description, ("description",))
    until, longest = _generation(file)
    try:
        shots = Shots(**_shots(file, turns))
        return LmEvalTask(
            **turns,
            output_type=file.get("output_type", "generate_until"),
            **_made_rows(file),
            process_docs=value_of(file, file.get("process_docs"), ("process_docs",)),
            process_results=value_of(file, file.get("process_results"), ("process_results",)),
            construct_requests=value_of(file, file.get("construct_requests"), ("class",)),
            description=description,
            shots=shots,
            num_fewshot=file.get("num_fewshot"),
            until=until,
            max_gen_toks=longest,
            repeats=file.get("repeats", 1),
            sampling=_sampling(file),
            unsafe_code=bool(file.get("unsafe_code", False)),
            filters=filters_of(file),
            metrics=metrics_of(file),
        )
    except ValidationError as error:
        for detail in error.errors():
            key = str(detail["loc"][0]) if detail["loc"] else ""
            if not any(f" {key}" in known.where for known in file.errors):
                file.wrong(detail["msg"], (key,), found=repr(detail.get("input"))[:80])
        return None


def _sampling(file: TaskFile) -> Sampling | None:
    """How answers are drawn at random; None where the likeliest is written."""
    own = file.get("generation_kwargs", {})
    if not isinstance(own, Mapping):
        return None
    temperature = own.get("temperature")
    if not (own.get("do_sample") or (own.get("do_sample") is None and float(temperature or 0) > 0)) or temperature == 0:
        return None
    return Sampling(**{key: own[key] for key in ("temperature", "top_p", "top_k") if own.get(key) is not None})


def _made_rows(file: TaskFile) -> dict[str, Any]:
    """The values of a task whose rows a function makes."""
    given = file.get("custom_dataset")
    if given is None:
        return {}
    arguments: dict[str, Any] = {}
    for key in ("metadata", "dataset_kwargs"):
        said = file.get(key, {})
        arguments |= {str(name): value for name, value in said.items()} if isinstance(said, Mapping) else {}
    return {"custom_dataset": value_of(file, given, ("custom_dataset",)), "dataset_arguments": arguments}


def _shots(file: TaskFile, task_turns: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `Shots`: where solved examples come from and how they are written."""
    own = file.get("fewshot_config", {})
    if not isinstance(own, Mapping):
        file.wrong("fewshot_config is a mapping", ("fewshot_config",), found=repr(own)[:80])
        own = {}
    for key in own:
        if key not in FEWSHOT_KEYS:
            file.wrong(f"unknown key '{key}'", ("fewshot_config", key), todo=did_you_mean(str(key), FEWSHOT_KEYS))
    if own.get("fewshot_indices") is not None:
        file.note(
            "lm-eval reads fewshot_indices and does not use them; neither are they used here",
            ("fewshot_config", "fewshot_indices"),
        )
    sampler = own.get("sampler", "default")
    if sampler not in ("default", "first_n"):
        expected = "default or first_n"
        file.wrong("this sampler is not supported", ("fewshot_config", "sampler"), expected=expected, found=str(sampler))
        sampler = "default"
    defaults = {name: field_.default for name, field_ in Turns.model_fields.items()}
    turns = _turns(file, own, ("fewshot_config",), {**defaults, **task_turns})
    prepared = own.get("process_docs", file.get("process_docs"))
    split = own.get("split", file.get("fewshot_split"))
    return {
        **turns,
        "sampler": sampler,
        "process_docs": value_of(
            file, prepared, ("fewshot_config", "process_docs") if "process_docs" in own else ("process_docs",)
        ),
        "samples": value_of(file, own.get("samples"), ("fewshot_config", "samples")) if split is None else None,
        "same_rows": split == file.get("test_split"),
    }


def _generation(file: TaskFile) -> tuple[tuple[str, ...], int]:
    """Texts that end an answer, and its longest length; notes what would not be greedy."""
    own = file.get("generation_kwargs", {})
    delimiter = file.get("fewshot_delimiter", "\n\n")
    if not isinstance(own, Mapping):
        file.wrong("generation_kwargs is a mapping", ("generation_kwargs",), found=repr(own)[:80])
        return (delimiter,), 256
    path = ("generation_kwargs",)
    until = own.get("until", [delimiter])
    until = [until] if isinstance(until, str) else until if isinstance(until, list) else []
    limits = [own[key] for key in TOKEN_LIMITS if own.get(key) is not None]
    if (own.get("num_beams") or 1) != 1:
        file.told.append(f"the likeliest next token is written, where lm-eval searches with {own['num_beams']} beams")
    for key in own:
        if key not in ("until", "do_sample", "temperature", "num_beams", "top_p", "top_k", *TOKEN_LIMITS):
            file.note(f"'{key}' does nothing here", (*path, key))
    return tuple(str(text) for text in until if text != ""), int(limits[0]) if limits else 256
