"""Hub datasets and backbones, online and offline, against a hub on the loopback: the real client packages, other addresses."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_hub import COMMIT, run_beside, small_hub

from harness.data.fetch import backbone_files

SCRIPT = """
import json, sys
from harness.data.fetch import BackboneItem, DatasetItem, fetch
from harness.data.locations import DataPlace
from harness.data.rows import fingerprint, load_rows
from harness.api.errors import MissingData
from harness.specs.task import Source

place, said, result = DataPlace.resolve(None), [], {}
source = Source(hub="org/nli", config="{lang}", split="test")

def attempt(source, lang):
    try:
        rows = load_rows(source, lang=lang, place=place, task="nli")
        return [list(rows.rows), rows.fingerprint, rows.origin, {k: list(v) for k, v in rows.class_names.items()}]
    except MissingData as error:
        return str(error)

result["unpinned"] = fingerprint(source, lang="de", place=place)
result["rows"] = attempt(source, "de")
result["no config"] = attempt(source, "fr")
result["no split"] = attempt(source.model_copy(update={"split": "dev"}), "de")
result["other pin"] = attempt(source.model_copy(update={"revision": "f" * 40}), "de")
result["script"] = attempt(Source(hub="org/script", config="de", split="test"), "de")
wanted = [DatasetItem(source=source.model_copy(update={"config": "de"}), task="nli", lang="de"),
          BackboneItem(path="org/tiny"), BackboneItem(path="org/none"), BackboneItem(path=sys.argv[1])]
result["fetch"] = [outcome.state for outcome in fetch(wanted, place=place, say=said.append)]
result["said"] = said
print(json.dumps(result))
"""


@pytest.fixture
def hub_folder(tmp_path):
    features = {"premise": {"dtype": "string", "_type": "Value"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    table = pa.Table.from_pylist([{"premise": "p", "label": 1}])
    dataset, script, model = (tmp_path / kind for kind in ("datasets/org/nli", "datasets/org/script", "models/org/tiny"))
    for folder in (dataset / "de", script, model):
        folder.mkdir(parents=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), dataset / "de" / "test-00000-of-00001.parquet")
    header = "---\nconfigs:\n- config_name: de\n  data_files:\n  - split: test\n    path: de/test-*\n---\n"
    (dataset / "README.md").write_text(header)
    (script / "README.md").write_text("---\nlicense: mit\n---\n")
    (script / "script.py").write_text("raise SystemExit('a script of a repository was run')\n")
    for name in ("config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin", "modeling_tiny.py"):
        (model / name).write_text(json.dumps(name))  # equal files would be fetched once
    return tmp_path


def run(hub, folder, **environment):
    return run_beside(hub, folder, SCRIPT, str(folder), **environment)


def test_rows_and_backbones_come_from_the_hub_and_then_from_its_cache(hub_folder):
    with small_hub(hub_folder) as hub:
        online = run(hub, hub_folder)
        asked = list(hub.requests)
        offline = run(hub, hub_folder, HF_HUB_OFFLINE="1")
        assert hub.requests == asked, "offline, nothing may be asked"
    assert online["unpinned"] == f"hub:{COMMIT}"
    assert online["rows"] == [
        [{"premise": "p", "label": 1}],
        f"hub:{COMMIT}",
        f"hub:org/nli@{COMMIT}/de/test",
        {"label": ["no", "yes"]},
    ]
    assert (offline["unpinned"], offline["rows"]) == (online["unpinned"], online["rows"])
    assert "the hub: ValueError: BuilderConfig 'fr' not found" in online["no config"]
    assert "fetch --tasks nli --languages fr" in online["no config"]
    assert "Unknown split" in online["no split"]
    assert "Dataset scripts are no longer supported" in online["script"]
    assert online["fetch"] == ["there", "fetched", "failed", "there"]
    assert offline["fetch"] == ["there", "there", "failed", "there"]
    # Offline, and before version 4.8 online as well, `datasets` itself would take what is in its cache.
    said = (f"Revision '{'f' * 40}' doesn't exist", f"holds commit {COMMIT}, not the pinned {'f' * 40}")
    assert any(words in online["other pin"] for words in said)
    assert f"holds commit {COMMIT}, not the pinned {'f' * 40}" in offline["other pin"]
    fetched = {request.rsplit("/", 1)[1] for request in asked if request.startswith("GET /org/tiny/resolve")}
    assert fetched == {"config.json", "tokenizer.json", "model.safetensors"}
    assert online["said"][4] == "2 there, 1 fetched, 1 failed"
    assert online["said"][5].startswith("failed: backbone org/none")


def test_backbone_files_prefer_safetensors_and_fetch_no_code():
    both = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    rest = ["config.json", "sentencepiece.bpe.model", "merges.txt"]
    noise = ["onnx/model.onnx", "modeling_x.py", "tf_model.h5", "pytorch_model.bin", "flax_model.msgpack", "training_args.bin"]
    assert backbone_files([*both, *rest, *noise]) == sorted([*both, *rest])
    assert backbone_files([*rest, *noise]) == sorted([*rest, "pytorch_model.bin"])
    assert backbone_files([*both[:2], *rest, *noise], weights=False) == sorted(rest)  # a server has them
