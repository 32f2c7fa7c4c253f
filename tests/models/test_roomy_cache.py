"""A cache with room for what is written next holds what transformers' own would, and copies it only now and then."""

import copy

import pytest
import torch
from transformers import DynamicCache

from models.inference import roomy_cache
from models.inference.language_model import chosen_rows, copied
from models.inference.roomy_cache import RoomyLayer, with_room


def drawn(num_tokens, *, rows=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((rows, 2, num_tokens, 4), generator=generator) for _ in range(2))


def filled() -> DynamicCache:
    cache = DynamicCache()
    for layer in range(2):
        cache.update(*drawn(5, seed=layer), layer)
    return cache


@pytest.mark.parametrize("room", [1, 3, 64])
def test_it_holds_what_a_plain_one_holds(monkeypatch, room):
    monkeypatch.setattr(roomy_cache, "ROOM", room)
    plain = filled()
    roomy = with_room(filled(), 1000)
    for step in range(9):
        if step == 4:  # one text has ended
            plain, roomy = (chosen_rows(cache, torch.tensor([2, 0])) for cache in (plain, roomy))
        for layer in range(2):
            states = drawn(1 + step % 2, rows=3 if step < 4 else 2, seed=10 * step + layer)
            for one, other in zip(plain.update(*states, layer), roomy.update(*states, layer), strict=True):
                assert torch.equal(one, other)
        assert plain.get_seq_length() == roomy.get_seq_length()


def test_all_is_copied_once_in_many_tokens(monkeypatch):
    made = []
    enlarged = roomy_cache._enlarged
    monkeypatch.setattr(roomy_cache, "_enlarged", lambda *args: made.append(args) or enlarged(*args))
    roomy = with_room(filled(), 1000)
    for _ in range(2 * roomy_cache.ROOM):
        roomy.update(*drawn(1), 0)
    assert len(made) == 2 * 2


def test_there_is_no_room_for_more_than_is_written():
    roomy = with_room(filled(), 10)
    for number in range(12):
        keys, _ = roomy.update(*drawn(1, seed=number), 0)
        tokens = keys.untyped_storage().nbytes() // (3 * 2 * 4 * keys.itemsize)
        assert tokens == max(15, 6 + number)
    assert torch.equal(keys[:, :, -1:], drawn(1, seed=11)[0])


def test_copies_go_on_each_by_itself():
    roomy = with_room(filled(), 1000)
    roomy.update(*drawn(1), 0)
    other = copied(roomy)
    mine, theirs = drawn(1, seed=7), drawn(1, seed=8)
    found, _ = roomy.update(*mine, 0)
    assert torch.equal(other.update(*theirs, 0)[0][:, :, -1:], theirs[0])
    assert torch.equal(found[:, :, -1:], mine[0])
    assert torch.equal(roomy.layers[0].keys[:, :, -1:], mine[0])


def test_what_it_was_made_of_stays_as_it_is():
    plain = filled()
    before = copy.deepcopy(plain.layers[0].keys)
    with_room(plain, 1000).update(*drawn(1), 0)
    assert torch.equal(plain.layers[0].keys, before)


def test_layers_of_other_kinds_stay_as_they_are():
    from transformers.cache_utils import DynamicSlidingWindowLayer

    cache = filled()
    window = DynamicSlidingWindowLayer(4)
    cache.layers.append(window)
    found = with_room(cache, 1000).layers
    assert [type(layer) for layer in found] == [RoomyLayer, RoomyLayer, DynamicSlidingWindowLayer]
    assert found[-1] is window
