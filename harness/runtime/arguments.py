"""What each verb receives: frozen values, whose JSON is what a stage's key hashes and its args.json holds.

    args = ScoreArguments(metrics=("accuracy",), signatures=("accuracy",), score=("accuracy.accuracy",), lang="de", seed=0)
    args.json()["lang"]                   # 'de'

A field that has its default is left out of the JSON, so that a new field changes no key of finished work.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.data.own_languages import learn
from harness.specs.limit import Limit
from harness.specs.portable import revive
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec

OWN = ("batch_size", "max_examples")
"Hyper-parameters that a task of a mixture may have for itself."


class _Part:
    """Frozen values with one JSON."""

    def json(self) -> dict[str, Json]:
        """Plain JSON, without the fields that have their default."""
        declared: Any = fields(self)  # type: ignore[arg-type]
        values = ((each, getattr(self, each.name)) for each in declared)
        return {each.name: _json(value) for each, value in values if not _is_default(each, value)}

    def identities(self) -> dict[str, str]:
        """Dotted place -> fingerprint or revision, of all that it reads."""
        declared: Any = fields(self)  # type: ignore[arg-type]
        found: dict[str, str] = {}
        for each in declared:
            value = getattr(self, each.name)
            parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
            for number, part in parts:
                if isinstance(part, _Part):
                    place = each.name if number is None else f"{each.name}.{number}"
                    found |= {f"{place}.{inner}": text for inner, text in part.identities().items()}
        return found


def _task_spec(task: str, spec: Mapping[str, Json]) -> TaskSpec:
    """The task of a stage, as far as it is known here; this process learns the languages that it tells of."""
    found = revive(task, spec)
    learn(found.own_languages, where=f"task '{task}'")
    return found


def _revisions(spec: Mapping[str, Json]) -> dict[str, str]:
    """The revisions of the sources in the part of a spec that a stage holds."""
    sources = ((split, number, source) for split, several in spec["data"].items() for number, source in enumerate(several))
    return {f"spec.data.{split}.{n}.revision": source["revision"] for split, n, source in sources if source.get("revision")}


def _json(value: Any) -> Json:
    if isinstance(value, _Part):
        return value.json()
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _is_default(declared: Any, value: Any) -> bool:
    default = declared.default if declared.default_factory is MISSING else declared.default_factory()
    return type(value) is type(default) and bool(value == default)


@dataclass(frozen=True, kw_only=True)
class ModelArguments(_Part):
    """A backbone as far as it decides a result."""

    adapter: str
    "Module of models/, or `fake`."
    fingerprint: str | None = None
    "Of its files, or its commit on the hub; None for models that this run makes from random weights."
    tokenizer: str | None = None
    "Fingerprint or hub id of a tokenizer that is not the model's own."
    dtype: str = "auto"
    "float32 | bfloat16 | float16 | auto, for inference."
    attn_implementation: str = "sdpa"
    "sdpa | eager | flash_attention_2."
    trust_remote_code: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    "What only some adapters know: see `adapter_arguments` in harness/planning/backbone/model_args.py."
    engine: str | None = None
    "What answers in its place, where that is not transformers; of predictions only."

    def identities(self) -> dict[str, str]:
        """What identifies the weights."""
        return {"fingerprint": self.fingerprint} if self.fingerprint else {}


@dataclass(frozen=True, kw_only=True)
class SplitRows(_Part):
    """Rows of one split of a task."""

    task: str
    spec: Mapping[str, Json]
    "The part of the task's spec that reads them: see harness/specs/portable.py."
    data: Mapping[str, str]
    "Language -> fingerprint."
    metric_code: Mapping[str, str] = field(default_factory=dict)
    "Of rows that choose a checkpoint: metric -> signature with its code, of the metrics of the user's own that score them."

    def identities(self) -> dict[str, str]:
        """Fingerprints of the rows, and of whatever else is read with them."""
        own = {f"data.{lang}": text for lang, text in self.data.items()}
        return own | _revisions(self.spec) | super().identities()

    @property
    def task_spec(self) -> TaskSpec:
        """The task, as far as it is known here."""
        return _task_spec(self.task, self.spec)


@dataclass(frozen=True, kw_only=True)
class ComponentArguments(SplitRows):
    """One task of a training stage: the rows it trains on, and how."""

    options: Mapping[str, Json]
    "Options of the task type that are not at their default."
    prompt: Mapping[str, Json] | None = None
    "How its rows are put into words (fields of PromptArgs); None = a head is trained."
    head: str | None = None
    "Name of the head that it trains, where that is not the task's."
    chat_format: str = ""
    "Fingerprint of the chat template and generation settings."
    validation: SplitRows | None = None
    "English rows that choose the checkpoint."
    exclude: tuple[SplitRows, ...] = ()
    "Test rows whose texts are left out of training."
    reuse_head: str | None = None
    "Head of the parent checkpoint that it goes on with; None = a fresh one."
    own: Mapping[str, int | None] = field(default_factory=dict)
    "Keys of OWN that a recipe sets apart for one task of several; in the JSON they stand by themselves."

    def json(self) -> dict[str, Json]:
        """Plain JSON."""
        content = super().json()
        own = content.pop("own", {})
        return content | own

    @property
    def head_name(self) -> str:
        """The head that it trains."""
        return self.head or self.task

    def batch_size(self, training: Training) -> int:
        """Items of a step."""
        return self.own.get("batch_size") or training.batch_size

    def max_examples(self, training: Training) -> int | None:
        """Rows that are drawn; None = all."""
        return self.own.get("max_examples", training.max_examples)


@dataclass(frozen=True, kw_only=True)
class InitArguments(_Part):
    """A backbone of random weights, and a tokenizer trained on some texts."""

    VERB: ClassVar[str] = "init"

    config: Mapping[str, Json]
    "Fields of the model's configuration."
    vocab_size: int
    texts: SplitRows
    seed: int


@dataclass(frozen=True, kw_only=True)
class TrainArguments(_Part):
    """Training on the English rows of one task or several."""

    VERB: ClassVar[str] = "train"

    model: ModelArguments
    tasks: tuple[ComponentArguments, ...]
    training: Mapping[str, Json]
    "Hyper-parameters that are not at their default."
    seed: int

    @property
    def hyper_parameters(self) -> Training:
        """All of them."""
        return Training.model_validate(self.training)

    @property
    def name(self) -> str:
        """The tasks, for a reader."""
        return "+".join(component.task for component in self.tasks)


@dataclass(frozen=True, kw_only=True)
class CalibrationRows(_Part):
    """Rows on which a threshold is chosen."""

    spec: Mapping[str, Json]
    data: str
    "Fingerprint of the rows of the language."

    def identities(self) -> dict[str, str]:
        """Fingerprint of the rows."""
        return {"data": self.data} | _revisions(self.spec)


@dataclass(frozen=True, kw_only=True)
class PredictArguments(_Part):
    """Predictions of the test rows of a task in one language."""

    VERB: ClassVar[str] = "predict"

    model: ModelArguments
    task: str
    lang: str
    options: Mapping[str, Json]
    "Options of the task type that are not at their default."
    spec: Mapping[str, Json]
    "The part of the task's spec that reads and asks the rows."
    data: str
    "Fingerprint of the rows."
    head: str | None
    "Name of the head that answers; None for vectors and words."
    calibration: CalibrationRows | None = None
    prompt: Mapping[str, Json] | None = None
    "How the rows are put into words (fields of PromptArgs); None = a head or vectors answer."
    chat_format: str = ""
    "Fingerprint of the chat template and generation settings."
    shots: SplitRows | None = None
    "English rows from which solved examples are drawn."
    limit: Limit | None = None
    "Rows that are taken (harness/specs/limit.py); None = all."

    def identities(self) -> dict[str, str]:
        """Fingerprints of the model and of all rows."""
        return {"data": self.data} | _revisions(self.spec) | super().identities()

    @property
    def rows(self) -> SplitRows:
        """The test rows of the language."""
        return SplitRows(task=self.task, spec=self.spec, data={self.lang: self.data})

    @property
    def task_spec(self) -> TaskSpec:
        """The task, as far as it is known here."""
        return _task_spec(self.task, self.spec)


@dataclass(frozen=True, kw_only=True)
class ScoreArguments(_Part):
    """Scores of the predictions of one stage."""

    VERB: ClassVar[str] = "score"

    metrics: tuple[str, ...]
    signatures: tuple[str, ...]
    "What exactly each metric computes."
    score: tuple[str, ...]
    "`metric.key`: the task's score is their mean."
    lang: str
    seed: int
    "Of the bootstrap."


Arguments = InitArguments | TrainArguments | PredictArguments | ScoreArguments
VERBS: Mapping[str, type[Arguments]] = {
    kind.VERB: kind for kind in (InitArguments, TrainArguments, PredictArguments, ScoreArguments)
}


def read_arguments(verb: str, content: Mapping[str, Json]) -> Arguments:
    """The arguments that a stage's args.json holds; raises UserError for what this version does not know."""
    content = dict(content)
    if verb == TrainArguments.VERB:
        content["tasks"] = [_with_own(component) for component in content["tasks"]]
    try:
        found: Arguments = _reader(verb).validate_python(content)
    except (KeyError, ValidationError) as error:
        raise UserError(f"not the arguments of a stage '{verb}'", found=str(error), todo="run the command again") from error
    return found


@cache
def _reader(verb: str) -> TypeAdapter[Any]:
    return TypeAdapter(VERBS[verb])


def _with_own(component: Mapping[str, Json]) -> dict[str, Json]:
    """A component with what stands by itself in its JSON put back into `own`."""
    own = {key: component[key] for key in OWN if key in component}
    rest = {key: value for key, value in component.items() if key not in OWN}
    return {**rest, **({"own": own} if own else {})}


def file_of(task: str) -> str:
    """The name under which the catalog has the file of a task, which may be its translation `mnli@de`."""
    return task.partition("@")[0]
