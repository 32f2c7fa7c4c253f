"""Loading holds the weights once: what it takes in memory is looked at while it loads, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_models import tokenizer
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from harness.api.registry import ROOT

WIDTH = {"hidden_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 16, "intermediate_size": 4096}
SOME = 1.15
"More than the weights themselves: buffers, and what the libraries keep."
LOADER = """
import json, re, sys, threading, time
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from harness.api.registry import ADAPTERS

def anonymous():
    with open("/proc/self/status") as file:
        return int(re.search(r"RssAnon:\\s+(\\d+)", file.read())[1]) * 1024

adapter, cases = sys.argv[1], json.loads(sys.argv[2])
heads = {"nli": HeadSpec(kind="sequence", num_outputs=3)}
module = ADAPTERS.load(adapter)

def load(path, dtype, inference):
    source = ModelSource(path=path, dtype=dtype, head_labels={"nli": list("abc")})
    return module.load(source, heads=heads, device="cpu", seed=1, inference=inference)

def measured(*case):
    peaks, done = [anonymous()], []

    def look():
        while not done:
            peaks.append(anonymous())
            time.sleep(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()
    model = load(*case)
    done.append(True)
    watcher.join()
    return max(*peaks, anonymous()) - peaks[0]

warm, *wholes = cases
load(*warm)  # imports, and what is made once
print(json.dumps([measured(*case) for case in wholes]))
"""


def written(folder, model_class, config, *, dtype):
    torch.manual_seed(1)
    model = model_class(config).to(dtype)
    model.save_pretrained(folder, max_shard_size="50MB")
    tokenizer().save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def shape(kind, *, small=False):
    own = {**WIDTH, **({"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64} if small else {})}
    labels = {"id2label": dict(enumerate("abc")), "label2id": {name: n for n, name in enumerate("abc")}}
    return kind(vocab_size=len(tokenizer()), pad_token_id=tokenizer().pad_token_id, max_position_embeddings=64, **own, **labels)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
@pytest.mark.parametrize(
    ("model_class", "config_class", "adapter"),
    [
        pytest.param(BertForMaskedLM, BertConfig, "encoder", marks=pytest.mark.slow),
        pytest.param(BertForSequenceClassification, BertConfig, "finetuned", marks=pytest.mark.long),
        pytest.param(LlamaForCausalLM, LlamaConfig, "decoder", marks=pytest.mark.long),
    ],
)
def test_weights_are_in_memory_once(tmp_path, model_class, config_class, adapter):
    """Those that have their type in the files are mapped; of others there is the one copy of that type."""
    cases = [("bfloat16", "bfloat16", True), ("bfloat16", "float32", True), ("float32", "bfloat16", True)]
    cases += [] if adapter == "finetuned" else [("bfloat16", "float32", False)]
    written(tmp_path / "warm", model_class, shape(config_class, small=True), dtype=torch.bfloat16)
    for files in ("bfloat16", "float32"):
        numbers = written(tmp_path / files, model_class, shape(config_class), dtype=getattr(torch, files))
        assert len(list((tmp_path / files).glob("*.safetensors"))) >= 4
    asked = [(str(tmp_path / files), dtype, inference) for files, dtype, inference in [("warm", "bfloat16", True), *cases]]
    command = [sys.executable, "-c", LOADER, adapter, json.dumps(asked)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    peaks = json.loads(ended.stdout)
    assert len(peaks) == len(cases)
    for (files, dtype, _), peak in zip(cases, peaks, strict=True):
        size = numbers * getattr(torch, dtype).itemsize
        assert size > 190e6
        assert peak < (SOME - (files == dtype)) * size
