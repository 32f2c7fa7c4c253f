"""Models of the hub that are not here yet: what they are is asked, not guessed, against a hub on the loopback."""

import json

import pytest
from small_hub import COMMIT, run_beside, small_hub

SCRIPT = """
import json, sys
from harness.api.errors import UserError
from harness.planning.backbone.resolve import resolve
from harness.planning.catalog.catalog import Catalog

catalog, found = Catalog(), {}
for model, args, own in json.loads(sys.argv[1]):
    try:
        backbone = resolve(model, args, catalog=catalog, use_own_head=own)
        found[f"{model} {args} {own}"] = [backbone.adapter, backbone.arguments.fingerprint]
    except UserError as error:
        found[f"{model} {args} {own}"] = str(error)
heavy = sorted({"torch", "transformers"} & set(sys.modules))
print(json.dumps([found, heavy]))
"""
MODELS = {
    "causal": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    "masked": {"model_type": "xlm-roberta", "architectures": ["XLMRobertaForMaskedLM"]},
    "tuned": {"model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"]},
    "bare": None,
}


@pytest.fixture
def folder(tmp_path):
    for name, config in MODELS.items():
        own = tmp_path / "models" / "org" / name
        own.mkdir(parents=True)
        (own / "model.safetensors").write_text(name, encoding="utf-8")
        if config:
            (own / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


def resolved(hub, folder, *asked, **environment):
    """What each of `asked` (model, model_args, use_own_head) becomes, in a process of its own."""
    found, heavy = run_beside(hub, folder, SCRIPT, json.dumps(asked), **environment)
    assert heavy == []
    return list(found.values())


def test_the_hub_says_what_a_model_is_and_then_the_cache(folder):
    asked = [("org/causal", "", False), ("org/masked", "", False), ("org/tuned", "", True), ("org/masked", "", True)]
    wanted = [
        ["decoder", f"hub:org/causal@{COMMIT}"],
        ["encoder", f"hub:org/masked@{COMMIT}"],
        ["finetuned", f"hub:org/tuned@{COMMIT}"],
        ["encoder", f"hub:org/masked@{COMMIT}"],
    ]
    with small_hub(folder) as hub:
        assert resolved(hub, folder, *asked) == wanted
        got = {request.split()[1] for request in hub.requests if request.startswith("GET") and "/resolve/" in request}
        assert {path.rsplit("/", 1)[1] for path in got} == {"config.json"}  # nothing else is fetched
        before = list(hub.requests)
        assert resolved(hub, folder, *asked, HF_HUB_OFFLINE="1") == wanted
        assert hub.requests == before


@pytest.mark.slow
def test_a_model_that_cannot_be_asked_is_not_guessed(folder):
    with small_hub(folder) as hub:
        online = resolved(hub, folder, ("org/none", "", False), ("org/bare", "", False), ("org/causal", "revision=other", False))
        assert len(online) == 3
        for text, name in zip(online, ("org/none", "org/bare", "org/causal' at revision 'other"), strict=True):
            assert text.startswith(f"--model: nothing is known of the model '{name}'")
        offline = resolved(hub, folder, ("org/causal", "", False), ("org/causal", "adapter=decoder", False), HF_HUB_OFFLINE="1")
    assert "run `fetch` where there is one" in offline[0]
    assert offline[1] == ["decoder", "hub:org/causal@main"]  # it was said


def test_a_preset_needs_no_network(folder):
    with small_hub(folder) as hub:
        found = resolved(hub, folder, ("qwen3-0.6b-base", "", False), ("xlm-roberta-base", "", False))
        assert [adapter for adapter, _ in found] == ["decoder", "encoder"]
        assert hub.requests == []
