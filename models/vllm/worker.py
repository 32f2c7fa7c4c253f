"""Runs vLLM for another process: engines, likelihoods, texts and vectors over a socket, in whatever environment has vLLM.

    python -P models/vllm/worker.py <file descriptor of the socket>      # started by models/vllm/process.py

It imports nothing of this project.  A message is 16 bytes (two lengths), JSON, and raw bytes (float32 arrays); each order has one
answer, `{"error": ...}` where it failed.  Standard input shows that the parent lives: when it ends, so does this process with all
that it has started, whatever it is doing.  What vLLM prints goes to standard output, which is a log.
"""

import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import traceback
from typing import Any

LENGTHS = struct.Struct("<QQ")
CPU_BLOCK = 32
"Tokens of a block of kept keys and values: prefixes are shared in whole blocks, and this is the smallest on CPUs (128 is usual)."
STATE_BYTES = 1 << 28
"Hidden states that are held at once before they are pooled."


def send(connection: socket.socket, message: dict[str, Any], blob: bytes = b"") -> None:
    """Write one message."""
    text = json.dumps(message).encode()
    connection.sendall(LENGTHS.pack(len(text), len(blob)) + text + blob)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Read one message; EOFError where the other side is gone."""
    text, blob = LENGTHS.unpack(_read(connection, LENGTHS.size))
    message: dict[str, Any] = json.loads(_read(connection, text))
    return message, _read(connection, blob)


def _read(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(1 << 20, size - len(parts)))
        if not part:
            raise EOFError("the connection is closed")
        parts += part
    return bytes(parts)


class VllmEngine:
    """One vLLM engine and what it is asked."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it: `llm_args` are arguments of vllm.LLM, `adapter` is a peft folder; see models/vllm/adapter.py."""
        from vllm import LLM
        from vllm.config import PoolerConfig
        from vllm.platforms import current_platform

        llm_args = dict(order["llm_args"])
        if llm_args["runner"] == "pooling":
            llm_args["pooler_config"] = PoolerConfig(task="token_embed")
        if current_platform.is_cpu():
            _settle_on_cpu(llm_args, share=order["share"])
        self.llm = LLM(**llm_args)
        self.adapter = None
        if order["adapter"]:
            from vllm.lora.request import LoRARequest

            self.adapter = LoRARequest("adapter", 1, order["adapter"])
        # Grammars made in other threads would be ready sooner or later, and with that decide what shares a forward pass.
        core = getattr(self.llm.llm_engine.engine_core, "engine_core", None)
        if core is not None:
            core.structured_output_manager._use_async_grammar_compilation = False

    def score(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """For each request `next` log-probabilities behind its ids, the likeliest token there, and `rows` of its last ids.

        A row is the log-probability of one of the last ids of a request and whether it is the likeliest; `context` says how many
        ids stand before all of those that are read.
        """
        requests = order["requests"]
        outputs = self._run(requests, [self._score_sampling(one, cached=True) for one in requests])
        # What was in the cache has no rows: where that is more than the context (continuations that begin alike), once again.
        again = [n for n, one in enumerate(requests) if one["rows"] and (outputs[n].num_cached_tokens or 0) > one["context"]]
        if again:
            sampling = [self._score_sampling(requests[n], cached=False) for n in again]
            for n, output in zip(again, self._run([requests[n] for n in again], sampling)):
                outputs[n] = output
        return {"answers": [_scored(one, output) for one, output in zip(requests, outputs)], "repeated": len(again)}, b""

    def _score_sampling(self, one: dict[str, Any], *, cached: bool) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=0,
            max_tokens=1,
            detokenize=False,
            logprob_token_ids=one["next"],
            prompt_logprobs=0 if one["rows"] else None,
            skip_reading_prefix_cache=not cached,
        )

    def generate(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The ids that the model writes behind each request's, greedily, the one that ended it included."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        sampling = [
            SamplingParams(
                temperature=0,
                max_tokens=one["max_tokens"],
                stop=one["stop"] or None,
                stop_token_ids=one["ends"],
                ignore_eos=True,
                detokenize=bool(one["stop"]),
                structured_outputs=StructuredOutputsParams(regex=one["regex"]) if one["regex"] else None,
            )
            for one in order["requests"]
        ]
        outputs = self._run(order["requests"], sampling)
        return {"answers": [list(output.outputs[0].token_ids) for output in outputs]}, b""

    def _run(self, requests: list[dict[str, Any]], sampling: list[Any]) -> list[Any]:
        """All requests at once; nothing is left in the cache of those before, so that the same ones get the same answers."""
        self.llm.reset_prefix_cache()
        prompts: list[Any] = [{"prompt_token_ids": one["ids"]} for one in requests]
        return list(self.llm.generate(prompts, sampling, use_tqdm=False, lora_request=self.adapter))

    def embed(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """One float32 vector a request: the last layer's states, but for the first `skip`, pooled by `method`."""
        import torch
        from vllm import PoolingParams

        vectors: list[Any] = []
        width = self.llm.model_config.get_hidden_size()
        for part in _parts([len(ids) for ids in order["requests"]], most=max(1, STATE_BYTES // (4 * width))):
            outputs = self.llm.encode(
                [{"prompt_token_ids": order["requests"][n]} for n in part],
                PoolingParams(task="token_embed", use_activation=False),
                pooling_task="token_embed",
                use_tqdm=False,
                lora_request=self.adapter,
            )
            for output in outputs:
                states_TH = torch.as_tensor(output.outputs.data).float()[order["skip"] :]
                vectors.append(_pooled(states_TH, order["method"]))
        found = torch.stack(vectors)
        return {"shape": list(found.shape)}, found.numpy().tobytes()


def _settle_on_cpu(llm_args: dict[str, Any], *, share: list[int]) -> None:
    """Settings for CPUs: no compilation, small blocks, and the cores divided among workers (`share`: number, of)."""
    import torch._dynamo

    torch._dynamo.config.disable = True  # the one function that vLLM compiles in spite of enforce_eager takes 20 seconds to
    llm_args |= {"enforce_eager": True, "block_size": CPU_BLOCK}
    number, of = share
    cores = sorted(os.sched_getaffinity(0))
    if of > 1 and len(cores) >= of:
        os.sched_setaffinity(0, cores[number * len(cores) // of : (number + 1) * len(cores) // of])


def _scored(one: dict[str, Any], output: Any) -> dict[str, Any]:
    """The answer to one request of `score`."""
    (written,) = output.outputs[0].logprobs
    rows = []
    if one["rows"]:
        for token, found in zip(one["ids"][-one["rows"] :], output.prompt_logprobs[-one["rows"] :]):
            rows.append([found[token].logprob, found[token].rank == 1])
    return {"next": [written[token].logprob for token in one["next"]], "top": output.outputs[0].token_ids[0], "rows": rows}


def _pooled(states_TH: Any, method: str) -> Any:
    """One vector [H] of the states of a text."""
    if method in ("first", "last"):
        return states_TH[0 if method == "first" else -1]
    if method == "mean_no_first" and len(states_TH) > 1:
        states_TH = states_TH[1:]
    return states_TH.mean(dim=0)


def _parts(lengths: list[int], *, most: int) -> list[list[int]]:
    """Neighbours whose lengths come to at most so many together; one that is longer stands alone."""
    parts: list[list[int]] = []
    used = 0
    for number, length in enumerate(lengths):
        if not parts or used + length > most:
            parts.append([])
            used = 0
        parts[-1].append(number)
        used += length
    return parts


def _end_with_parent(folder: str) -> None:
    """Wait until standard input ends, then remove the folder and end this process and all in its group."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def serve(connection: socket.socket) -> None:
    """Carry out orders until the other side is gone."""
    engine: VllmEngine | None = None
    while True:
        answer: dict[str, Any]
        try:
            order, _ = receive(connection)
        except EOFError:
            return
        try:
            if order["do"] == "start":
                engine = VllmEngine(order)
                answer, blob = {}, b""
            else:
                answer, blob = getattr(engine, order["do"])(order)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            answer, blob = {"error": f"{type(error).__name__}: {error}"}, b""
        send(connection, answer, blob)


if __name__ == "__main__":
    parent_watch = threading.Thread(target=_end_with_parent, args=(sys.argv[2],), daemon=True)
    parent_watch.start()
    serve(socket.socket(fileno=int(sys.argv[1])))
    parent_watch.join()  # it removes the folder before the process ends
