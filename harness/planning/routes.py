"""How a run asks each of its tasks: by a head, for vectors, or in words; and which engine answers.

routing = Routing(asked="prompt", prompt=parse_prompt_args("num_fewshot=4"), engine=Engine(), trains=True)
route = routing.of(spec)
route.name, route.in_words, route.shown      # 'prompt', True, 'prompt 4-shot'
"""

from dataclasses import dataclass, field
from typing import Any

from harness.api.registry import TASK_TYPES
from harness.runtime.engines import Engine
from harness.specs.key_values import parse_key_values
from harness.specs.prompt import LM_EVAL_SAMPLER, STRATIFIED, USUAL_LENGTH, PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.sampler import SEED as LM_EVAL_SEED
from harness.task_types.prompting.guided_regex import CLOSED_FORMS

PROMPT = "prompt"
PER_QUESTION = "per_question"


@dataclass(frozen=True, kw_only=True)
class Route:
    """How one task is asked."""

    name: str
    "head, embedding or prompt."
    prompt: PromptArgs
    "How the task is put into words, where it is."
    engine: Engine

    @property
    def in_words(self) -> bool:
        """Whether the model is asked in words."""
        return self.name == PROMPT

    @property
    def is_served(self) -> bool:
        """Whether another engine than transformers answers."""
        return self.engine.serves(self.name)

    @property
    def shown(self) -> str:
        """As boards name it: `prompt` with how it was asked, and what answers, so that what differs is another line."""
        name = prompt_name(self.prompt) if self.in_words else self.name
        return f"{name}, engine {self.engine.name}" if self.is_served else name


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What a run says of the routes of its tasks."""

    asked: str
    "Value of --route; empty = the first route of each task type."
    prompt: PromptArgs
    engine: Engine
    trains: bool
    "Whether the run trains at all."
    _found: dict[str, Route] = field(default_factory=dict, compare=False, repr=False)

    def of(self, spec: TaskSpec) -> Route:
        """The route asked for where the task's type has it, else the type's first."""
        if spec.task not in self._found:
            routes = TASK_TYPES.load(spec.type).ROUTES
            name = self.asked if self.asked in routes else str(routes[0])
            self._found[spec.task] = Route(name=name, prompt=prompt_of(spec, self.prompt), engine=self.engine)
        return self._found[spec.task]

    def is_trained(self, spec: TaskSpec) -> bool:
        """Whether target training belongs to a task; in words it does only where fine-tuning is asked for."""
        return spec.is_trainable and self.trains and (self.prompt.sft or not self.of(spec).in_words)


def parse_prompt_args(text: str) -> PromptArgs:
    """What --prompt_args says: `key=value,...`; raises every mistake at once."""
    return parse_key_values(text, PromptArgs, where="--prompt_args")


def prompt_of(spec: TaskSpec, given: PromptArgs) -> PromptArgs:
    """How one task is asked: a task of lm-eval has a number of examples of its own, which 0 makes final, and its own words.

    What is drawn per question is said by no sampler at all: so it was before there was another.
    """
    if spec.lm_eval is None:
        usual = {"max_length": None} if given.max_length == USUAL_LENGTH + given.room_for_thoughts else {}
        sampler = STRATIFIED if given.fewshot_sampler == STRATIFIED else None
        settled = given.model_copy(update={"fewshot_sampler": sampler, "sampling": False, **usual})
        return settled.model_copy(update=_unsaid(settled, spec))
    own = spec.lm_eval.num_fewshot
    num_fewshot = given.num_fewshot if "num_fewshot" in given.model_fields_set and own != 0 else own or 0
    drawn_there = num_fewshot and spec.lm_eval.shots.sampler == "default" and given.fewshot_sampler != PER_QUESTION
    settled = given.model_copy(
        update={
            "num_fewshot": num_fewshot,
            "fewshot_split": "train",
            "fewshot_sampler": LM_EVAL_SAMPLER if drawn_there else None,
            "seed": LM_EVAL_SEED if drawn_there and "seed" not in given.model_fields_set else given.seed,
            "sampling": given.sampling and spec.lm_eval.sampling is not None,
            "wording": "english",
            "normalise": None,
        }
    )
    return settled.model_copy(update=_unsaid(settled, spec))


def _unsaid(given: PromptArgs, spec: TaskSpec) -> dict[str, Any]:
    """What says nothing of a task stands at its default, so that the same questions have one name, and one row on a board."""
    found: dict[str, Any] = {}
    if spec.lm_eval and spec.lm_eval.output_type == "loglikelihood_rolling":  # a text by itself: nothing stands before it
        found |= {"num_fewshot": 0, "chat_template": False, "system": ""}
    settled = given.model_copy(update=found)
    if not settled.num_fewshot:
        found |= {"fewshot_split": "train", "fewshot_sampler": None}
    if not draws_something(settled, spec):
        found["seed"] = 0
    if spec.asks != "generate" or given.max_new_tokens == own_length(spec):
        found["max_new_tokens"] = None
    if not (spec.prompt and spec.prompt.generate and spec.prompt.generate.form in CLOSED_FORMS):
        found["guided"] = False
    if not spec.is_trainable:
        found["sft"] = False
    if spec.prompt and (spec.prompt.generate or given.normalise == spec.prompt.normalise):
        found["normalise"] = None
    if spec.prompt and not spec.prompt.languages:
        found["wording"] = "english"
    return found


def draws_something(prompt: PromptArgs, spec: TaskSpec) -> bool:
    """Whether something is drawn for a task's prompts: solved examples, or the tokens of answers."""
    shows_first = spec.lm_eval is not None and spec.lm_eval.shots.sampler == "first_n"
    return prompt.sampling or (prompt.num_fewshot > 0 and not shows_first)


def written_tokens(prompt: PromptArgs, spec: TaskSpec) -> int:
    """Most tokens that a model writes for a question, thoughts among them; 0 where it writes nothing."""
    if spec.asks != "generate":
        return 0
    return prompt.answer_length(own_length(spec) or 0) + prompt.room_for_thoughts


def own_length(spec: TaskSpec) -> int | None:
    """Longest answer in tokens that the task's file says."""
    if spec.lm_eval:
        return spec.lm_eval.max_gen_toks
    return spec.prompt.generate.max_new_tokens if spec.prompt and spec.prompt.generate else None


def prompt_name(prompt: PromptArgs) -> str:
    """How a model was asked in words, e.g. `prompt 4-shot, chat_template`; lm-eval's own seed is part of its sampler."""
    said = [f"{prompt.num_fewshot}-shot" if prompt.num_fewshot else "zero-shot"]
    more = prompt.model_dump(exclude={"num_fewshot", "fewshot_sampler", "thinking", "thinking_budget"}, exclude_defaults=True)
    if prompt.fewshot_sampler == STRATIFIED:
        said.append(STRATIFIED)
    if prompt.fewshot_sampler == LM_EVAL_SAMPLER:
        said.append(f"sampler {LM_EVAL_SAMPLER}")
        more = {key: value for key, value in more.items() if (key, value) != ("seed", LM_EVAL_SEED)}
    said += [key if value is True else f"{key} {value}" for key, value in sorted(more.items())]
    said += [f"thinking up to {prompt.thinking_budget} tokens"] if prompt.thinking else []
    return f"{PROMPT} {', '.join(said)}"
