"""A task: one YAML file that holds a dataset in all its languages, its labels and its metrics.

tasks/xtreme/xnli.yaml -> harness.specs.loader.load_task("xnli") -> TaskSpec
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from harness.specs.language import LanguageSpec
from harness.specs.lm_eval import LmEvalTask
from harness.specs.model import Spec
from harness.specs.prompt import PromptSpec

DROP = "drop"
"A value of a task's label_values: rows with that label are left out."


class Where(Spec):
    """Keeps the rows whose column has a value.  `{lang}` and its kin are filled in.

    A value is compared as a text, the same from every kind of file: true and false in any case, decimal numbers without the zeros
    at their end (1.0 is 1, 1.50 is 1.5), dates as 2024-01-31, times as 2024-01-31 08:30:00, any other text letter by letter.
    A row without a value never passes, and a filter that no row passes is an error.
    """

    column: str
    "Column to look at."
    equals: str | None = None
    "Keep rows whose value is compared as this text."
    prefix: str | None = None
    "Keep rows whose value begins with this text."

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if (self.equals is None) == (self.prefix is None):
            raise ValueError("give exactly one of 'equals' and 'prefix'")
        return self


def _one_or_several(value: Any) -> str:
    return "list" if isinstance(value, list | tuple) else "name"


FileNames = Annotated[Annotated[str, Tag("name")] | Annotated[tuple[str, ...], Tag("list")], Discriminator(_one_or_several)]
"The name or glob of a local file, or a list of them."


class ParallelLanguage(Spec):
    """Puts the rows of another language beside those of each language: a parallel set, row by row."""

    lang: str
    "The other language: the source is read a second time with its placeholders filled in for it."
    match: str | None = None
    "Column that says which rows are the same item; without it row i stands beside row i."
    under: str = "other"
    "Column that holds the other row: `other.question` is its question, and `other_lang` its language."


class Source(Spec):
    """Where the rows of one split lie.  Exactly one of hub, files, world.

    In all texts `{lang}` is the ISO 639-1 code (de), `{iso3}` the ISO 639-3 code (deu), `{name}` the English name (German)
    and `{name_lower}` the same in lower case (german), all from the language table.
    """

    hub: str | None = None
    "Dataset repository `org/name` on the hub; a local mirror given by --data_dir is searched first."
    config: str = "default"
    "Configuration of the hub dataset or of the world."
    split: str = "train"
    "Split of the hub dataset or of the world."
    revision: str | None = None
    "Commit of the hub dataset.  Without it the newest is used, and the commit found is recorded."
    files: dict[str, FileNames] | None = None
    """Local files by role, relative to --data_dir, then to the YAML file; most readers have the one role `rows`.  A name may be a
    glob, and a role may have a list of names: the files that are there are read one after the other."""
    reader: str | None = None
    "Reader of local files: a module of harness/data/readers."
    reader_options: dict[str, Any] = {}
    "Options of the reader."
    world: str | None = None
    "Generated world: a module of harness/data/worlds."
    where: tuple[Where, ...] = ()
    "Only rows that pass every test."
    rename: dict[str, str] = {}
    "Column as the task's `fields` call it -> column of this source, where several sources spell it differently."
    beside: ParallelLanguage | None = None
    "The same rows in another language, for translation from any language of a parallel set into any other."

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(value is not None for value in (self.hub, self.files, self.world)) != 1:
            raise ValueError("give exactly one of 'hub', 'files' and 'world'")
        if (self.files is None) != (self.reader is None):
            raise ValueError("'files' and 'reader' go together")
        if self.files is not None and not all(self.files.values() or [()]):
            raise ValueError("'files' names no file")
        return self


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else value


Sources = Annotated[tuple[Source, ...], BeforeValidator(_as_tuple)]


class Data(Spec):
    """The splits.  Training and validation data are English unless the task is about parallel or raw text."""

    train: Sources = ()
    "Training rows (one source or several); the languages are `train_languages`."
    validation: Sources = ()
    "English rows that choose a checkpoint; leave out where they are the test rows or share their text."
    test: Sources = ()
    "Rows that are scored, for every language of the task.  They choose nothing."
    translated: Sources = ()
    "Machine-translated training rows: `--intermediate <task>@<language>` trains on them in place of the English ones."


class Template(Spec):
    """A field computed by a Jinja2 template over the row's columns."""

    template: str
    "Jinja2, sandboxed; an undefined name is an error."
    each: str | None = None
    "List column: the template is rendered once for each of its items, which it calls `item`, and the field is the list of texts."


def _kind(value: Any) -> str:
    """Which kind of field is meant, so that the mistakes of the other kinds are not told as well."""
    return "Template" if isinstance(value, dict | Template) else "list" if isinstance(value, list | tuple) else "column"


def _kind_of_item(value: Any) -> str:
    return "Template" if isinstance(value, dict | Template) else "column"


_Column = Annotated[str, Tag("column")]
_Computed = Annotated[Template, Tag("Template")]
_Item = Annotated[_Column | _Computed, Discriminator(_kind_of_item)]
FieldSource = Annotated[_Column | _Computed | Annotated[tuple[_Item, ...], Tag("list")], Discriminator(_kind)]
"Where a field comes from: a column, a template, or a list of these that makes the field a list."


class MetricUse(Spec):
    """One metric of a task."""

    metric: str
    "A module of harness/scoring/metrics."


def _metric_use(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


class TaskSpec(Spec):
    """One dataset: where its rows lie, what they mean and how predictions are scored."""

    task: str
    "Name on the command line; ends with the file's name."
    type: str
    "Task type: a module of harness/task_types."
    version: int = Field(default=1, ge=1)
    "Raise it when scores of old and new files must not be mixed."
    description: str
    "One or two sentences for `ls` and `show`."
    homepage: str = ""
    "Where the dataset is described."
    licence: str = ""
    "Licence of the data."
    obtain: str = ""
    "How to get data that no command fetches: what the error says where they are missing."
    languages: tuple[str, ...] = ()
    "ISO 639-1 codes of the test languages, in the order of the board."
    train_languages: tuple[str, ...] = ("en",)
    "Languages of the training and validation rows; `[en]` for everything zero-shot."
    translated_languages: tuple[str, ...] = ()
    "Languages of `data.translated`."
    language_alpha: float | None = Field(default=None, ge=0, le=1)
    "Training languages get shares of an epoch proportional to rows^alpha (0.3 lifts small ones); None = every row once."
    data: Data = Data()
    "The splits."
    train_on: str | None = None
    "Name of the task whose training rows serve this one (xnli: mnli; xquad and mlqa: squad_v1)."
    fields: dict[str, FieldSource]
    "Field of the task type -> column (dots go into structures), `{template: ...}`, or a list of them for a field that is a list."
    labels: tuple[str, ...] = ()
    """Label names in the order of the class indices of the head.

    A value in the label column is one of these names, compared as `where` compares.  -1, where it is no name, is a row without a
    label and left out.  Other integers are places in this list, from 0, unless some name here or in `label_values` is an integer:
    then numbers are names.  Data that name their class numbers are taken at their word first.
    """
    labels_from: Literal["train"] | None = None
    "`train`, in place of `labels`: the tags of the training rows, sorted; a tag that only other rows have is never predicted."
    label_values: dict[str, str] = {}
    """Raw value in the label column, compared as `where` compares -> label name, where they differ; `drop` in place of a name
    leaves the row out."""
    options: dict[str, Any] = {}
    "Options of the task type, e.g. max_length."
    prompt: PromptSpec | None = None
    "How the task is put to a language model in words."
    metrics: tuple[Annotated[MetricUse, BeforeValidator(_metric_use)], ...] = ()
    "Metrics to compute: names, the main one first."
    score: tuple[str, ...] = ()
    "The task's score: mean of these `metric.key` values; by default the first key of the first metric."
    chance: float = Field(default=0.0, ge=0, le=100)
    "Score (0-100) of guessing without reading the text, for the board and the random fake."
    selection: Literal["validation", "none"] = "validation"
    "`none`: the final checkpoint serves, because validation rows are test rows or share their text."
    same_task: tuple[str, ...] = ()
    "Intermediate tasks that are this task's own training data; their cells are marked."
    notes: tuple[str, ...] = ()
    "What a reader of a score must know; printed by `show` and kept on the board."
    stands_in_for: str = ""
    "The metric that lm-eval's file names first, where it has no number here and the score is of another; made with `lm_eval`."
    own_languages: dict[str, LanguageSpec] = {}
    """Those of its languages that the shipped table lacks, as languages.yaml beside the tasks tells them; put here when the file
    is read, never written by hand: stages have them in their keys."""
    lm_eval: LmEvalTask | None = None
    "What a task file of lm-evaluation-harness says; made when such a file is read, never written by hand."

    @property
    def is_trainable(self) -> bool:
        """Whether it has training rows, its own or another task's; those of lm-eval's files are only shown."""
        return bool(self.train_on or self.data.train) and self.lm_eval is None

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Every language of its rows, test languages first, each once."""
        data = self.data
        sources = (*data.test, *data.train, *data.validation, *data.translated)
        beside = [source.beside.lang for source in sources if source.beside]
        return tuple(dict.fromkeys((*self.languages, *self.train_languages, *self.translated_languages, *beside)))

    def translated_into(self, lang: str) -> "TaskSpec":
        """The task under the name `task@lang`, with its translated rows of a language as its training rows."""
        data = self.data.model_copy(update={"train": self.data.translated, "validation": ()})
        return self.model_copy(update={"task": f"{self.task}@{lang}", "train_languages": (lang,), "data": data})

    @property
    def asks(self) -> Literal["loglikelihood", "generate"] | None:
        """What it wants of a model that is asked in words: a capability of the adapter; None where it has no words."""
        if self.lm_eval:
            return "generate" if self.lm_eval.output_type == "generate_until" else "loglikelihood"
        return ("generate" if self.prompt.generate else "loglikelihood") if self.prompt else None


class GroupSpec(Spec):
    """A named list of tasks and groups."""

    group: str
    "Name on the command line."
    description: str = ""
    "One sentence."
    members: tuple[str, ...]
    "Tasks, groups and globs."
    aggregate: Literal["mean_of_tasks", "mean_of_members", "mean_by_size", "none"] = "mean_of_tasks"
    """Mean over all tasks below (XTREME's overall), over the direct members, over all tasks below by their number of test
    examples (groups of lm-eval), or no number at all."""
