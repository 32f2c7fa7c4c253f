"""Adapter that has a causal language model asked by vLLM, in whatever environment that lives: likelihoods, texts, vectors.

    source = ModelSource(path="Qwen/Qwen3-0.6B-Base", adapter="decoder", engine=EngineHost(python=..., versions={}, log=...))
    model = load(source, heads={}, device="cpu", seed=0, inference=True)
    outputs = model.loglikelihood(features)        # as those of the adapter `decoder`
    texts = model.generate(features)
    model.close()

It is chosen with engine=vllm, for inference without heads (harness/runtime/engines.py); training and heads belong to `decoder`,
whose checkpoints it loads: whole ones, and low-rank adapters, which vLLM serves beside their base.  vLLM starts when it is first
asked; likelihoods and texts come from one engine, vectors from another that takes its place.  `EngineHost.share`:
    tensor_parallel_size, pipeline_parallel_size, gpu_memory_utilization, max_num_seqs, kv_cache_gib      as vLLM has them
    data_parallel_size       as many engines, each on devices (or cores) of its own, with a share of the requests
"""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.model_source import EngineHost, ModelSource
from harness.api.protocols import Adapter, Batch, Feature, HeadSpec, Output, Pooling
from models.causal.pretrained import causal_config, first_token
from models.headed.checkpoint import checkpoint_folder
from models.headed.hidden_states import resolve_layer
from models.inference.generation import end_tokens, finished_text
from models.inference.requests import GenerationRequest, request_of
from models.loading.pretrained import UNLIMITED, load_config, quiet
from models.loading.tokenizer import load_tokenizer
from models.low_rank.files import adapter_folders, check_servable, combine_adapters
from models.low_rank.origin import find_origin
from models.vllm.likelihood import Scores
from models.vllm.process import Worker
from models.vllm.requests import ContinuationRequest, ScoringRequest, continuation

CAPABILITIES = ("loglikelihood", "generate", "embed")
NO_TOKEN = -1
"Ends a text where vLLM has ended it without a token that does."
USUAL_LENGTH = 2048
"Longest input that an engine is made for, if none longer has been asked: what prompts have by default."
CPU_TOKENS, DEVICE_TOKENS = 1 << 15, 1 << 20
"Tokens to be given at a time: some half a minute of work."
CPU_CACHE_GIB = 1
"For keys and values on CPUs, where vLLM would take nearly all memory there is."
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"Ranks of low-rank adapters that vLLM makes room for."
ENGINE_ARGS = ("tensor_parallel_size", "pipeline_parallel_size", "gpu_memory_utilization", "max_num_seqs")


class VllmModel(Adapter):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    batch_device = "cpu"
    "Where its batches are made: the devices are vLLM's."

    def __init__(
        self,
        llm_args: Mapping[str, Any],
        tokenizer: PreTrainedTokenizerFast,
        *,
        config: PretrainedConfig,
        host: EngineHost,
    ) -> None:
        """Takes arguments of vllm.LLM that belong to the model, and what belongs to the machine."""
        self.tokenizer = tokenizer
        self.versions = host.versions
        vocab_size, limit = int(config.vocab_size), getattr(config, "max_position_embeddings", None)
        self.first = first_token(tokenizer, vocab_size=vocab_size)
        self.num_embeddings = vocab_size
        self.limit = int(limit) if limit else UNLIMITED
        self.max_positions = self.limit - 1 if self.first is not None and limit else self.limit
        on_cpu = self.versions.get("vllm", "").endswith("cpu")
        self.budget = CPU_TOKENS if on_cpu else DEVICE_TOKENS * host.share.get("data_parallel_size", 1)
        self._llm_args, self._config, self._host, self._on_cpu = dict(llm_args), config, host, on_cpu
        self._workers: list[Worker] = []
        self._running: tuple[str, int] = ("", 0)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def loglikelihood(self, features: Sequence[Feature], *, max_tokens: int = 0) -> list[Output]:
        """For each continuation [N, 3] of each feature: sum of log-probabilities, tokens, 1.0 if each is the likeliest."""
        scores = Scores(features)
        return scores.outputs(self._answers("score", scores.requests) if scores.requests else [])

    def generate(self, features: Sequence[Feature], *, max_tokens: int = 0) -> list[str]:
        """What the model writes after each feature's tokens, greedily, until its `generate` says stop."""
        requests = [request_of(feature) for feature in features]
        ends = end_tokens(self._generation_config(), self.tokenizer)
        written: dict[GenerationRequest, list[int]] = {one: [] for one in dict.fromkeys(requests)}
        texts: dict[GenerationRequest, str] = {}
        waiting = list(written)
        while waiting:
            asked = [continuation(one, written[one], ends, tokenizer=self.tokenizer) for one in waiting]
            for one, ids in zip(waiting, self._answers("generate", asked)):
                text = None
                for token in ids:
                    text = finished_text(written[one], token, one, tokenizer=self.tokenizer, ends=ends)
                    if text is not None:
                        break
                # vLLM stops where its own text ends in a stop text: that a stop text is there, is decided here.
                if text is None and (one.regex or not ids):
                    text = finished_text(written[one], NO_TOKEN, one, tokenizer=self.tokenizer, ends=frozenset((NO_TOKEN,)))
                if text is not None:
                    texts[one] = text
            waiting = [one for one in waiting if one not in texts]
        return [texts[one] for one in requests]

    def embed(self, batch: Batch, pooling: Pooling) -> list[Output]:
        """One vector [H] per feature, fp32, not normalised; of the last layer."""
        layers = int(self._config.num_hidden_layers)
        if resolve_layer(pooling.layer, layers) != layers:
            todo = "--model_args layer=-1, or leave engine=vllm out"
            raise UserError("vLLM gives states of the last layer only", where="layer", found=f"{pooling.layer:g}", todo=todo)
        before = [] if self.first is None else [self.first]
        requests = [[*before, *feature.input_ids] for feature in batch.features]
        method = "mean" if before and pooling.method == "mean_no_first" else pooling.method
        return self._vectors(requests, method=method, skip=len(before))

    def _generation_config(self) -> GenerationConfig:
        """What the model's own files say of generation: the tokens that end a text."""
        try:
            return GenerationConfig.from_pretrained(self._llm_args["model"])
        except OSError:
            return GenerationConfig.from_model_config(self._config)

    def close(self) -> None:
        """End vLLM."""
        for worker in self._workers:
            worker.close()
        self._workers, self._running = [], ("", 0)
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _answers(self, do: str, requests: Sequence[ScoringRequest] | Sequence[ContinuationRequest]) -> list[Any]:
        """One answer a request."""
        longest = max(one.num_tokens for one in requests)
        parts = self._share(requests, [len(one.ids) for one in requests], runner="generate", longest=longest)
        for worker, part in parts:
            worker.post({"do": do, "requests": [dataclasses.asdict(one) for one in part]})
        return [answer for worker, _ in parts for answer in worker.wait()[0]["answers"]]

    def _vectors(self, requests: Sequence[list[int]], *, method: str, skip: int) -> list[Output]:
        """One vector a request."""
        lengths = list(map(len, requests))
        parts = self._share(requests, lengths, runner="pooling", longest=max(lengths))
        for worker, part in parts:
            worker.post({"do": "embed", "requests": part, "method": method, "skip": skip})
        found: list[Output] = []
        for worker, _ in parts:
            answer, blob = worker.wait()
            found += list(np.frombuffer(blob, dtype=np.float32).reshape(answer["shape"]))
        if not np.isfinite(np.stack(found)).all():
            todo = "use --model_args dtype=bfloat16 or dtype=float32"
            raise UserError("the model gives infinite or undefined outputs", todo=todo)
        return found

    def _share(
        self, requests: Sequence[Any], lengths: Sequence[int], *, runner: str, longest: int
    ) -> list[tuple[Worker, list[Any]]]:
        """Neighbouring requests, about equally many tokens, for each of the workers, which are started if need be."""
        self._start(runner, longest)
        ends = np.cumsum(lengths)
        cuts = [int(np.searchsorted(ends, ends[-1] * n / len(self._workers))) for n in range(1, len(self._workers))]
        bounds = [0, *cuts, len(requests)]
        parts = [list(requests[begin:end]) for begin, end in pairwise(bounds)]
        return [(worker, part) for worker, part in zip(self._workers, parts) if part]

    def _start(self, runner: str, longest: int) -> None:
        """Have engines that answer requests of so many tokens; those that run are ended where they do not."""
        if self._running[0] == runner and longest <= self._running[1]:
            return
        self.close()
        # One more than there are positions for: what is written last is never computed.
        length = min(self.limit, max(USUAL_LENGTH, 1 << (longest - 1).bit_length())) + 1
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # for vLLM, which is another process
        self._folder = tempfile.TemporaryDirectory(prefix="xlift-vllm-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        with quiet():
            self.tokenizer.save_pretrained(folder / "tokenizer")
        # vLLM looks for the model's configuration there as well, twice if it is not there, with a pause between.
        shutil.copy(Path(self._llm_args["model"]) / "config.json", folder / "tokenizer")
        llm_args = {**self._llm_args, "tokenizer": str(folder / "tokenizer"), "runner": runner, "max_model_len": length}
        llm_args |= {key: self._host.share[key] for key in ENGINE_ARGS if key in self._host.share}
        if cache := self._host.share.get("kv_cache_gib", CPU_CACHE_GIB if self._on_cpu else None):
            llm_args["kv_cache_memory_bytes"] = int(cache * 2**30)
        adapter = _served(llm_args.pop("adapters"), folder / "adapter")
        llm_args |= _lora_args(adapter)
        of = self._host.share.get("data_parallel_size", 1)
        log = Path(self._host.log)
        for number in range(of):
            own = log.with_suffix(f".{number}.log") if of > 1 else log
            devices = _devices(number, of, each=_devices_of(self._host.share))
            worker = Worker(self._host.python, log=own, folder=folder, environment=devices)
            self._workers.append(worker)
            worker.post({"do": "start", "llm_args": llm_args, "adapter": str(adapter or ""), "share": [number, of]})
        try:
            for worker in self._workers:
                worker.wait()
        except UserError:
            self.close()
            raise
        self._running = (runner, length)


def load(
    source: ModelSource,
    *,
    heads: Mapping[str, HeadSpec],
    keep_heads: Mapping[str, str] | None = None,
    device: str,
    seed: int,
    inference: bool,
) -> VllmModel:
    """Find a causal language model and all that vLLM needs of it; nothing is started yet.

    Raises UserError for what is no model folder or no decoder, or lacks weights or a fast tokenizer.
    """
    assert inference, "vLLM does not train"
    assert not heads, "vLLM has no heads"
    assert source.engine is not None, "vLLM has an environment of its own"
    checkpoint = checkpoint_folder(source, with_base=True)
    origin = find_origin(source, checkpoint)
    config = causal_config(load_config(origin.folder, origin.source), bidirectional=False)
    place = checkpoint or origin.folder
    tokenizer = load_tokenizer(place, origin.source, vocab_size=int(config.vocab_size), pads_with_end=True)
    llm_args = {
        "model": str(origin.folder),
        "dtype": source.dtype,
        "trust_remote_code": source.trust_remote_code,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "max_logprobs": -1,
        "seed": 0,
        "adapters": [str(folder) for folder in (*adapter_folders(checkpoint), *([origin.foreign] if origin.foreign else []))],
    }
    return VllmModel(llm_args, tokenizer, config=config, host=source.engine)


def _served(adapters: Sequence[str], folder: Path) -> Path | None:
    """The one adapter that is the sum of those of a checkpoint: itself where it is alone."""
    folders = [Path(adapter) for adapter in adapters]
    if len(folders) < 2:
        return next(iter(folders), None)
    combine_adapters(folders, folder)
    return folder


def _lora_args(adapter: Path | None) -> dict[str, Any]:
    """Arguments of vllm.LLM for an adapter; UserError if its rank is more than vLLM has room for."""
    if adapter is None:
        return {}
    config = check_servable(adapter)
    room = next((rank for rank in RANKS if rank >= config["r"]), None)
    if room is None:
        raise UserError(
            f"vLLM serves adapters of rank {RANKS[-1]} at most",
            where=str(adapter),
            found=f"rank {config['r']}, the sum of all phases",
            todo="leave engine=vllm out: transformers answers then",
        )
    # Without a list vLLM wraps the output matrix as well, and log-probabilities of prompts fail on CPUs.
    modules = sorted({name.rpartition(".")[2] for name in config["target_modules"]})
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": room, "lora_target_modules": modules}


def _devices_of(share: Mapping[str, Any]) -> int:
    """Devices that one engine runs on."""
    return int(share.get("tensor_parallel_size", 1)) * int(share.get("pipeline_parallel_size", 1))


def _devices(number: int, of: int, *, each: int) -> dict[str, str]:
    """The devices of one of several engines, as CUDA takes them from the environment; {} for one that has all."""
    if of == 1:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(n) for n in range(of * each)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[number * each : (number + 1) * each])}
