"""What a task file of lm-evaluation-harness says, resolved: the part of a TaskSpec that its task type `lm_eval` reads.

    spec = catalog.task("lm_eval/xnli_de").spec
    spec.lm_eval.output_type, spec.lm_eval.doc_to_choice    # made by lm_eval_files/conversion.py, not by hand

A value that the file computes by `!function` is a Function: where its Python file lies relative to the task's, and a hash of that
file with all that it imports from beside it, so that a stage's key changes with the code.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from harness.specs.model import Spec

OutputType = Literal["multiple_choice", "generate_until", "loglikelihood", "loglikelihood_rolling"]


class Function(Spec):
    """A function of a Python file beside a task file."""

    function: str
    "Module and name, e.g. utils.process_docs."
    folder: str = "."
    "Folder of the file that names it, relative to that of the task's file."
    code: str = ""
    "16 hex digits over its Python files; empty where they are not there."


def _value(value: Any) -> Any:
    """A function where the stage's arguments hold one, everything else as it is."""
    keys = set(value) if isinstance(value, dict) else set()
    return Function.model_validate(value) if "function" in keys and keys <= set(Function.model_fields) else value


Value = Annotated[Any, BeforeValidator(_value)]
"A template, a column, a number, a list, a mapping, or a Function."


class Turns(Spec):
    """How a row becomes a question with its answer."""

    doc_to_text: Value = None
    "The question; a whole number among the choices means that the choices are the questions."
    doc_to_target: Value = None
    "The answer: a text, the number of a choice, or a list of answers."
    doc_to_choice: Value = None
    "The choices."
    gen_prefix: str | None = None
    "What the model's answer begins with."
    target_delimiter: str = " "
    "Between question and answer."
    fewshot_delimiter: str = "\n\n"
    "Behind each solved example."


class Shots(Turns):
    """Where solved examples come from and how they are told."""

    sampler: str = "default"
    "default: drawn for each example; first_n: the first ones."
    process_docs: Value = None
    "Function that prepares the rows."
    samples: Value = None
    "The examples themselves, or a Function that gives them, where they are in no split."
    same_rows: bool = False
    "Whether they are drawn from the rows that are asked: then none is the question itself."


class Step(Spec):
    """One step of a filter."""

    function: str
    "A module-level name in harness/task_types/lm_eval_harness/filters.py."
    options: dict[str, Value] = {}
    "Its arguments."


class Filter(Spec):
    """How the answers of a model are prepared before they are scored."""

    name: str = "none"
    "What lm-eval calls the numbers that come of it."
    steps: tuple[Step, ...] = (Step(function="take_first"),)
    "Applied in order."


class LmEvalMetric(Spec):
    """One number of a task."""

    metric: str
    "Name of lm-eval."
    aggregation: str = "mean"
    "How the values of all examples become one number."
    options: dict[str, Value] = {}
    "Arguments of the metric."
    function: Value = None
    "Function that computes it for an example, where it is none of lm-eval's own."
    aggregate: Value = None
    "Function that makes one number of the values of all examples, where no name says how; then `aggregation` is their mean."


class Sampling(Spec):
    """How answers are drawn at random, as transformers does it."""

    temperature: float = 1.0
    "What logits are divided by."
    top_p: float = 1.0
    "The likeliest tokens that have so much of the probability together."
    top_k: int = 50
    "So many of the likeliest tokens; 0 = all."


class LmEvalTask(Turns):
    """A task of lm-evaluation-harness: what can change its results, and no more."""

    output_type: OutputType = "generate_until"
    "What a model is asked."
    custom_dataset: Value = None
    "Function that gives the rows of all splits, in place of files or a dataset of the hub."
    dataset_arguments: dict[str, Any] = {}
    "What it is called with."
    process_docs: Value = None
    "Function that prepares the rows."
    process_results: Value = None
    "Function that scores an example; else the metrics do."
    construct_requests: Value = None
    "Method that makes the requests behind a prompt, of tasks that are Python classes."
    description: str = ""
    "Told before everything else."
    shots: Shots = Shots()
    "Solved examples."
    num_fewshot: int | None = None
    "Solved examples before each question, where the run says nothing; 0 is final."
    until: tuple[str, ...] = ()
    "Texts that end a generated answer."
    max_gen_toks: int = 256
    "Longest generated answer in tokens."
    sampling: Sampling | None = None
    "How lm-eval draws answers; None = it writes the likeliest.  Here a run says whether it does."
    repeats: int = Field(default=1, ge=1)
    "How often the same answer counts, or how many are drawn."
    filters: tuple[Filter, ...] = (Filter(),)
    "Each gives numbers of its own."
    metrics: tuple[LmEvalMetric, ...] = ()
    "In the order of the file."
    rows: str = ""
    "Dataset and split: examples of the same number are the same item in every language."
    unsafe_code: bool = False
    "Whether it runs what the model writes."
    semantics: int = 1
    "Raised when what this project makes of such a task changes."

    def functions(self) -> list[Function]:
        """Every function that the task needs, each once."""
        found: dict[str, Function] = {}

        def visit(value: Any) -> None:
            if isinstance(value, Function):
                found.setdefault(f"{value.folder} {value.function}", value)
            elif isinstance(value, Spec):
                for name in type(value).model_fields:
                    visit(getattr(value, name))
            elif isinstance(value, dict | list | tuple):
                for inner in value.values() if isinstance(value, dict) else value:
                    visit(inner)

        visit(self)
        return list(found.values())
