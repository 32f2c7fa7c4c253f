"""Model folders whose files are not what they seem: each kind is said by the plan, with its file, before anything is loaded."""

import hashlib
import json
import subprocess
import sys
import time

import pytest
import tokenizers
from small_folders import with_header, write_model_folder, write_shards
from tokenizers import Tokenizer

import run_eval
from harness.api.errors import UserError
from harness.api.file_states import DOUBT_NS
from harness.api.model_files import read_header, read_model_json, weight_files
from harness.api.registry import ROOT
from harness.data import file_hashes
from harness.planning.backbone import folder_checks
from harness.planning.backbone.folder_checks import check_folder, known_model_types
from harness.planning.backbone.folders import checkpoint_parts


@pytest.fixture
def folder(tmp_path):
    return write_model_folder(tmp_path / "model")


def planned(folder, *words):
    return run_eval.main(["plan", "--model", str(folder), "--tasks", "mini/retrieval", "--no_train", "--recipe", "mini", *words])


def refused(capsys, folder, *words):
    """What a plan says of a folder that cannot be."""
    capsys.readouterr()
    assert planned(folder, *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_a_whole_folder_is_planned(folder, capsys):
    assert planned(folder) == 0
    write_shards(folder)
    assert planned(folder) == 0


def entry(**changes):
    """A header of one tensor of 8 bytes, with something else in it."""
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()


EIGHT = b"\0" * 8
SAFETENSORS = {
    "nothing": (b"", "a header of 0 bytes"),
    "garbage": (b"\xff" * 100, "a header of 18,446,744,073,709,551,615 bytes in a file of 100"),
    "a huge header": ((1 << 40).to_bytes(8, "little") + b"{}", "a header of 1,099,511,627,776 bytes"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a header of"),
    "no JSON": (with_header(b"{" * 20), "JSONDecodeError"),
    "nested": (with_header(b"[" * 100_000), "within each other without an end"),
    "a list": (with_header(b"[1, 2, 3]"), "the header is no object"),
    "long numbers": (with_header(b'{"a": ' + b"9" * 5000 + b"}"), "ValueError"),
    "a tensor twice": (with_header(b'{"a": {"x": 1}, "a": {"x": 2}}'), "the key 'a' comes twice"),
    "half a character": (with_header(entry().replace(b'"a"', b'"\\ud800"'), EIGHT), "half a character"),
    "strange notes": (with_header(b'{"__metadata__": {"a": [1]}}'), "`__metadata__` is not name -> text"),
    "no such type": (with_header(entry(dtype="Q7"), EIGHT), "tensor 'a' of a type 'Q7' that the format does not have"),
    "a negative shape": (with_header(entry(shape=[-2]), EIGHT), "no number of bytes"),
    "a shape of text": (with_header(entry(shape=["2"]), EIGHT), "no number of bytes"),
    "a shape without end": (with_header(entry(shape=[1] * 1000), EIGHT), "no number of bytes"),
    "no shape": (with_header(entry(shape=None), EIGHT), "TypeError"),
    "another size": (with_header(entry(shape=[3]), EIGHT), "tensor 'a' of F32 [3] cannot lie in 8 bytes"),
    "an overflow": (with_header(entry(shape=[1 << 62, 4]), EIGHT), "cannot lie in 8 bytes"),
    "one offset": (with_header(entry(data_offsets=[0]), EIGHT), "ValueError"),
    "a hole": (with_header(entry(data_offsets=[4, 12]), b"\0" * 12), "tensor 'a' begins at 4 where the one before it ends at 0"),
    "cut": (with_header(entry(), b"\0" * 7), "where its header tells of"),
    "too long": (with_header(entry(), b"\0" * 9), "where its header tells of"),
}


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_a_header_is_held_against_its_file(folder, capsys, kind):
    content, words = SAFETENSORS[kind]
    (folder / "model.safetensors").write_bytes(content)
    text = refused(capsys, folder)
    assert text.startswith(f"error: {folder}/model.safetensors: cannot read these weights")
    assert words in text


def test_two_tensors_may_not_share_bytes(tmp_path):
    both = {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}
    (tmp_path / "x").write_bytes(with_header(json.dumps(both).encode(), EIGHT))
    with pytest.raises(UserError, match="tensor 'b' begins at 0 where the one before it ends at 8"):
        read_header(tmp_path / "x")
    both["b"] |= {"shape": [0], "data_offsets": [0, 0]}  # nothing lies nowhere
    (tmp_path / "x").write_bytes(with_header(json.dumps(both).encode(), EIGHT))
    assert [tensor.name for tensor in read_header(tmp_path / "x")] == ["a", "b"]


CONFIGS = {
    "garbage": ("\x00\x01", "cannot read this file of a model"),
    "a list": ("[]", "expected: a JSON object"),
    "nested without an end": ("[" * 5000, "within each other without an end"),
    "nested deeply": ('{"a":' * 100 + "1" + "}" * 100, "values that are nested deeper"),
    "a key twice": ('{"model_type": "llama", "model_type": "bert"}', "the key 'model_type' comes twice"),
    "a number without an end": ('{"model_type": "llama", "vocab_size": ' + "9" * 5000 + "}", "4300 digits"),
    "half a character": ('{"model_type": "\\ud800"}', "half a character"),
    "no type": ("{}", "there is no model_type"),
    "an unknown type": ('{"model_type": "xlm-robreta"}', "did you mean 'xlm-roberta'?"),
    "layers of text": (
        '{"model_type": "llama", "num_hidden_layers": "many"}',
        "num_hidden_layers: input should be a valid integer",
    ),
    "no layers": ('{"model_type": "llama", "num_hidden_layers": -1}', "num_hidden_layers: input should be greater"),
    "one architecture": ('{"model_type": "llama", "architectures": "X"}', "architectures: input should be a valid list"),
    "architectures of numbers": (
        '{"model_type": "llama", "architectures": [1]}',
        "architectures: input should be a valid string",
    ),
    "labels without a number": ('{"model_type": "llama", "id2label": {"a": "b"}}', "id2label: outputs are numbered from 0 on"),
    "labels with a gap": (
        '{"model_type": "llama", "id2label": {"0": "b", "2": "c"}}',
        "id2label: outputs are numbered from 0 on",
    ),
    "labels of lists": ('{"model_type": "llama", "id2label": {"0": ["b"]}}', "id2label: "),
    "text that is none": ('{"model_type": "gemma3", "text_config": [1]}', "text_config: input should be a valid dictionary"),
    "text of text": ('{"model_type": "gemma3", "text_config": {"hidden_size": "x"}}', "config.json text_config: hidden_size"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_makes_sense_where_it_is_read(folder, capsys, kind):
    content, words = CONFIGS[kind]
    (folder / "config.json").write_text(content, encoding="utf-8")
    text = refused(capsys, folder)
    assert f"{folder}/config.json" in text
    assert words in text


def test_labels_that_are_numbers_are_names(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": 0, "1": True, "2": 1.5}}))
    assert planned(folder) == 0


def test_an_index_names_files_beside_it_that_hold_what_it_says(folder, capsys):
    write_shards(folder)
    index = folder / "model.safetensors.index.json"
    whole = json.loads(index.read_text())

    def with_map(**changes):
        index.write_text(json.dumps({**whole, "weight_map": {**whole["weight_map"], **changes}}))
        return refused(capsys, folder)

    for outside in ("../model-00001-of-00002.safetensors", "/etc/passwd", "sub/x.safetensors", "config.json", ""):
        assert "an index of weights that leads elsewhere" in with_map(x=outside)
    assert "no tensor 'x', which the index says is there" in with_map(x="model-00001-of-00002.safetensors")
    assert "model-00003-of-00003.safetensors: cannot read these weights" in with_map(x="model-00003-of-00003.safetensors")
    for content in ("{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}'):
        index.write_text(content)
        assert "an index of weights without a `weight_map`" in refused(capsys, folder)
    index.write_text("[")
    assert f"{index}: cannot read this file of a model" in refused(capsys, folder)
    index.write_text(json.dumps(whole))
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert f"{shard}: cannot read these weights" in refused(capsys, folder)
    assert len(weight_files(folder)) == 2


def test_weights_that_are_not_there_or_no_pickle(folder, capsys):
    (folder / "model.safetensors").unlink()
    assert "holds no weights" in refused(capsys, folder)
    (folder / "pytorch_model.bin").write_bytes(b"garbage")
    assert "expected: a file of torch.save, whole" in refused(capsys, folder)
    (folder / "pytorch_model.bin").unlink()
    (folder / "model.safetensors").mkdir()
    assert "holds no weights" in refused(capsys, folder)


TOKENIZERS = {
    "tokenizer.json": (b"{}", "expected: a tokenizer of the package `tokenizers`"),
    "tokenizer_config.json": (b"[1]", "cannot read this file of a model"),
    "special_tokens_map.json": (b"\xff\xfe", "cannot read this file of a model"),
    "added_tokens.json": (b'"x"', "cannot read this file of a model"),
    "generation_config.json": (b"{", "cannot read this file of a model"),
    "vocab.txt": (b"a\n\xff\n", "expected: UTF-8 text"),
    "chat_template.jinja": (b"\xff", "expected: UTF-8 text"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_files_of_a_tokenizer_are_what_their_names_say(folder, capsys, name):
    content, words = TOKENIZERS[name]
    (folder / name).write_bytes(content)
    text = refused(capsys, folder)
    assert f"{folder}/{name}: cannot read this file" in text
    assert words in text


def test_a_folder_without_a_vocabulary_or_with_one_of_garbage(folder, capsys):
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer: its vocabulary is not here" in refused(capsys, folder)
    (folder / "sentencepiece.bpe.model").write_bytes(b"garbage")
    assert "sentencepiece.bpe.model: cannot read this file of a tokenizer" in refused(capsys, folder)
    other = write_model_folder(folder.parent / "other")
    assert planned(folder, "--model_args", f"tokenizer={other}") == 0
    (other / "tokenizer.json").write_bytes(b"{}")
    assert f"{other}/tokenizer.json" in refused(capsys, folder, "--model_args", f"tokenizer={other}")


def test_all_that_is_wrong_with_a_folder_comes_at_once(folder):
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(b"[")
    with pytest.raises(UserError) as caught:
        check_folder(folder, trusts_code=False)
    assert [name for name in ("config.json", "model.safetensors") if name not in str(caught.value)] == []


def test_checkpoints_of_this_project(tmp_path, capsys):
    write_model_folder(tmp_path / "c" / "backbone")
    folder = tmp_path / "c"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "backbone" / name).rename(folder / name)
    assert planned(folder) == 0
    (folder / "heads.json").write_text("[1]")
    (folder / "heads.safetensors").write_bytes(b"garbage")
    text = refused(capsys, folder)
    assert "heads.json: cannot read this file of a model" in text
    assert "heads.safetensors: cannot read these weights" in text


@pytest.mark.parametrize(
    "content", ["[]", "{", "{}", '{"path": 1}', '{"path": "org/x", "revision": 2}', '{"path": "../nowhere/x/y"}']
)
def test_a_base_that_is_not_said(tmp_path, capsys, content):
    (tmp_path / "base.json").write_text(content)
    assert f"{tmp_path}/base.json: " in refused(capsys, tmp_path)


def test_an_adapter_beside_a_model_would_load_another_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/name"}')
    with pytest.raises(UserError, match=r"adapter of peft(.|\n)*remove adapter_config.json"):
        checkpoint_parts(str(folder))


def test_no_folder_and_an_empty_one(tmp_path, capsys):
    assert "is not a model folder" in refused(capsys, tmp_path)
    assert "an empty folder" in refused(capsys, tmp_path)


def test_model_types_are_read_without_importing_transformers(folder):
    code = f"""
import sys
from pathlib import Path
from harness.planning.backbone.folder_checks import check_folder, known_model_types
check_folder(Path({str(folder)!r}), trusts_code=False)
print(len(known_model_types()) > 300, sorted({{"torch", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "True []\n"


def test_known_model_types_are_those_of_transformers():
    from transformers import CONFIG_MAPPING

    assert known_model_types() - {"gpt-sw3"} <= set(CONFIG_MAPPING.keys()) | {"gpt-sw3"}
    assert {"xlm-roberta", "llama", "mt5", "gemma3_text", "qwen3", "bloom"} <= known_model_types()


def test_a_json_file_is_an_object(tmp_path):
    (tmp_path / "x.json").write_text('{"a": {"b": [1]}}')
    assert read_model_json(tmp_path / "x.json") == {"a": {"b": [1]}}
    with pytest.raises(UserError, match="cannot read this file of a model"):
        read_model_json(tmp_path / "nowhere.json")


def test_a_second_plan_hashes_nothing_and_loads_no_tokenizer(folder, tmp_path, monkeypatch):
    """A guard that no clock disturbs: what is read of a folder that has not changed; one that has is looked at again."""
    hashed, loaded = [], []
    digest, load = hashlib.file_digest, Tokenizer.from_file

    class Counted:
        @staticmethod
        def from_file(path):
            loaded.append(path)
            return load(path)

    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: hashed.append(file.name) or digest(file, kind))
    monkeypatch.setattr(tokenizers, "Tokenizer", Counted)
    for module in (folder_checks, file_hashes):  # a while has passed since the files were written
        monkeypatch.setattr(module, "clock", lambda: time.time_ns() + 2 * DOUBT_NS)
    assert planned(folder) == 0
    assert len(loaded) == 2  # to see whether it can be, and to count the tokens of some rows
    assert str(folder / "model.safetensors") in hashed
    hashed.clear()
    assert planned(folder) == 0
    assert (hashed, len(loaded)) == ([], 2)
    content = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(content + b"\n")
    assert planned(folder) == 0
    assert len(loaded) == 4
