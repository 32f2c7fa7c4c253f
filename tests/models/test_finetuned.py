"""The adapter for checkpoints fine-tuned elsewhere: its labels find the task's by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import CONFIGS, TEXTS, batch_of, make_folder, tokenizer
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from models.finetuned import load

XNLI = ("entailment", "neutral", "contradiction")
NLI = {"xnli": HeadSpec(kind="sequence", num_outputs=3)}


def finetuned(folder: Path, kind, labels: tuple[str, ...], *, model_type: str = "xlm-roberta") -> torch.nn.Module:
    config = AutoConfig.for_model(
        model_type,
        **{**CONFIGS[model_type], "vocab_size": len(tokenizer()), "pad_token_id": tokenizer().pad_token_id},
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    torch.manual_seed(4)
    model = kind.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "classifier" in name or "qa_outputs" in name:
                parameter.normal_(0, 1)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model


def opened(folder: Path, *, heads=NLI, inference: bool = True, wanted=XNLI, **extra):
    known = dict.fromkeys(heads, wanted)
    source = ModelSource(path=str(folder), adapter="finetuned", dtype="float32", extra=extra, head_labels=known)
    return load(source, heads=heads, device="cpu", seed=0, inference=inference)


@pytest.mark.parametrize("model_type", ["xlm-roberta", "deberta-v2", "modernbert", "bert", "xlm-roberta-xl", "rembert"])
def test_logits_come_in_the_order_of_the_tasks_labels(tmp_path, model_type):
    names = ("Contradiction", "ENTAILMENT", " neutral")
    whole = finetuned(tmp_path, AutoModelForSequenceClassification, names, model_type=model_type)
    model, batch = opened(tmp_path), batch_of()
    logits = whole(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.detach().numpy()
    outputs = model.forward_head(batch, "xnli")
    np.testing.assert_allclose(outputs, logits[:, [1, 2, 0]], atol=1e-5)
    assert np.ptp(logits) > 0.01
    for number, text in enumerate(TEXTS):
        np.testing.assert_allclose(model.forward_head(batch_of([text]), "xnli")[0], outputs[number], atol=1e-5)


def test_tags_and_spans(tmp_path):
    tags = ("O", "I-PER", "B-PER")
    whole = finetuned(tmp_path / "tags", AutoModelForTokenClassification, tags)
    heads = {"panx": HeadSpec(kind="token", num_outputs=3)}
    batch = batch_of()
    outputs = opened(tmp_path / "tags", heads=heads, wanted=("O", "B-PER", "I-PER")).forward_head(batch, "panx")
    logits = whole(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.detach().numpy()
    for number, feature in enumerate(batch.features):
        np.testing.assert_allclose(outputs[number], logits[number, : len(feature.input_ids)][:, [0, 2, 1]], atol=1e-5)
    whole = finetuned(tmp_path / "spans", AutoModelForQuestionAnswering, ("LABEL_0", "LABEL_1"))
    heads = {"xquad": HeadSpec(kind="span", num_outputs=2)}
    outputs = opened(tmp_path / "spans", heads=heads).forward_head(batch, "xquad")
    found = whole(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    np.testing.assert_allclose(outputs[1][:, 0], found.start_logits[1, : len(outputs[1])].detach(), atol=1e-5)
    np.testing.assert_allclose(outputs[1][:, 1], found.end_logits[1, : len(outputs[1])].detach(), atol=1e-5)


def test_two_tasks_may_order_the_labels_differently(tmp_path):
    finetuned(tmp_path, AutoModelForSequenceClassification, XNLI)
    heads = {"xnli": NLI["xnli"], "other": NLI["xnli"]}
    source = ModelSource(path=str(tmp_path), dtype="float32", head_labels={"xnli": XNLI, "other": XNLI[::-1]})
    model = load(source, heads=heads, device="cpu", seed=0, inference=True)
    np.testing.assert_array_equal(
        model.forward_head(batch_of(), "xnli"), [v[::-1] for v in model.forward_head(batch_of(), "other")]
    )


def test_labels_without_names_must_be_given(tmp_path):
    whole = finetuned(tmp_path, AutoModelForSequenceClassification, ("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.raises(UserError, match=r"does not say what its outputs mean(.|\n)*--model_args labels=a\|b\|c"):
        opened(tmp_path)
    batch = batch_of()
    logits = whole(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.detach().numpy()
    for given in ("neutral|contradiction|entailment", ["neutral", "contradiction", "entailment"]):
        outputs = opened(tmp_path, labels=given).forward_head(batch, "xnli")
        np.testing.assert_allclose(outputs, logits[:, [2, 0, 1]], atol=1e-5)


def test_labels_that_do_not_match(tmp_path):
    finetuned(tmp_path / "words", AutoModelForSequenceClassification, ("entailed", "neutral", "contradictory"))
    with pytest.raises(UserError, match=r"labels are not those of 'xnli'(.|\n)*found: entailed, neutral, contradictory"):
        opened(tmp_path / "words")
    finetuned(tmp_path / "more", AutoModelForSequenceClassification, (*XNLI, "other"))
    with pytest.raises(UserError, match="ignore_labels=other"):
        opened(tmp_path / "more")
    assert opened(tmp_path / "more", ignore_labels="Other").forward_head(batch_of(), "xnli")[0].shape == (3,)
    with pytest.raises(UserError, match=r"no label 'othr'(.|\n)*did you mean 'other'"):
        opened(tmp_path / "more", ignore_labels="othr")
    finetuned(tmp_path / "twice", AutoModelForSequenceClassification, ("neutral", "Neutral", "entailment"))
    with pytest.raises(UserError, match="differ in case only"):
        opened(tmp_path / "twice")


@pytest.mark.parametrize("model_type", ["xlm-roberta", "bert", "modernbert"])
def test_a_choice_head_scores_each_option_by_itself(tmp_path, model_type):
    whole = finetuned(tmp_path, AutoModelForMultipleChoice, ("LABEL_0",), model_type=model_type)
    heads, batch = {"pick": HeadSpec(kind="choice", num_outputs=1)}, batch_of()
    logits = whole(input_ids=batch.input_ids[None], attention_mask=batch.attention_mask[None]).logits.detach().numpy()
    outputs = opened(tmp_path, heads=heads, wanted=("A", "B")).forward_head(batch, "pick")
    assert [output.shape for output in outputs] == [()] * len(TEXTS)
    np.testing.assert_allclose(outputs, logits[0], atol=1e-5)
    assert np.ptp(logits) > 0.001


def test_heads_of_another_kind_and_backbones(tmp_path):
    finetuned(tmp_path / "tags", AutoModelForTokenClassification, XNLI)
    with pytest.raises(UserError, match=r"head is of kind 'token'(.|\n)*'sequence' for xnli"):
        opened(tmp_path / "tags")
    with pytest.raises(UserError, match="cannot be trained"):
        opened(tmp_path / "tags", inference=False)
    make_folder("bert", tmp_path / "plain")
    with pytest.raises(UserError, match=r"no head that can be asked(.|\n)*BertModel"):
        opened(tmp_path / "plain")


def test_a_head_whose_weights_are_missing_is_not_made_up(tmp_path):
    make_folder("xlm-roberta", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["XLMRobertaForSequenceClassification"], "id2label": dict(enumerate(XNLI))}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"do not fit XLMRobertaForSequenceClassification(.|\n)*classifier"):
        opened(tmp_path)
