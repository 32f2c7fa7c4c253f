"""A preset: a backbone by name, with its size, licence, pitfalls and the settings it needs."""

from typing import Any, Self

from pydantic import Field, model_validator

from harness.specs.evidence import Evidence
from harness.specs.model import LARGEST, Spec
from harness.specs.model_args import ModelArgs


class Coverage(Spec):
    """Languages of a backbone's pretraining: those of a corpus that several share, or a list of its own with its source."""

    corpus: str | None = None
    "A corpus of harness/data/corpora.yaml."
    codes: tuple[str, ...] | None = None
    "Languages of the language table."
    source: str = ""
    "Where `codes` are listed."
    evidence: Evidence | None = None
    "How they are known."

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.corpus is None) == (self.codes is None):
            raise ValueError("give exactly one of 'corpus' and 'codes'")
        if (self.codes is not None) != bool(self.source) or (self.codes is not None) != (self.evidence is not None):
            raise ValueError("'codes' go with 'source' and 'evidence', 'corpus' has its own")
        return self


class Pretraining(Spec):
    """One training stage that makes the backbone (only for backbones trained here from random weights)."""

    task: str
    "Task to train on."
    training: dict[str, Any] = {}
    "Keys of Training."


class Scratch(Spec):
    """A backbone made by this project: random weights of an architecture, a tokenizer trained on a task's texts."""

    config: dict[str, Any]
    "Arguments of the transformers configuration, `model_type` among them."
    tokenizer_task: str
    "Task whose training texts train the tokenizer (word level)."
    vocab_size: int = Field(ge=1, lt=LARGEST)
    "Largest vocabulary."
    pretraining: tuple[Pretraining, ...] = ()
    "Training stages, in order."


class PresetSpec(Spec):
    """A backbone."""

    preset: str
    "Name on the command line."
    hub: str | None = None
    "Model repository `org/name` on the hub."
    revision: str | None = None
    "Commit on the hub."
    scratch: Scratch | None = None
    "Made here instead of loaded."
    adapter: str = "encoder"
    "A module of models/."
    architecture: str = ""
    "transformers model_type."
    parameters: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Total parameters, from the configuration."
    non_embedding_parameters: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Parameters without embeddings."
    layers: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Layers."
    hidden_size: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Width."
    licence: str = ""
    "Licence of the weights."
    family: str = ""
    "Name of the ladder of sizes it belongs to (same data and recipe), e.g. XLM-R; empty = a ladder of one."
    languages: Coverage | None = None
    "Languages in its pretraining; None = not recorded."
    pitfalls: tuple[str, ...] = ()
    "What goes wrong with it; printed by `plan` and `show`."
    task_options: dict[str, dict[str, Any]] = {}
    "Per task type: task options this model needs (label_subword, layer, prefix)."
    model_args: ModelArgs = ModelArgs()
    "Defaults of --model_args (dtype, attn_implementation, ...)."
