"""How a task is put to a language model in words: the `prompt` block of a task, and what a run says about all prompts.

    prompt:
      context: "{{ text }}"                                     # Jinja2 over the fields of the task type, gold ones left out
      continuations: {entailment: ", right? Yes, {{ text_pair }}", ...}      # the likeliest one is the answer
      delimiter: ""
      languages: {de: {continuations: {...}}}                   # the same in other words

A task has `continuations` (classification, multiple_choice) or `generate` (span_qa, tagging).
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from harness.specs.model import Spec

Normalisation = Literal["sum", "per_token", "per_byte", "per_character"]


class PerItem(Spec):
    """A continuation for each item of a field that is a list, such as the options of a question."""

    template: str
    "Jinja2; the item at hand is `item`."
    each: str
    "The field, e.g. options."


def _kind(value: Any) -> str:
    return "each" if isinstance(value, PerItem) or (isinstance(value, dict) and "each" in value) else "labels"


Continuations = Annotated[Annotated[PerItem, Tag("each")] | Annotated[dict[str, str], Tag("labels")], Discriminator(_kind)]
"A template for each item of a field, or for each label of the task."


class Generate(Spec):
    """An answer that the model writes, and how it is read."""

    max_new_tokens: int = Field(default=32, ge=1)
    "Longest answer in tokens."
    stop: tuple[str, ...] = ("\n",)
    "Texts that end an answer; they are not part of it."
    form: Literal["text", "entities", "word_tags"] = "text"
    """text: the answer itself; entities: `PER: Ada $$ LOC: Kazan`, as mT5 was trained on PAN-X; word_tags: `Ada_PROPN sees_VERB`,
    each word with its tag."""
    nothing: str = "none"
    "What stands for no entity, or for a question that the context does not answer."


class Words(Spec):
    """Parts of a prompt said in other words; what is left out stays as it is."""

    instruction: str | None = None
    "In place of the prompt's instruction."
    context: str | None = None
    "In place of the prompt's context."
    continuations: Continuations | None = None
    "In place of the prompt's continuations."
    delimiter: str | None = None
    "In place of the prompt's delimiter."


class PromptSpec(Spec):
    """How one task is put into words."""

    instruction: str = ""
    "Said once, before the examples: Jinja2."
    context: str
    "What the answer follows: Jinja2."
    delimiter: str = " "
    "Between a context and its answer; chat templates have their own."
    continuations: Continuations | None = None
    "The answers among which the likeliest is taken."
    generate: Generate | None = None
    "The answer is written by the model instead."
    normalise: Normalisation = "sum"
    "What the log-likelihood of a continuation is divided by; characters and bytes are those of the text without the delimiter."
    shot_delimiter: str = "\n\n"
    "Between instruction, examples and question."
    languages: dict[str, Words] = {}
    "Other words by language, for runs that ask for localised ones; what a language leaves out is said in the task's own words."
    chat: Words | None = None
    "Other words for chat templates, in whatever language."
    source: str = ""
    "Where the wording comes from."

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Self:
        if (self.continuations is None) == (self.generate is None):
            raise ValueError("give exactly one of 'continuations' and 'generate'")
        return self


class PromptArgs(Spec):
    """What a run says about its prompts, the same for all tasks."""

    sft: bool = False
    """Fine-tune on the English rows of each task, put into the same words, before it is asked.  (Intermediate tasks are always
    trained in words on this route.)"""
    num_fewshot: int = Field(default=0, ge=0)
    "Solved examples before each question; those of fine-tuning have none."
    fewshot_split: Literal["train", "validation"] = "train"
    "Split of the English rows they are drawn from."
    fewshot_sampler: Literal["per_question", "stratified", "lm_eval"] | None = None
    """Who draws them.  per_question: a draw for each question by itself, the same whatever else is asked; stratified: so as well,
    and as many of each label as of any other, or one more (tasks of type classification); lm_eval: what
    lm-evaluation-harness shows, from one stream of draws through all rows of the task.  Not given: lm_eval for tasks of its
    files, which alone can have it, and per_question for all others."""
    seed: int = 0
    """Of the draw, for training seed 1 (--seeds); seed 2 draws with the next one, and so on.  Not given, it is 1234 for
    lm_eval's, as there."""
    sampling: bool = False
    """Draw written answers at random where a task of lm-eval's files does, by the temperature and the like of its file; the seed
    decides the draw.  Otherwise the likeliest answer is written."""
    chat_template: bool | Literal["server"] = False
    """Put the prompt into the tokenizer's chat template, examples as earlier turns; server: into that of the server that answers
    (/chat/completions), where answers are written."""
    system: str = ""
    "System message; without a chat template it comes first."
    wording: Literal["english", "localised"] = "english"
    "localised: in the words of the test language, where the task has them, examples included."
    normalise: Normalisation | None = None
    "In place of the task's own."
    guided: bool = False
    """Write only what can be read: tags and entities of a task are held to the words of the sentence and the task's labels.  With
    engine=vllm."""
    thinking: bool = False
    "Let the model write thoughts before its answer, as its chat template has it; they are kept apart from the answer."
    thinking_budget: int = Field(default=1024, ge=1)
    "Most tokens of these thoughts: an answer that is not begun by then counts as none."
    max_new_tokens: int | None = Field(default=None, ge=1)
    "Longest written answer in tokens, thoughts not counted, in place of what the task says."
    max_length: int | None = Field(default=None, ge=2)
    """Longest input in tokens, what is generated included (at most what the model takes): contexts lose their beginning.  Not
    given: 2048 and the budget of thoughts; for tasks of lm-eval, as there, what the model takes."""

    def answer_length(self, own: int) -> int:
        """Longest written answer in tokens, thoughts not counted, of a task that says `own`."""
        return self.max_new_tokens or own

    @property
    def room_for_thoughts(self) -> int:
        """Tokens that thoughts may take."""
        return self.thinking_budget if self.thinking else 0

    @property
    def of_training(self) -> "PromptArgs":
        """What fine-tuning on the prompts depends on: how the questions are put, not what is shown before them."""
        return self.model_copy(update={name: PromptArgs.model_fields[name].default for name in NOT_IN_TRAINING})


STRATIFIED: Final = "stratified"
"The draw of as many solved examples of each label."
LM_EVAL_SAMPLER: Final = "lm_eval"
"The draw of solved examples that lm-evaluation-harness makes."
USUAL_LENGTH = 2048
"Tokens of an input, where a run does not say how many and a model does not take fewer."
NOT_IN_TRAINING = (
    "sft",
    "num_fewshot",
    "fewshot_split",
    "fewshot_sampler",
    "sampling",
    "seed",
    "guided",
    "max_new_tokens",
    "thinking",
    "thinking_budget",
)
"Settings that say how a question is asked, but not what is trained."
