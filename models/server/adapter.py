"""Adapter that has a server answer in words: likelihoods of given texts, and texts that it writes.

    source = ModelSource(path="SmolLM2-135M-Instruct", tokenizer="models/SmolLM2", engine=host)      # host.share: see below
    model = load(source, heads={}, device="cpu", seed=0, inference=True)
    for number, output in model.answer_singly(features, asks="loglikelihood"): ...          # as they come
    model.close()

It is chosen with engine=server (harness/runtime/engines.py).  `EngineHost.share` has the fields of ServerArgs: base_url,
num_concurrent, max_retries, timeout, api_key_variable.  The key is read from the environment when the adapter is loaded, and is
written nowhere.  What the server says of itself and of the model (`/models`, and `/version` of vLLM) stands in `versions`, and
with that beside every prediction and on the board.  Before anything else it is asked to repeat a prompt: ids that are other words
to it belong to another tokenizer.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np
from transformers import PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.progress import tell
from harness.api.protocols import Adapter, Feature, HeadSpec, Output
from harness.api.thoughts import Thoughts
from harness.specs.model_args import KEY_VARIABLE
from models.loading.files import locate_tokenizer
from models.loading.pretrained import UNLIMITED
from models.loading.tokenizer import load_tokenizer
from models.server.client import Client, ClientLimits
from models.server.requests import ServedAs, echo, echoed, score_of, scoring, text_of, writing

CAPABILITIES = ("loglikelihood", "generate")
NUM_CONCURRENT, MAX_RETRIES, TIMEOUT = 8, 8, 600.0
TOKENS = 1 << 20
"Tokens to be given at a time: they bound what is planned at once, not what is on its way."
WRITTEN_BEHIND = 2
"Positions that scoring takes beyond the input: the last token of a continuation, and one that is written."
PROBED = 64
"Tokens of a prompt that the server is to repeat."
SAME_WORDS = 0.5
"Share of its words that have to come back, in their order."
NO_LIMIT = (1 << 31) - 1
_WORD = re.compile(r"\w+")


class ServedModel(Adapter):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    is_remote = True
    batch_device = "cpu"
    budget = TOKENS

    def __init__(
        self, client: Client, tokenizer: PreTrainedTokenizerFast, served: ServedAs, *, versions: Mapping[str, str]
    ) -> None:
        """Takes the connection, the tokenizer of the model, and what the server says of the model and of itself."""
        self.tokenizer, self.versions, self.served = tokenizer, versions, served
        self.max_positions = served.positions - WRITTEN_BEHIND if served.positions else UNLIMITED
        self._client = client
        self._is_probed = False

    def answer_singly(self, features: Sequence[Feature], *, asks: str) -> Iterator[tuple[int, Output | str]]:
        """(number of the feature, output) as the answers come: what `loglikelihood` or `generate` would give."""
        if features and not self._is_probed:
            self._probe(features[0])
        yield from self._written(features) if asks == "generate" else self._scored(features)

    def loglikelihood(self, features: Sequence[Feature], *, max_tokens: int = 0) -> list[Output]:
        """For each continuation [N, 3] of each feature: sum of log-probabilities, tokens, 1.0 if each is the likeliest."""
        found = dict(self.answer_singly(features, asks="loglikelihood"))
        return [np.asarray(found[number]) for number in range(len(features))]

    def generate(self, features: Sequence[Feature], *, max_tokens: int = 0) -> list[str]:
        """What the model writes after each feature's tokens, greedily, until its `generate` says stop."""
        found = dict(self.answer_singly(features, asks="generate"))
        return [str(found[number]) for number in range(len(features))]

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _scored(self, features: Sequence[Feature]) -> Iterator[tuple[int, Output]]:
        """A request for each different continuation; a feature is answered when the last of them is."""
        texts = [list(map(tuple, feature.continuations or ())) for feature in features]
        different = [list(dict.fromkeys(filter(None, own))) for own in texts]
        places = [(number, ids) for number, own in enumerate(different) for ids in own]
        rows: list[dict[tuple[int, ...], tuple[float, int, float]]] = [{(): (0.0, 0, 1.0)} for _ in features]
        for number, own in enumerate(different):
            if not own:
                yield number, _rows(texts[number], rows[number])
        posts = [scoring([*features[number].input_ids, *ids], self.served) for number, ids in places]
        for at, answer in self._client.answers(posts):
            number, ids = places[at]
            context = features[number].input_ids
            rows[number][ids] = score_of(answer, ids=[*context, *ids], context=len(context))
            if len(rows[number]) == len(different[number]) + 1:
                yield number, _rows(texts[number], rows[number])

    def _written(self, features: Sequence[Feature]) -> Iterator[tuple[int, str]]:
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        asked = [dict(feature.generate or {}) for feature in features]
        how: list[Thoughts | None] = [one.get("thoughts") for one in asked]
        posts = [
            writing(feature, self.served, keeps_special=one is not None and one.end in special)
            for feature, one in zip(features, how, strict=True)
        ]
        for number, feature in enumerate(features):
            if "messages" in asked[number] and feature.num_truncated:
                raise UserError(
                    f"a conversation is {feature.num_truncated} tokens too long, and a server's chat cannot be sent a part of it",
                    where="--prompt_args chat_template=server",
                    todo="fewer solved examples, a larger max_length, or chat_template=true",
                )
        for number, answer in self._client.answers(posts):
            text, thoughts = text_of(answer, asked[number]), how[number]
            yield number, text if thoughts is None else self._within(text, thoughts, total=asked[number]["max_new_tokens"])

    def _within(self, text: str, thoughts: Thoughts, *, total: int) -> str:
        """A text whose thoughts keep to their budget, and whose answer has the rest, as the tokenizer counts them.

        A server bounds the sum of both only: what was begun behind too many thoughts is no answer.
        """
        most = total - thoughts.budget
        if not text.startswith(thoughts.start):
            return self._first_tokens(text, most)
        opening = thoughts.start if thoughts.opened else ""  # stands in the prompt
        before, end, answer = text.removeprefix(opening).partition(thoughts.end)
        if not end or self._count(before + end) > thoughts.budget:
            return opening + self._first_tokens(before, thoughts.budget)
        return opening + before + end + self._first_tokens(answer, most)

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _first_tokens(self, text: str, most: int) -> str:
        """As much of a text as so many tokens are."""
        ends = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(ends) <= most else text[: ends[most - 1][1]]

    def _probe(self, feature: Feature) -> None:
        """Have the server repeat the end of a prompt; raises UserError where it reads other words in the ids."""
        self._is_probed = True
        if "messages" in (feature.generate or {}):
            return  # it is sent words
        ids = feature.input_ids[-PROBED:]
        try:
            ((_, answer),) = self._client.answers([echo(ids, self.served)])
            text = echoed(answer)
        except UserError as error:
            why = error.found or error.message
            tell(f"server: it repeats no prompt, so that nothing says whether this tokenizer is that of its model: {why}")
            return
        wanted = _WORD.findall(str(self.tokenizer.decode(ids, skip_special_tokens=True)))
        same = SequenceMatcher(None, wanted, _WORD.findall(text), autojunk=False).get_matching_blocks()
        if sum(block.size for block in same) < SAME_WORDS * len(wanted):
            raise UserError(
                "the server reads other words: this is not the tokenizer of its model",
                where="--model_args tokenizer",
                expected=" ".join(wanted[:12]),
                found=f"{text!r:.100}",
                todo="give the tokenizer that belongs to the model which the server has loaded",
            )


def load(
    source: ModelSource,
    *,
    heads: Mapping[str, HeadSpec],
    keep_heads: Mapping[str, str] | None = None,
    device: str,
    seed: int,
    inference: bool,
) -> ServedModel:
    """Load the tokenizer and look what the server has; raises UserError where it does not answer or has no such model."""
    assert inference, "a server does not train"
    assert not heads, "a server has no heads"
    assert source.engine is not None, "a server has an address"
    assert source.tokenizer is not None, "a served model has a tokenizer here"
    place = locate_tokenizer(source.tokenizer, revision=source.revision, remote_code=source.trust_remote_code)
    tokenizer = load_tokenizer(place, source, vocab_size=NO_LIMIT, pads_with_end=True)
    share = source.engine.share
    variable = str(share.get("api_key_variable", KEY_VARIABLE))
    limits = ClientLimits(
        num_concurrent=int(share.get("num_concurrent", NUM_CONCURRENT)),
        max_retries=int(share.get("max_retries", MAX_RETRIES)),
        timeout=float(share.get("timeout", TIMEOUT)),
    )
    client = Client(str(share["base_url"]), key=os.environ.get(variable, ""), limits=limits, variable=variable)
    try:
        served = _found(client, source.path)
        return ServedModel(client, tokenizer, served, versions=_versions(client, served))
    except BaseException:
        client.close()
        raise


def _found(client: Client, name: str) -> ServedAs:
    """What the server says of a model; raises UserError where it has others only.  A server without a list may have any."""
    try:
        listed = client.get("/models")
    except UserError as error:
        if error.found.startswith(("404", "405", "501")):
            return ServedAs(name=name)
        raise
    entries = [
        entry for entry in (listed.get("data") if isinstance(listed, Mapping) else None) or () if isinstance(entry, Mapping)
    ]
    names = [str(entry.get("id")) for entry in entries]
    if name not in names:
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        todo = f"--model {names[0]}" if len(names) == 1 else ""
        message = f"the server has no model '{name}'"
        raise UserError(message, where=f"{client.base_url}/models", found=shown or "no model", todo=todo)
    entry = entries[names.index(name)]
    positions = entry.get("max_model_len")
    return ServedAs(
        name=name,
        owner=str(entry.get("owned_by") or ""),
        root=str(entry.get("root") or ""),
        positions=positions if isinstance(positions, int) and positions > WRITTEN_BEHIND else None,
    )


def _versions(client: Client, served: ServedAs) -> dict[str, str]:
    """What answers, for whoever reads the scores."""
    said = [f"from {served.root.rstrip('/').rpartition('/')[2]}"] if served.root not in ("", served.name) else []
    said += [f"owned by {served.owner}"] if served.owner else []
    said += [f"{served.positions} positions"] if served.positions else []
    found = {"server": client.base_url, "served model": served.name + (f" ({', '.join(said)})" if said else "")}
    if served.owner == "vllm":
        with contextlib.suppress(UserError):  # some put it behind something that passes only the API on
            found["vllm (server)"] = str(client.get(client.base_url.removesuffix("/v1") + "/version")["version"])
    return found


def _rows(texts: Sequence[tuple[int, ...]], rows: Mapping[tuple[int, ...], tuple[float, int, float]]) -> Output:
    return np.array([rows[ids] for ids in texts], dtype=np.float64).reshape(-1, 3)
