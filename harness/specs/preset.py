"""A preset: a backbone by name, with its size, licence, pitfalls and the settings it needs."""

from typing import Any

from harness.specs.model import Spec


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
    vocab_size: int
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
    parameters: int | None = None
    "Total parameters, from the configuration."
    non_embedding_parameters: int | None = None
    "Parameters without embeddings."
    layers: int | None = None
    "Layers."
    hidden_size: int | None = None
    "Width."
    licence: str = ""
    "Licence of the weights."
    languages: tuple[str, ...] | None = None
    "XTREME languages in its pretraining; None = not recorded."
    pitfalls: tuple[str, ...] = ()
    "What goes wrong with it; printed by `plan` and `show`."
    task_options: dict[str, dict[str, Any]] = {}
    "Per task type: task options this model needs (label_subword, layer, prefix)."
    model_args: dict[str, Any] = {}
    "Defaults of --model_args (dtype, attn_implementation, ...)."
