"""How long an input may be is read off the table of positions, wherever in the vocabulary the padding token stands."""

import copy
import json

import numpy as np
import pytest
from small_models import CONFIGS, make_folder, tokenizer

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Feature, Pooling
from harness.prediction.batching import collate
from models.encoder import load

ROWS = 40
"Positions of the small models."
WORD = "Anna"
"""A word of the vocabulary that pads: of a higher id than padding tokens have, and of one low enough that a table whose positions
begin behind it has rows left for long inputs."""


def padded_by_a_word():
    own = copy.deepcopy(tokenizer())
    own.pad_token = WORD
    assert 4 < own.pad_token_id < ROWS // 2
    return own


def loaded(folder):
    source = ModelSource(path=str(folder), dtype="float32")
    return load(source, heads={}, keep_heads={}, device="cpu", seed=1, inference=True)


def vectors(model, *lengths):
    """A vector of each of some texts of so many tokens, all in one batch."""
    word = model.tokenizer("cat", add_special_tokens=False)["input_ids"]
    features = [Feature(example=n, input_ids=word * length) for n, length in enumerate(lengths)]
    return model.embed(collate(features, pad_id=model.tokenizer.pad_token_id), Pooling())


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_a_high_padding_id_makes_no_input_short(kind, tmp_path):
    own = padded_by_a_word()
    model = loaded(make_folder(kind, tmp_path, own=own))
    if kind.startswith("xlm-roberta"):  # there the table itself has no other rows: positions begin behind the padding id
        limit = ROWS - own.pad_token_id - 1
        assert 2 < limit < ROWS - 4
    else:
        limit = model.max_positions
        assert limit >= ROWS
    assert model.max_positions == limit
    longest = min(limit, ROWS)
    together, (alone,) = vectors(model, longest, 2), vectors(model, longest)
    assert np.isfinite(together[0]).all()
    np.testing.assert_allclose(together[0], alone, atol=1e-5)
    (short,) = vectors(model, 2)
    np.testing.assert_allclose(together[1], short, atol=1e-5)


def test_a_model_and_a_tokenizer_that_pad_with_other_tokens_are_refused_with_the_way_out(tmp_path):
    folder = make_folder("xlm-roberta", tmp_path)
    path = next(tmp_path.rglob("config.json"))
    config = json.loads(path.read_text(encoding="utf-8"))
    config["pad_token_id"] += 3
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"disagree on the padding token[\s\S]*to do: give the tokenizer"):
        loaded(folder)
