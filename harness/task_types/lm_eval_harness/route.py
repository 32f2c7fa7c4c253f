"""A task of lm-evaluation-harness asked in words: what stands where a task type's module stands on the other routes.

    route = LmEvalRoute(config=spec.lm_eval, code=code, prompt_args=PromptArgs(), pool=rows, max_positions=8192)
    route.requests(example, task="lm_eval/xnli_de", tokenizer=tokenizer)      # contexts and continuations as texts
    features = route.encode(examples, task=spec, tokenizer=tokenizer, options=options, train=False)

Token for token as lm-eval: a continuation is what follows as many tokens as its context has alone, an empty context is the
tokenizer's first token or else its last, and what is too long loses its beginning.  Requests of a row with the same context are
one feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Feature, Output, Partial, Prediction, RouteDefaults, SentPrompt
from harness.api.thoughts import Said
from harness.specs.lm_eval import Function, LmEvalTask
from harness.specs.model import Spec
from harness.specs.prompt import LM_EVAL_SAMPLER, USUAL_LENGTH, PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.doubts import template_doubts, writes_null
from harness.task_types.lm_eval_harness.drawn_answers import drawn
from harness.task_types.lm_eval_harness.process_results import plain, score_rows
from harness.task_types.lm_eval_harness.prompts import Chat, Request, gold_text, requests
from harness.task_types.lm_eval_harness.rolling import whole_text_features
from harness.task_types.lm_eval_harness.sampler import SequentialDraws
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.task_types.lm_eval_harness.templates import RowRenderer
from harness.task_types.prompting.encoding import Ask, encode_pairs
from harness.task_types.prompting.few_shot import draw
from harness.task_types.prompting.rendering import chat_text, render_chat
from harness.task_types.prompting.thinking import CUT, UNASKED, are_unasked, room_to_write, said_of, thinking, thoughts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LIMIT = 1 << 20
Told: TypeAlias = dict[str, Sequence[Mapping[str, str]]]
"The messages of contexts that a chat template gave."
BY_SUM = ("acc", "f1")
"Metrics of lm-eval that divide the log-likelihood of a choice by nothing."


class Options(Spec):
    """None: everything stands in the task's file."""


@dataclass(frozen=True, kw_only=True)
class LmEvalRoute(RouteDefaults):
    """The prompt route of one task: Asks in the words of harness/api/protocols.py; it trains nothing."""

    config: LmEvalTask
    code: TaskCode
    prompt_args: PromptArgs
    pool: Sequence[Mapping[str, Any]] = ()
    "Rows from which solved examples are taken."
    max_positions: int | None = None
    "Longest input of the model, where it is known."

    _draws: list[SequentialDraws] = field(default_factory=list, repr=False, compare=False)
    "Of lm-eval's sampler, once they are asked for."

    ROUTES = ("prompt",)
    DECODES_TOGETHER = True
    Options = Options

    @property
    def max_length(self) -> int:
        """Longest input in tokens: the model's, unless a run wants another."""
        limit = self.max_positions if self.max_positions and self.max_positions < NO_LIMIT else USUAL_LENGTH
        return min(self.prompt_args.max_length or limit, limit)

    @cached_property
    def shown(self) -> Sequence[Mapping[str, Any]]:
        """The rows that solved examples come from: those of the file, or of a function, before those of a split."""
        samples = self.config.shots.samples
        if isinstance(samples, Function):
            samples = self.code.function(samples)()
        return list(samples) if samples is not None else self.pool

    def telling(self, columns: frozenset[str]) -> RowRenderer:
        """How the task's rows are told."""
        return RowRenderer(config=self.config, code=self.code, columns=columns)

    def requests(
        self, example: Any, *, task: str, tokenizer: PreTrainedTokenizerFast | None = None, told: Told | None = None
    ) -> list[Request]:
        """What is asked for an example; raises UserError, with its number, for one that gives no text.

        In a chat template `told` gets the messages of each context.
        """
        chat: Chat | None = None
        if self.prompt_args.chat_template and self.config.output_type != "loglikelihood_rolling":  # whole texts are in no chat
            assert tokenizer is not None
            chat = _chat(tokenizer, self.prompt_args, told={} if told is None else told)
        try:
            return requests(
                self.telling(example.columns),
                example.row,
                shots=self._shots(example, task),
                chat=chat,
                system=self.prompt_args.system,
                inputs=example.inputs,
            )
        except UserError as error:
            raise error.at(error.where or f"task '{task}', row {int(example.id) + 1}") from error

    def sent(self, example: Any, *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast | None) -> list[SentPrompt]:
        """The contexts of an example, each with what was scored behind it; a chat template needs the tokenizer."""
        asked = self.requests(example, task=task.task, tokenizer=tokenizer)
        return [
            SentPrompt(context, tuple(one.continuation for one in own if one.continuation is not None))
            for context, own in groupby(asked, key=lambda one: one.context)
        ]

    def _shots(self, example: Any, task: str) -> Sequence[Mapping[str, Any]]:
        """The solved examples of a question."""
        num, shots = self.prompt_args.num_fewshot, self.config.shots
        if not num:
            return []
        if shots.sampler == "first_n":
            rows = [row for row in self.shown if row != example.row] if shots.same_rows else self.shown
            found: Sequence[Mapping[str, Any]] = rows[:num]
        elif self.prompt_args.fewshot_sampler == LM_EVAL_SAMPLER:
            found = self._drawn_in_turn(example)
        else:
            question, seed = (task.rpartition("::")[2], example.id), self.prompt_args.seed
            found = draw(self.shown, k=num, question=question, seed=seed, is_own=lambda row: row == example.row)
        if len(found) < num:
            raise UserError(f"not enough rows for {num} solved examples", found=f"{len(self.shown)} rows")
        return found

    def _drawn_in_turn(self, example: Any) -> Sequence[Mapping[str, Any]]:
        """The solved examples that lm-eval's own sampler draws for a question."""
        if not self._draws:
            num, seed = self.prompt_args.num_fewshot, self.prompt_args.seed
            self._draws.append(
                SequentialDraws(self.shown, example.documents, k=num, seed=seed, without_own=self.config.shots.same_rows)
            )
        return self._draws[0].of(int(example.id))

    def encode(
        self, examples: Sequence[Any], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Any, train: bool
    ) -> list[Feature]:
        """A feature for each distinct context of an example; raises UserError for training."""
        if train:
            raise UserError(f"task '{task.task}' of lm-eval trains nothing")
        if self.config.output_type == "loglikelihood_rolling":
            texts = [self.requests(example, task=task.task)[0].continuation or "" for example in examples]
            return whole_text_features(texts, tokenizer=tokenizer, longest=self.max_length)
        told: Told = {}
        asked = [self.requests(example, task=task.task, tokenizer=tokenizer, told=told) for example in examples]
        room = room_to_write(self.config.max_gen_toks, prompt_args=self.prompt_args, max_length=self.max_length)
        asks = [
            Ask(
                one.context,
                [] if one.continuation is None else [one.continuation],
                not self.prompt_args.chat_template,
                room if one.continuation is None else 0,
            )
            for several in asked
            for one in several
        ]
        encoded = iter(encode_pairs(asks, tokenizer=tokenizer, max_length=self.max_length, by_length=True))
        features: list[Feature] = []
        for index, several in enumerate(asked):
            numbered = [(number, one.continuation is None, next(encoded)) for number, one in enumerate(several)]
            groups = [list(group) for _, group in groupby(numbered, key=lambda item: (item[1], item[2].context))]
            for part, group in enumerate(groups):
                number, written, first = group[0]
                context = several[number].context
                features.append(
                    Feature(
                        example=index,
                        part=part,
                        input_ids=first.context,
                        continuations=None if written else [one.continuations[0] for *_, one in group],
                        generate=self._generation(context, told, tokenizer=tokenizer, room=room) if written else None,
                        info=[number for number, *_ in group],
                        num_truncated=max(one.num_truncated for *_, one in group),
                    )
                )
        how = self._sampling
        return drawn(features, examples, task=task.task, **how) if how else features

    @property
    def _sampling(self) -> dict[str, Any] | None:
        """How answers are drawn at random; None where the likeliest is written."""
        if not (self.prompt_args.sampling and self.config.sampling) or self.config.construct_requests is not None:
            return None
        return {"sampling": self.config.sampling, "repeats": self.config.repeats, "seed": self.prompt_args.seed}

    def _generation(self, context: str, told: Told, *, tokenizer: PreTrainedTokenizerFast, room: int) -> dict[str, Any]:
        """What `Feature.generate` says."""
        how = thoughts_of(context, tokenizer=tokenizer, prompt_args=self.prompt_args)
        found = {"max_new_tokens": room, "stop": list(self.config.until), **thinking(how)}
        return found | ({"messages": told[context]} if self.prompt_args.chat_template == "server" else {})

    def reduce(self, feature: Feature, output: Output | str, *, task: TaskSpec, options: Any) -> Partial:
        """[sum of log-probabilities, tokens, 1 if greedy] of each continuation, or the text that was written."""
        return output if isinstance(output, str) else np.asarray(output, dtype=np.float64).tolist()

    def decode(
        self, examples: Sequence[Any], features: Sequence[Feature], partials: Sequence[Partial], *, task: TaskSpec, options: Any
    ) -> list[Prediction]:
        """The values of each example, beside what they were made of."""
        said: list[list[Any]] = [[] for _ in examples]
        cut = [0] * len(examples)
        thought: dict[int, Said] = {}
        for feature, partial, written in zip(features, partials, said_of(features, partials), strict=True):
            if isinstance(partial, str):
                thought[feature.example] = written
            said[feature.example] += [written.answer or ""] if isinstance(partial, str) else partial
            cut[feature.example] = max(cut[feature.example], feature.num_truncated)
        if self.config.output_type == "loglikelihood_rolling":
            said = [[_whole(several)] for several in said]
        if self._sampling:
            answers = [[list(several)] for several in said]
        else:
            answers = [[[self._answer(one)] * self.config.repeats for one in several] for several in said]
        first = examples[0] if examples else None
        values = score_rows(
            self.telling(first.columns if first else frozenset()),
            [example.row for example in examples],
            answers,
            inputs=first.inputs if first else 0,
            targets=first.targets if first else 0,
        )
        return [
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction={"values": plain(own), **self._said(several)},
                gold=example.gold,
                num_truncated=num,
                notes=self._notes(example, several, thought.get(number)),
                thoughts=thought[number].thoughts if number in thought else None,
            )
            for number, (example, own, several, num) in enumerate(zip(examples, values, said, cut, strict=True))
        ]

    def _answer(self, said: Any) -> Any:
        """What lm-eval's filters and functions take: a text, or (log-likelihood, greedy).  Nothing is never the likeliest."""
        if isinstance(said, str):
            return said
        if self.config.output_type == "loglikelihood_rolling":
            return said[0]
        return (said[0] if said[1] else float("-inf"), bool(said[2]))

    def _said(self, several: Sequence[Any]) -> dict[str, Any]:
        """What the model said, as predictions.jsonl keeps it."""
        if self.config.output_type == "generate_until":
            return {"text": several[0], **({"texts": list(several)} if self._sampling and len(several) > 1 else {})}
        return {"loglikelihoods": [one[0] if one[1] else None for one in several], "greedy": [bool(one[2]) for one in several]}

    def _notes(self, example: Any, several: Sequence[Any], said: Said | None) -> tuple[str, ...]:
        """Remarks that the board counts; an answer that was cut in mid-thought is scored as an empty one, as lm-eval has it."""
        empty = any(one == "" if isinstance(one, str) else not one[1] for one in several)
        cut = said is not None and said.answer is None
        null = writes_null(self.telling(example.columns), example.row)
        unasked = any(are_unasked(Said(None, one)) for one in several if isinstance(one, str))
        return (CUT,) * cut + (UNASKED,) * unasked + ("empty",) * (empty and not cut) + ("null",) * null

    def doubts(self, examples: Sequence[Any], *, task: TaskSpec) -> list[str]:
        """What of its templates is hardly meant."""
        return template_doubts(self.telling(examples[0].columns), examples) if examples else []

    def compares_sums(self, task: TaskSpec) -> bool:
        """Whether one of its metrics takes the choice of the largest sum of log-probabilities as it is."""
        return self.config.output_type == "multiple_choice" and any(use.metric in BY_SUM for use in self.config.metrics)

    def oracle(self, feature: Feature, example: Any, *, task: TaskSpec, options: Any) -> Output | str:
        """What a model would have to say to be right."""
        telling = self.telling(example.columns)
        if feature.continuations is None:
            return gold_text(telling, example.row)
        gold = telling.text(example.row) if example.inputs else telling.target(example.row)
        if isinstance(gold, str) and self.config.doc_to_choice is not None:
            choices = telling.choices(example.row)
            gold = choices.index(gold) if gold in choices else -1
        if isinstance(gold, list) and gold:
            gold = gold[0]
        if self.config.output_type.startswith("loglikelihood"):
            gold = feature.info[0]  # whatever is rated is right
        lengths = [len(ids) for ids in feature.continuations or []]
        return np.array(
            [[0.0 if number == gold else -1e3, max(1, length), number == gold] for number, length in zip(feature.info, lengths)],
            dtype=np.float64,
        )

    def texts(self, example: Any) -> tuple[str, ...]:
        """What says that two rows are the same item."""
        return (repr(sorted(example.row.items(), key=str)),)


def _whole(windows: Sequence[Any]) -> list[float]:
    """[sum of log-probabilities, tokens, 1 if greedy] of a text from those of its windows."""
    return [sum(one[0] for one in windows), sum(one[1] for one in windows), float(all(one[2] for one in windows))]


def _chat(tokenizer: PreTrainedTokenizerFast, prompt_args: PromptArgs, *, told: Told) -> Chat:
    """The tokenizer's chat template: the model's turn is opened, or its last message goes on."""

    def write(messages: Sequence[Mapping[str, str]], opened: bool) -> str:
        if opened:
            text = chat_text(tokenizer, messages, prompt_args=prompt_args)
            told[text] = messages
            return text
        by_server = prompt_args.chat_template == "server"
        if prompt_args.thinking or by_server:
            raise UserError(
                "the task begins the answer itself" + (", and a server's chat has it begun by the model" if by_server else ""),
                where="--prompt_args chat_template" if by_server else "--prompt_args thinking",
                todo="chat_template=true" if by_server else "leave thinking out",
            )
        *before, last = messages
        return render_chat(tokenizer, before, answer=True) + last["content"]

    return write
