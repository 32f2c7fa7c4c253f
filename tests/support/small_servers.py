"""A small server with OpenAI's API that computes what it answers, and fails where a test says so.

with SmallServer(folder, name="small") as server:
    server.url, server.asked, server.most_at_once
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@dataclass
class SmallServer(AbstractContextManager["SmallServer"]):
    """Greedy answers of a small causal language model, over HTTP."""

    folder: str
    name: str = "small"
    key: str = ""
    "Asked for in every request, if there is one."
    faults: Mapping[int, int | str] = field(default_factory=dict)
    "Number of a POST, from 0 -> status that it gets in place of an answer, or `drop`: the connection ends."
    retry_after: str = "0"
    change: Callable[[dict[str, Any]], Any] = lambda answer: answer
    "What becomes of each answer before it is sent."
    pause: float = 0.0
    "Seconds that an answer takes at least, in which others may come."
    owner: str = ""
    positions: int | None = None
    lists: bool = True
    "Whether it says which models it has."
    asked: list[dict[str, Any]] = field(default_factory=list)
    "The body of every POST, with `path`."
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        self._lock, self._now = threading.Lock(), 0
        handler = type("Handler", (_Handler,), {"small": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> "SmallServer":
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def number(self, body: dict[str, Any], headers: dict[str, str]) -> int:
        """Write down that something is asked; its number."""
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.asked.append(body)
            self.headers.append(headers)
            return len(self.asked) - 1

    def done(self) -> None:
        with self._lock:
            self._now -= 1

    def models(self) -> dict[str, Any]:
        entry = {"id": self.name, "owned_by": self.owner, "root": "/somewhere/weights", "max_model_len": self.positions}
        return {"data": [{key: value for key, value in entry.items() if value}]}

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the model says."""
        chat = path.endswith("/chat/completions")
        kwargs = body.get("chat_template_kwargs", {})
        ids = (
            body["prompt"]
            if not chat
            else self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False, **kwargs)
        )
        with self._lock, torch.no_grad():
            logprobs = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            written, text, reason = self._written(ids, body)
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written)}
        choice: dict[str, Any] = {"finish_reason": reason, "logprobs": None}
        if chat:
            return {"choices": [{**choice, "message": {"role": "assistant", "content": text}}], "usage": usage}
        choice["text"] = (self.tokenizer.decode(ids) if body.get("echo") else "") + text
        if body.get("logprobs") is not None:
            tokens = [
                f"token_id:{token}" if body.get("return_tokens_as_token_ids") else self.tokenizer.decode([token]) for token in ids
            ]
            own = [None, *(logprobs[at, token].item() for at, token in enumerate(ids[1:]))]
            best = [None, *({f"token_id:{row.argmax()}": row.max().item()} for row in logprobs[:-1])]
            last = logprobs[-1].max().item()
            choice["logprobs"] = {
                "tokens": [*tokens, "?"],
                "token_logprobs": [*own, last],
                "top_logprobs": [*best, {"?": last}],
            }
        return {"choices": [choice], "usage": usage}

    def _written(self, ids: list[int], body: Mapping[str, Any]) -> tuple[list[int], str, str]:
        written: list[int] = []
        text = ""
        while len(written) < body["max_tokens"]:
            token = int(self.model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax())
            if token == self.tokenizer.eos_token_id:
                return written, text, "stop"
            written.append(token)
            text = self.tokenizer.decode(written, skip_special_tokens=body.get("skip_special_tokens", True))
            places = [at for stop in body.get("stop", ()) if (at := text.find(stop)) >= 0]
            if places:
                return written, text[: min(places)], "stop"
        return written, text, "length"


class _Handler(BaseHTTPRequestHandler):
    small: SmallServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        if self.path == "/v1/models" and self.small.lists:
            self._send(200, self.small.models())
        else:
            self._send(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = self.small.number({**body, "path": self.path}, dict(self.headers))
        try:
            time.sleep(self.small.pause)
            given = self.headers.get("Authorization", "")
            fault = self.small.faults.get(number)
            if self.small.key and given != f"Bearer {self.small.key}":
                self._send(401, {"error": {"message": f"wrong key: {given}"}})
            elif fault == "drop":
                self.close_connection = True
                self.connection.close()
            elif isinstance(fault, int):
                self._send(fault, {"error": {"message": f"fault {fault} of this server"}})
            else:
                self._send(200, self.small.change(self.small.answer(self.path, body)))
        finally:
            self.small.done()

    def _send(self, status: int, content: Any) -> None:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if status in (429, 503):
            self.send_header("Retry-After", self.small.retry_after)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
            self.end_headers()
            self.wfile.write(text)
