"""What the calls take by name: the flags of the commands, and how their values become words of a command line.

words = words_of("run", {"model": "mini", "tasks": ["mini/nli", "mini/panx"], "limit": 20, "no_train": False})
# ['--model=mini', '--tasks=mini/nli,mini/panx', '--limit=20']

A test holds the names against the flags, so that no flag is without its keyword.
"""

import argparse
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Literal, TypedDict

from harness.commands._parser import parser_of

Names = str | Iterable[str]
"Several names: a list, or a text with commas between them."
Settings = str | Mapping[str, Any]
"Keys and values: a mapping, or `key=value,...`."
AnyPath = str | PathLike[str]
Folders = Iterable[AnyPath]


class CatalogOptions(TypedDict, total=False):
    """Files of one's own, and where data are."""

    include_path: Folders
    "Folders of your own tasks, groups, recipes, presets, studies, languages and metrics, or of lm-eval's task files."
    data_dir: AnyPath
    "Local mirror of hub datasets."
    allow_path: Folders
    "Folders that task files may read from besides their own."
    trust_metric_code: bool
    "Run the Python code of metrics of your own."


class PlanOptions(CatalogOptions, total=False):
    """What `plan` takes, besides the model and the tasks."""

    model_args: Settings
    "dtype, revision, max_length, layer, engine, lora_rank, ..."
    intermediate: Names
    "Intermediate settings to compare, e.g. ['none', 'mnli']."
    recipe: str
    "Hyper-parameters."
    seeds: int | Iterable[int] | str
    "Training seeds."
    languages: Names
    "Only these test languages."
    limit: int | str
    "So many test rows of each language: 20 or `10%` (a seeded sample), `first:20` or `first:10%`."
    route: Literal["head", "prompt", ""]
    "`prompt`: ask language models in words."
    prompt_args: Settings
    "num_fewshot, chat_template, system, ..."
    no_train: bool
    "Use the heads that the checkpoint has."
    remove_overlap: bool
    "Leave out training rows whose text occurs in test rows."
    output_path: AnyPath
    "Folder of the stages and the board."
    trust_task_code: bool
    "Run the Python code that lm-eval's task files name."
    trust_evaluate_metrics: bool
    "Let the package `evaluate` download and run the metrics that they name."
    trust_generated_code: bool
    "Run the programs that a model writes."
    device: str
    batch_tokens: int
    save_every: int
    keep: Literal["none", "best", "all"]
    unrepeatable: bool
    sharding: Literal["none", "full"]
    offload: Literal["none", "cpu"]
    retry_in_float32: bool
    "A training whose loss is no number in fewer bits begins again in fp32."
    track: Names
    "`tensorboard`, `wandb`."
    quiet: bool
    "False: say on stderr what the command says; True, as it is unless told otherwise: keep it in `notes`."
    on: str
    "Reckon for such devices, e.g. `h100-80gb:4`."
    price: float
    "Of an hour of one device."


class RunOptions(PlanOptions, total=False):
    """What `evaluate` takes, besides the model and the tasks."""

    executor: str
    address: str
    retries: int
    cpus_per_stage: int
    processes_per_stage: int
    copy_to: str
    ignore_memory: bool
    "Run what cannot fit into the memory of the device as well."
    replace_degenerate: bool
    "Run a seed that has learnt nothing again with another."
    verify: bool
    "Check all that finished stages wrote."
    references: Names
    "Published numbers to show on the board."


class BoardOptions(CatalogOptions, total=False):
    """What `leaderboard` takes, besides the run folders."""

    output: AnyPath
    "File for the JSON."
    by: Names
    "Also means over languages by family, script, ..., in the text."
    references: Names
    older: Literal["list", "show", "drop"]
    csv: AnyPath
    latex: AnyPath
    figures: AnyPath
    export: Names
    "`lm_eval=DIR`, `every_eval_ever=DIR`, `model_card=DIR`."
    push_card: str
    "Repository on the hub whose card gets the results."
    answers: bool
    html: AnyPath
    "File for the page."
    examples: int


class CompareOptions(TypedDict, total=False):
    """What `compare` takes, besides the runs."""

    a: Settings
    "The cells that are A."
    b: Settings
    "The cells that are B."
    by: str
    "One row for each task, language, family, ..."
    tasks: Names
    languages: Names
    samples: int
    seed: int
    output: AnyPath
    include_path: Folders
    trust_metric_code: bool


def words_of(command: str, options: Mapping[str, Any], *, places: Iterable[AnyPath] = ()) -> list[str]:
    """The words that a user would type: flags with their values, then the words without a flag; None is left out."""
    actions = {action.dest: action for action in parser_of(command).actions()}
    words = []
    for name, value in options.items():
        action = actions.get(name)
        if value is None or (value is False and (action is None or action.nargs == 0)):
            continue
        if value is True and (action is None or action.nargs == 0):
            words.append(f"--{name}")
        elif isinstance(action, argparse._AppendAction):
            words += [f"--{name}={_text(one)}" for one in ([value] if isinstance(value, str | PathLike) else value)]
        else:
            words.append(f"--{name}={_text(value)}")
    return words + [f"./{place}" if str(place).startswith("-") else str(place) for place in places]


def _text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_quoted(_text(one))}" for key, one in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Iterable) and not isinstance(value, str | PathLike):
        return ",".join(map(_text, value))
    return str(value)


def _quoted(text: str) -> str:
    """A value that holds a comma stands in quotation marks, of the kind that it does not hold."""
    if "," not in text:
        return text
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}"
