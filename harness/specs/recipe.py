"""A recipe: a named set of hyper-parameters, with the source of each value.

Order of precedence, lowest first: the defaults here, the recipe's `defaults`, its phase (`intermediate`, `target`), for mixtures
`mixture` and `with_masked_lm`, its `tasks` entries.  For task options: the type's defaults, the task, the recipe's
`task_options`, the preset, the `options` of the recipe's `tasks` entries, `--model_args`.  harness/planning/precedence.py settles
them.
"""

from typing import Any, Literal

from pydantic import Field

from harness.specs.model import LARGEST, Spec


class Training(Spec):
    """Hyper-parameters of one training stage."""

    learning_rate: float = Field(default=2e-5, gt=0)
    "Peak learning rate of AdamW."
    batch_size: int = Field(default=32, ge=1, lt=LARGEST)
    "Examples per optimizer step, whatever the devices; in-batch negatives come from all of them."
    epochs: float | None = Field(default=None, gt=0)
    "Passes over the training rows; give this or max_steps (the smaller wins if both)."
    max_steps: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Optimizer steps."
    max_examples: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Seeded sample of the training rows; said on the board."
    warmup_steps: int | None = Field(default=None, ge=0, lt=LARGEST)
    "Steps of linear warmup; overrides warmup_ratio."
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    "Warmup as a fraction of all steps."
    schedule: Literal["linear", "constant"] = "linear"
    "Learning rate after warmup: linear decay to 0, or constant."
    weight_decay: float = Field(default=0.0, ge=0)
    "AdamW weight decay, not applied to biases and layer norms."
    adam_epsilon: float = Field(default=1e-8, gt=0)
    "AdamW epsilon."
    adam_beta2: float = Field(default=0.999, gt=0, lt=1)
    "AdamW beta2."
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    "AdamW; adamw_8bit keeps its two moments of large matrices in eight bits (bitsandbytes): 2 bytes a parameter instead of 8."
    max_grad_norm: float = Field(default=1.0, ge=0)
    "Gradient clipping by global norm; 0 = off."
    head_learning_rate: float | None = Field(default=None, gt=0)
    "Learning rate of fresh heads, where it differs."
    freeze: Literal["none", "embeddings"] = "none"
    "Weights that are not trained."
    gradient_checkpointing: bool = False
    "Recompute activations in the backward pass to save memory."
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    "Autocast type; auto = bfloat16 where the hardware has it, else float32."
    eval_every: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Steps between evaluations on English validation rows; None = after each epoch."
    eval_examples: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Only the first so many validation rows (jiant: 500)."
    patience: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Evaluations without a better score before training stops; None = never."
    sampling: Literal["proportional", "uniform", "temperature"] = "proportional"
    "Which task of a mixture a step trains: by min(rows, cap), evenly, or by min(rows, cap)^(1/temperature)."
    sampling_cap: int = Field(default=2**17, ge=1, lt=LARGEST)
    "Rows of a task that count at most (K of Raffel et al. 2020, 2^17 in Phang et al. 2020)."
    sampling_temperature: float = Field(default=1.0, gt=0)
    "Temperature of `sampling: temperature`; large values come near uniform."
    reuse_head: bool = False
    "Target training goes on with the head of the last intermediate phase, where that has one of the same kind and labels."


class RecipeSpec(Spec):
    """Hyper-parameters by phase and by task."""

    recipe: str
    "Name on the command line."
    description: str
    "Whose recipe it is and for what."
    defaults: dict[str, Any] = {}
    "Values for every training stage (keys of Training)."
    intermediate: dict[str, Any] = {}
    "Values for intermediate training."
    mixture: dict[str, Any] = {}
    "Values for intermediate training on several tasks at once."
    with_masked_lm: dict[str, Any] = {}
    "Values for mixtures that hold a masked_lm task."
    target: dict[str, Any] = {}
    "Values for target training."
    tasks: dict[str, dict[str, Any]] = {}
    "Per training task: keys of Training; `options:` holds task options.  `intermediate/<task>` and `target/<task>` narrow it."
    task_options: dict[str, dict[str, Any]] = {}
    "Per task type: task options."
    save_every: int = Field(default=500, ge=1, lt=LARGEST)
    "Steps between resumable states; a machine knob, not part of a stage's key."
    provenance: dict[str, str] = {}
    "Key path (or its beginning) -> where the value comes from, with an evidence tag."
