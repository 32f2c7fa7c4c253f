"""Of a large table of words the rows that are looked up are trained, and the results are those of the whole table."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from listening import before_each_step
from safetensors.torch import load_file
from small_models import CONFIGS, DECODERS, TEXTS, features_of, make_folder
from small_processes import run_together, said
from small_runs import CAUSAL, CONFIG, Project, differences

import models.decoder
import models.encoder
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from harness.planning.costs.devices import present_device
from harness.planning.costs.estimate import costing_of
from harness.prediction.batching import collate
from harness.runtime.word_rows import SMALLEST, takes_part
from harness.training import word_rows
from harness.training.checkpoints import resume
from harness.training.setup import prepare
from harness.training.word_rows import WordRows, ids_used, share_left
from models.decoder import init_scratch as init_decoder
from models.encoder import init_scratch
from models.loading.tokenizer import load_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = 140_000
"Rows of 32 numbers: more than SMALLEST in all."
WHOLE = {"word_rows": False}
ASKED = {"tasks": "pairs", "intermediate": "none,nearest", "languages": ("de",)}
"Vectors with negatives from the whole batch, and a classifier after them."


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An encoder and a decoder with many words, no dropout, and a decay that can be seen."""
    folder = tmp_path_factory.mktemp("wide")
    made = Project.make(
        folder, dropout=0.0, tasks="pairs,nearest,cloze", max_steps=6, eval_every=3, weight_decay=0.1, adam_epsilon=1e-3
    )
    tokenizer = load_tokenizer(made.model, ModelSource(path=str(made.model)), vocab_size=10**6)
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": VOCABULARY}
    init_scratch({**CONFIG, **still}, tokenizer=tokenizer, folder=folder / "encoder", seed=1)
    causal = {**CAUSAL, "vocab_size": VOCABULARY, "tie_word_embeddings": True}
    init_decoder(causal, tokenizer=tokenizer, folder=folder / "tied", seed=1)
    return replace(made, model=folder / "encoder", decoder=folder / "tied").with_machine(batch_tokens=60)


@pytest.fixture(scope="module")
def ran(wide, tmp_path_factory):
    """The run of ASKED with the rows alone."""
    root = tmp_path_factory.mktemp("ran") / "runs"
    assert wide.run(root, **ASKED).failed == []
    return root


@pytest.fixture(scope="module")
def whole(wide, tmp_path_factory):
    """The same with the whole table."""
    root = tmp_path_factory.mktemp("whole") / "runs"
    assert wide.with_machine(**WHOLE).run(root, **ASKED).failed == []
    return root


def losses(root):
    """Of each training, in order."""
    found = {}
    for path in sorted(root.glob("train/*/log.jsonl")):
        found[path.parent.name] = [json.loads(line)["loss"] for line in path.read_text().splitlines() if "loss" in line]
    return found


def weights(root):
    files = sorted(root.glob("train/*/checkpoint/**/*.safetensors"))
    return {f"{path.relative_to(root)} {name}": tensor for path in files for name, tensor in load_file(path).items()}


def train_stage(project, **asked):
    plan, machine = project.plan(**asked)
    return next(stage for stage in plan.stages if stage.verb == "train"), machine


def agree(one, other):
    first, second = losses(one), losses(other)
    assert first.keys() == second.keys()
    assert first
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-5, err_msg=name)
    before, after = weights(one), weights(other)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-5, atol=1e-5, msg=name)


def test_an_encoder_ends_where_the_whole_table_does(ran, whole):
    agree(ran, whole)


def test_words_that_occur_nowhere_are_decayed_as_adamw_does(wide, ran, whole, tmp_path):
    stage, machine = train_stage(wide, tasks="pairs", intermediate="none", languages=("de",))
    run = prepare(stage, root=tmp_path, machine=machine)
    found = weights(ran)
    name = next(key for key in found if "word_embeddings" in key and stage.name in key)
    begun = load_file(wide.model / "model.safetensors")
    (before,) = (tensor for key, tensor in begun.items() if key.endswith("word_embeddings.weight"))
    facts = json.loads((stage.folder(ran) / "train.json").read_text())
    share = share_left(run.training, steps=facts["best_step"], total_steps=6)
    assert 0.99 < share < 1.0
    others = torch.ones(VOCABULARY, dtype=torch.bool)
    others[run.word_ids] = False
    torch.testing.assert_close(found[name][others], before[others] * share, rtol=0, atol=0)
    torch.testing.assert_close(weights(whole)[name][others], found[name][others], rtol=3e-7, atol=0)
    assert (found[name][run.word_ids] != before[run.word_ids]).any(dim=1).float().mean() > 0.5


def test_a_decoder_whose_outputs_are_its_words_ends_where_the_whole_table_does(wide, tmp_path):
    asked = {"model": str(wide.decoder), "tasks": "pairs", "languages": ("de",), "model_args": "adapter=decoder"}
    stage, machine = train_stage(wide, **asked)
    assert len(prepare(stage, root=tmp_path / "none", machine=machine).word_rows.ids) < 300
    for name, project in (("rows", wide), ("whole", wide.with_machine(**WHOLE))):
        assert project.run(tmp_path / name, **asked).failed == []
    agree(tmp_path / "rows", tmp_path / "whole")


def test_what_is_held_is_the_rows(wide, tmp_path):
    stage, machine = train_stage(wide, tasks="pairs", languages=("de",))
    for on in (True, False):
        run = prepare(stage, root=tmp_path, machine=replace(machine, word_rows=on))
        trained = sum(parameter.numel() for parameter in run.module.parameters() if parameter.requires_grad)
        assert (trained < 100_000) is on
        state = run.optimizer.restore(dict.fromkeys(run.optimizer.parameters, 1))
        assert (sum(tensor.numel() for tensor in state.values()) < 200_000) is on


def test_a_word_that_is_not_among_them_is_an_error_and_no_other_word(wide, tmp_path):
    stage, machine = train_stage(wide, tasks="pairs", languages=("de",))
    run = prepare(stage, root=tmp_path, machine=machine)
    feature = next(iter(run.data.values())).items[0][0]
    unknown = next(one for one in range(5, VOCABULARY) if one not in set(run.word_ids.tolist()))
    batch = collate([replace(feature, input_ids=[*feature.input_ids[:-1], unknown])], pad_id=1)
    with pytest.raises(IndexError):
        run.module(batch, head=next(iter(run.adapter.heads)))


@pytest.mark.parametrize(
    "asked",
    [{"intermediate": "cloze"}, {"route": "prompt", "model": "tied", "intermediate": "pairs"}, {"model_args": "lora_rank=4"}],
)
def test_where_words_are_predicted_or_nothing_is_left_out_the_table_stays_whole(wide, tmp_path, asked):
    model = str(wide.decoder) if asked.get("model") else ""
    stage, machine = train_stage(wide, tasks="pairs", languages=("de",), **{**asked, "model": model})
    run = prepare(stage, root=tmp_path, machine=machine)
    assert run.word_rows is None


def failed_after(project, root, steps, **asked):
    """Run until an optimizer is about to make the step after so many, and fails; the newest state."""
    seen = 0

    def hear():
        nonlocal seen
        seen += 1
        if seen > steps:
            raise RuntimeError("as if a disk were gone")

    with before_each_step(hear):
        assert project.run(root, **asked).failed
    return next(root.glob(f"train/*/state-{steps}"))


def test_a_run_that_failed_goes_on_to_the_same_bytes_and_its_state_has_the_rows_alone(wide, ran, tmp_path):
    state = failed_after(wide, tmp_path / "again", 4, **ASKED)
    shapes = {
        key: len(value) for file in state.glob("*.safetensors") for key, value in load_file(file).items() if "word_emb" in key
    }
    assert len(shapes) == 3
    assert max(shapes.values()) < 300
    assert wide.run(tmp_path / "again", **ASKED).failed == []
    assert differences(ran, tmp_path / "again") == []


@pytest.mark.parametrize("began_whole", [True, False])
def test_a_state_is_of_use_whichever_part_of_the_table_goes_on(wide, ran, tmp_path, began_whole):
    first, second = (wide.with_machine(word_rows=on) for on in (not began_whole, began_whole))
    failed_after(first, tmp_path / "other", 4, **ASKED)
    assert second.run(tmp_path / "other", **ASKED).failed == []
    agree(ran, tmp_path / "other")


def test_a_state_of_other_words_is_not_used(wide, ran, tmp_path, capsys):
    state = failed_after(wide, tmp_path / "other", 4, **ASKED)
    facts = json.loads((state / "facts.json").read_text())
    assert facts["word_rows"]["name"].endswith("word_embeddings.weight")
    stage, machine = train_stage(wide, **ASKED)
    run = prepare(stage, root=tmp_path / "other", machine=machine)
    run.word_ids = run.word_ids[1:]
    assert resume(run) == 0
    assert "its rows look up other words" in capsys.readouterr().err


def test_a_plan_knows_how_many_rows_are_looked_up(wide, tmp_path):
    stage, machine = train_stage(wide, tasks="pairs", languages=("de",))
    plan, _ = wide.plan(tasks="pairs", languages=("de",))
    costing = costing_of(plan, machine=machine, device=present_device(None))
    planned = costing.loads.training(stage).memory.word_rows
    assert planned == pytest.approx(len(prepare(stage, root=tmp_path, machine=machine).word_ids), abs=6)  # special tokens


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [((1, "none"), (2, "full")), ((2, "full"), (1, "none"))])
def test_a_run_goes_on_with_another_number_of_processes(wide, ran, tmp_path, before, after):
    root = tmp_path / "other"
    assert run_together(before[0], wide.with_machine(sharding=before[1]), root, die_at_step=6, **ASKED)[-1] == -9
    assert list(root.glob("train/*/state-4"))
    assert run_together(after[0], wide.with_machine(sharding=after[1]), root, **ASKED) == [0] * after[0], said(root)
    agree(ran, root)


@pytest.mark.parametrize("kind", [*CONFIGS, *DECODERS])
def test_every_architecture_looks_its_words_up_in_the_rows_and_is_written_whole(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(word_rows, "takes_part", lambda **_: True)
    module = models.encoder if kind in CONFIGS else models.decoder
    source = ModelSource(path=str(make_folder(kind, tmp_path / kind)), dtype="float32")
    head = HeadSpec(kind="sequence", num_outputs=3)
    adapter = module.load(source, heads={"own": head}, device="cpu", seed=1, inference=False)
    network = adapter.module.eval()
    features = features_of(TEXTS)
    batch = collate(features, pad_id=adapter.tokenizer.pad_token_id)
    before = network(batch, head="own")
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    words = network.word_table()
    rows = WordRows.of(network, words, ids_used(words, features, also=[adapter.tokenizer.pad_token_id]))
    assert len(rows.ids) < len(rows.table)
    rows.put_in()
    after = network(batch, head="own")
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    after.sum().backward()
    assert rows.rows.grad is not None
    assert rows.table.grad is None
    with torch.no_grad(), rows.whole(share=1.0):
        written = network.state_dict()
        assert written.keys() == tensors.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
    torch.testing.assert_close(network(batch, head="own"), before, rtol=0, atol=0)


def test_small_tables_and_those_of_which_most_is_used_are_left_as_they_are():
    assert takes_part(vocabulary=250_002, width=768, used=20_000)
    assert not takes_part(vocabulary=250_002, width=768, used=130_000)
    assert not takes_part(vocabulary=1000, width=SMALLEST // 1000, used=10)
