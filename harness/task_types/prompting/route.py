"""A task type asked in words: what stands where the task type's module stands on the other routes.

    route = PromptRoute(module=TASK_TYPES.load(task.type), prompt_args=PromptArgs(num_fewshot=4), pool=english_examples)
    features = route.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)      # the requests
    outputs = adapter.loglikelihood(features)                     # or adapter.generate(features): see `asks`
    partials = [route.reduce(feature, output, task=task, options=options) for feature, output in zip(features, outputs)]
    predictions = route.decode(examples, features, partials, task=task, options=options)

Classification and multiple choice take the likeliest of several continuations; span questions and tagging read what the model
writes.  Each example is one request.  With `train` the features are the same prompts with their right answers, for fine-tuning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from harness.api.errors import UserError
from harness.api.protocols import Batch, Feature, HeadSpec, Output, Partial, Prediction, RouteDefaults, SentPrompt
from harness.specs.prompt import STRATIFIED, USUAL_LENGTH, Generate, PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.prompting.answer_parsing import choose, read_answer
from harness.task_types.prompting.encoding import Ask, check_told_apart, encode_pairs
from harness.task_types.prompting.few_shot import ShotPool, draw_shots
from harness.task_types.prompting.guided_regex import CLOSED_FORMS, answer_regex
from harness.task_types.prompting.prompt_checks import prompt_doubts
from harness.task_types.prompting.rendering import RenderedPrompt, Turn, render_prompt, target_text
from harness.task_types.prompting.templates import Wording, wording_of
from harness.task_types.prompting.thinking import room_to_write, said_of, thinking, thoughts_of, with_thoughts
from harness.task_types.tokens.token_loss import IGNORED, token_loss

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class PromptRoute(RouteDefaults):
    """The prompt route of a task type: Asks and Trains in the words of harness/api/protocols.py."""

    module: Any
    "The task type: its rows and examples are the same on every route."
    prompt_args: PromptArgs = field(default_factory=PromptArgs)
    pool: Sequence[Any] = ()
    "English examples from which those before a question are drawn."
    max_positions: int | None = None
    "Longest input of the model, where it is known."

    ROUTES = ("prompt",)

    @property
    def Options(self) -> type[BaseModel]:
        """The options of the task type."""
        options: type[BaseModel] = self.module.Options
        return options

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        wanted = self.prompt_args.max_length or USUAL_LENGTH + self.prompt_args.room_for_thoughts
        return min(wanted, self.max_positions or wanted)

    @cached_property
    def shown(self) -> ShotPool:
        """The pool without rows that have no gold."""
        by_label = self.prompt_args.fewshot_sampler == STRATIFIED
        return ShotPool([example for example in self.pool if example.gold is not None], by_label=by_label)

    @property
    def _predicts_text(self) -> bool:
        """Whether a generated text is already what the task type predicts."""
        return "generate" in self.module.NEEDS

    @staticmethod
    def head(task: TaskSpec, options: Any) -> HeadSpec:
        """The model's own language model head: logits [M, V] of the M positions with a label."""
        return HeadSpec(kind="lm", num_outputs=0)

    def build(self, row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Any:
        """The example of a row, as on every route."""
        return self.module.build(row, task=task, lang=lang, row_id=row_id)

    def texts(self, example: Any) -> tuple[str, ...]:
        """What says that two rows are the same item, as on every route."""
        found: tuple[str, ...] = self.module.texts(example)
        return found

    def encode(
        self, examples: Sequence[Any], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Any, train: bool
    ) -> list[Feature]:
        """One request an example; with `train` its right answer is in it, and examples without one give none."""
        if train:
            return self._training_features(examples, task=task, tokenizer=tokenizer, options=options)
        wordings = self._wordings(examples, task)
        prompts = [self.rendered(example, wordings[example.lang], task=task, tokenizer=tokenizer) for example in examples]
        texts = [wordings[example.lang].continuations(example) for example in examples]
        generate = task.prompt.generate if task.prompt else None
        room = self._room(generate) if generate else 0
        asks = [Ask(one.text, [one.delimiter + text for text in own], one.special, room) for one, own in zip(prompts, texts)]
        encoded = encode_pairs(asks, tokenizer=tokenizer, max_length=self.max_length)
        # One example of a language shows it for all: `fixed` answers have no field of a row in them, so that they are the same
        # text behind whatever stands before.  Choices of lm-eval's files are not looked at: their numbers are to be lm-eval's.
        for example, one in {example.lang: (example, one) for example, one in zip(examples, encoded)}.values():
            where = f"task '{task.task}', language {example.lang}"
            fixed = wordings[example.lang].fixed
            check_told_apart(one, tokenizer=tokenizer, labels=task.labels, fixed=fixed, where=where)
        return [
            Feature(
                example=index,
                input_ids=one.context,
                continuations=None if generate else one.continuations,
                generate=self._generation(examples[index], prompts[index], task=task, tokenizer=tokenizer),
                info=None if generate else [[len(text), len(text.encode())] for text in own],
                num_truncated=one.num_truncated,
            )
            for index, (one, own) in enumerate(zip(encoded, texts))
        ]

    def _room(self, generate: Generate) -> int:
        return room_to_write(generate.max_new_tokens, prompt_args=self.prompt_args, max_length=self.max_length)

    def _generation(
        self, example: Any, prompt: RenderedPrompt, *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast
    ) -> dict[str, Any] | None:
        """What `Feature.generate` says; None where nothing is generated."""
        generate = task.prompt.generate if task.prompt else None
        if generate is None:
            return None
        how = thoughts_of(prompt.text, tokenizer=tokenizer, prompt_args=self.prompt_args)
        found: dict[str, Any] = {"max_new_tokens": self._room(generate), "stop": list(generate.stop), **thinking(how)}
        if self.prompt_args.guided and generate.form in CLOSED_FORMS:
            found["regex"] = answer_regex(example, generate=generate, labels=task.labels, delimiter=prompt.delimiter)
        return found | ({"messages": prompt.turns} if self.prompt_args.chat_template == "server" else {})

    def _training_features(
        self, examples: Sequence[Any], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Any
    ) -> list[Feature]:
        """Prompts with their answers; the label of each position is the token that follows it, of the answer only."""
        wordings = self._wordings(examples, task)
        no_answer = self.module.allows_no_answer(options)
        kept = [n for n, one in enumerate(examples) if one.gold is not None and (one.gold != [""] or no_answer)]
        asks = []
        for example in (examples[n] for n in kept):
            prompt = self.rendered(example, wordings[example.lang], task=task, tokenizer=tokenizer)
            answer = self.gold_continuation(example, task=task) or ""
            asks.append(Ask(prompt.text, [target_text(prompt, answer, tokenizer=tokenizer)], prompt.special))
        features = []
        for index, one in zip(kept, encode_pairs(asks, tokenizer=tokenizer, max_length=self.max_length)):
            (answer_ids,) = one.continuations
            labels = [*[IGNORED] * (len(one.context) - 1), *answer_ids]
            if answer_ids:
                ids = [*one.context, *answer_ids[:-1]]
                features.append(Feature(example=index, input_ids=ids, labels=labels, num_truncated=one.num_truncated))
        return features

    def gold_continuation(self, example: Any, *, task: TaskSpec) -> str | None:
        """The right answer in words, with the end that stops a generated one; None where the example has no gold."""
        answer = wording_of(task, prompt_args=self.prompt_args, lang=example.lang).answer(example)
        generate = task.prompt.generate if task.prompt else None
        if answer is None or generate is None or self.prompt_args.chat_template:
            return answer  # a chat ends the model's turn by itself
        return answer + (generate.stop[0] if generate.stop else "")

    def loss(self, outputs: torch.Tensor, batch: Batch, options: Any) -> torch.Tensor:
        """Cross-entropy summed over the tokens of the answers; outputs [B, T, V], or [M, V] of the M labelled positions."""
        return token_loss(outputs, batch)

    def num_targets(self, features: Sequence[Feature]) -> int:
        """Tokens of the answers."""
        return sum(label != IGNORED for feature in features if isinstance(feature.labels, list) for label in feature.labels)

    def reduce(self, feature: Feature, output: Output | str, *, task: TaskSpec, options: Any) -> Partial:
        """[sum of log-probabilities, tokens, 1 if greedy] of each continuation, or the text that was generated."""
        return output if isinstance(output, str) else np.asarray(output, dtype=np.float64).tolist()

    def decode(
        self, examples: Sequence[Any], features: Sequence[Feature], partials: Sequence[Partial], *, task: TaskSpec, options: Any
    ) -> list[Prediction]:
        """A prediction an example, in the label or text space of the task type on its other routes."""
        assert task.prompt is not None
        said = said_of(features, partials)
        partials = [one.answer or "" for one in said] if task.asks == "generate" else partials
        if self._predicts_text:
            found: list[Prediction] = self.module.decode(examples, features, partials, task=task, options=options)
            return [with_thoughts(prediction, said[n]) for n, prediction in enumerate(found)]
        assert [feature.example for feature in features] == list(range(len(examples))), "each example is one request"
        generate, normalise = task.prompt.generate, self.prompt_args.normalise or task.prompt.normalise
        no_answer = self.module.allows_no_answer(options)
        predictions = []
        for example, feature, partial in zip(examples, features, partials, strict=True):
            if generate is None:
                answer = choose(partial, feature.info, labels=task.labels, normalise=normalise)
            else:
                answer = read_answer(partial, example, task=task, generate=generate, allow_empty=no_answer)
            predictions.append(
                Prediction(
                    id=example.id,
                    lang=example.lang,
                    prediction=answer.prediction,
                    gold=example.gold,
                    num_truncated=feature.num_truncated,
                    notes=answer.notes,
                    scores=answer.scores,
                    answer=None if generate is None else partial,
                )
            )
        return [with_thoughts(prediction, one) for prediction, one in zip(predictions, said, strict=True)]

    def doubts(self, examples: Sequence[Any], *, task: TaskSpec) -> list[str]:
        """What of its templates is hardly meant."""
        return prompt_doubts(task, example=self.module.Example)

    def compares_sums(self, task: TaskSpec) -> bool:
        """Whether continuations are compared by the sums of their log-probabilities as they are."""
        if task.prompt is None or task.asks == "generate":
            return False
        return (self.prompt_args.normalise or task.prompt.normalise) == "sum"

    def oracle(self, feature: Feature, example: Any, *, task: TaskSpec, options: Any) -> Output | str:
        """The output from which `decode` gives the gold; of no likelihood at all, or no text, where there is none."""
        if self._predicts_text:
            text: str = self.module.oracle(feature, example, task=task, options=options)
            return text
        if task.asks == "generate":
            return wording_of(task, prompt_args=self.prompt_args, lang=example.lang).answer(example) or ""
        gold = None if example.gold is None else task.labels.index(example.gold)
        continuations = feature.continuations or []
        return np.array(
            [[-float(n != gold), max(1, len(ids)), n == gold] for n, ids in enumerate(continuations)], dtype=np.float64
        )

    def _wordings(self, examples: Sequence[Any], task: TaskSpec) -> dict[str, Wording]:
        """The words for each language of some examples."""
        langs = dict.fromkeys(example.lang for example in examples)
        return {lang: wording_of(task, prompt_args=self.prompt_args, lang=lang) for lang in langs}

    def rendered(
        self, example: Any, wording: Wording, *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast | None
    ) -> RenderedPrompt:
        """The prompt of an example; its solved examples are worded as the question is, whatever their language."""
        if self.prompt_args.num_fewshot and not self.pool:
            raise UserError(
                f"task '{task.task}' has no examples to show before a question", todo="leave num_fewshot out of --prompt_args"
            )
        shots = draw_shots(
            self.shown, example, k=self.prompt_args.num_fewshot, module=self.module, task=task.task, seed=self.prompt_args.seed
        )
        return render_prompt(
            self._turn(example, wording, answered=False),
            [self._turn(shot, wording, answered=True) for shot in shots],
            prompt_args=self.prompt_args,
            shot_delimiter=wording.shot_delimiter,
            tokenizer=tokenizer,
        )

    def sent(self, example: Any, *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast | None) -> list[SentPrompt]:
        """The prompt of an example; the tokenizer is needed for a chat template only."""
        wording = wording_of(task, prompt_args=self.prompt_args, lang=example.lang)
        prompt = self.rendered(example, wording, task=task, tokenizer=tokenizer)
        return [SentPrompt(prompt.text, tuple(prompt.delimiter + text for text in wording.continuations(example)))]

    def _turn(self, example: Any, wording: Wording, *, answered: bool) -> Turn:
        parts = wording.parts(example)
        return Turn(parts.instruction, parts.context, wording.delimiter, (wording.answer(example) or "") if answered else "")
