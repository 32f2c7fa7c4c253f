"""vLLM's own server, on a CPU, with a real small model and a very small one that thinks: what it says is what vLLM says here.

XLIFT_VLLM_PYTHON=/path/to/python python -m pytest tests/models/test_server_real.py      # or after `make vllm`
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from small_thinkers import ANIMALS, OPENED, answer, make_thinker, thoughts, write_task

import run_eval
from harness.runtime.stages import read_json

pytestmark = pytest.mark.real
TASKS, LANGUAGES, LIMIT = "xnli,xquad", "en,de", "3"
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
}
KEY = "key-of-this-test"
SECONDS = 300


@contextlib.contextmanager
def vllm_server(python, model, name, log):
    """Its address, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--dtype", "float32", "--enforce-eager", "--block-size", "32", "--api-key", KEY, "--host", "127.0.0.1"]
    words = [
        python,
        "-P",
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        model,
        "--served-model-name",
        name,
        "--port",
        str(port),
    ]
    path = os.pathsep.join((str(Path(python).parent), os.environ.get("PATH", "")))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, *settings],
            stdout=output,
            stderr=output,
            env={**os.environ, **ENVIRONMENT, "PATH": path},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-3000:]
            assert time.monotonic() < until, "the server does not start"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def predictions(root):
    found = {}
    for folder in (root / "predict").iterdir():
        args = read_json(folder / "args.json")["args"]
        lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        found[args["task"], args["lang"]] = [json.loads(line) for line in lines]
    return found


def test_the_servers_answers_are_those_of_vllm_in_a_process_of_its_own(
    vllm_interpreter, real_models, shared, tmp_path, capsys, monkeypatch
):
    """Likelihoods within 1e-3, the same texts; the server and what it serves are on the board, its key is nowhere."""
    smol = str(real_models / "SmolLM2-135M-Instruct")
    what = ["--tasks", TASKS, "--languages", LANGUAGES, "--limit", LIMIT, "--data_dir", str(shared / "hub"), "--route", "prompt"]
    how = ["--quiet", "--device", "cpu"]
    here, there = tmp_path / "here", tmp_path / "there"
    local = ["--model", smol, "--model_args", "dtype=float32,engine=vllm", "--output_path", str(here)]
    assert run_eval.main([*local, *what, *how]) == 0
    monkeypatch.setenv("XLIFT_SERVER_KEY", KEY)
    with vllm_server(vllm_interpreter, smol, "smol", tmp_path / "server.log") as url:
        remote = [
            "--model",
            "smol",
            "--model_args",
            f"engine=server,base_url={url},tokenizer={smol}",
            "--output_path",
            str(there),
        ]
        assert run_eval.main([*remote, *what, *how]) == 0
        capsys.readouterr()
        assert run_eval.main(["leaderboard", str(there)]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"served model smol (from SmolLM2-135M-Instruct, owned by vllm, 8192 positions), server {url}, " in said
        chat = ["--model", "smol", "--model_args", f"engine=server,base_url={url},tokenizer={smol}", "--prompt_args"]
        written = ["--tasks", "xquad", *what[2:], *how]
        for way in ("server", "true"):
            assert run_eval.main([*chat, f"chat_template={way}", "--output_path", str(tmp_path / way), *written]) == 0
    mine, theirs = predictions(there), predictions(here)
    assert len(mine) == len(theirs) == 4
    largest, rated = 0.0, 0
    for key, lines in mine.items():
        for one, other in zip(lines, theirs[key], strict=True):
            if "scores" in other:
                difference = np.abs(np.subtract(one.pop("scores"), other.pop("scores"))).max()
                largest, rated = max(largest, float(difference)), rated + 1
            assert one == other, key
    sys.stdout.write(f"largest difference of a log-likelihood: {largest:.2g}\n")
    assert (largest < 1e-3, rated) == (True, 6)
    assert predictions(tmp_path / "server") == predictions(tmp_path / "true")  # the server's template is the tokenizer's
    assert [path for path in there.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_thoughts_are_kept_apart_by_vllm_and_by_its_server(vllm_interpreter, tmp_path, monkeypatch):
    thinker = make_thinker(tmp_path / "thinker", template=OPENED)
    write_task(tmp_path / "tasks")
    what = ["--tasks", "where", "--include_path", str(tmp_path / "tasks"), "--route", "prompt", "--quiet", "--device", "cpu"]
    what += ["--prompt_args", "chat_template=true,thinking=on,thinking_budget=16"]
    found = {}
    for engine in ("transformers", "vllm"):
        words = ["--model", thinker, "--model_args", f"dtype=float32,engine={engine}", "--output_path", str(tmp_path / engine)]
        assert run_eval.main([*words, *what]) == 0
        found[engine] = predictions(tmp_path / engine)["where", "en"]
    monkeypatch.setenv("XLIFT_SERVER_KEY", KEY)
    with vllm_server(vllm_interpreter, thinker, "thinker", tmp_path / "server.log") as url:
        words = ["--model", "thinker", "--model_args", f"engine=server,base_url={url},tokenizer={thinker}"]
        assert run_eval.main([*words, "--output_path", str(tmp_path / "server"), *what]) == 0
    found["server"] = predictions(tmp_path / "server")["where", "en"]
    assert [line["prediction"] for line in found["vllm"]] == [*map(answer, ANIMALS[:3]), None]
    assert [line["thoughts"] for line in found["vllm"][:3]] == [*map(thoughts, ANIMALS[:3])]
    assert found["vllm"] == found["transformers"]
    assert found["server"] == found["vllm"]
    assert found["server"][3]["notes"] == ["cut_in_thought"]
