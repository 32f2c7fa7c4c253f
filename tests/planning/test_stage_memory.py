"""Bytes by part: closed forms for states, sharding, offload, adapters, quantised bases; hours and schedules of stages."""

from dataclasses import replace

import pytest

from harness.planning.catalog.catalog import Catalog
from harness.planning.costs.activations import HowTrained
from harness.planning.costs.architectures import shape_of
from harness.planning.costs.devices import named_device
from harness.planning.costs.flops import PassLoad, forward_flops, padded, training_flops
from harness.planning.costs.memory import PARTS, AnswerLoad, Layout, TrainingLoad, answer_memory, training_memory
from harness.planning.costs.speeds import PREDICTING, TRAINING, speed_of
from harness.planning.costs.words import gib, hours, money, operations

XXL = {
    "model_type": "xlm-roberta-xl",
    "vocab_size": 250880,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 48,
    "intermediate_size": 16384,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}
SHAPE = shape_of(XXL, facts={}, causal=False)
assert SHAPE is not None
LOAD = TrainingLoad(how=HowTrained(precision="bfloat16", on_gpu=True), length=128, sequences=8, passes=4)


def test_a_whole_training_takes_sixteen_bytes_a_parameter_beside_activations():
    parts = training_memory(SHAPE, LOAD, layout=Layout())
    total = SHAPE.parameters
    assert 10.6e9 < total < 10.8e9
    assert (parts.weights, parts.gradients, parts.optimizer) == (4 * total, 4 * total, 8 * total)
    assert parts.weights + parts.gradients + parts.optimizer == pytest.approx(171e9, rel=0.01)
    assert parts.total == sum(getattr(parts, part) for part in PARTS) - parts.apart


def test_eight_bit_moments_take_a_byte_each_and_a_scale_for_each_256():
    whole = training_memory(SHAPE, LOAD, layout=Layout())
    small = training_memory(SHAPE, replace(LOAD, optimizer="adamw_8bit"), layout=Layout())
    assert small.optimizer == int((2 + 8 / 256) * SHAPE.parameters)
    assert small.weights == whole.weights


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_sharded_each_process_holds_its_share(processes):
    whole = training_memory(SHAPE, LOAD, layout=Layout())
    parts = training_memory(SHAPE, LOAD, layout=Layout(sharding="full", processes=processes))
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(parts, part) == getattr(whole, part) // processes, part
    # What is gathered in place of copies of all: two layers and the tables.
    assert parts.total < whole.total / processes + whole.total / 4


def test_offloaded_what_is_held_lies_in_main_memory():
    parts = training_memory(SHAPE, LOAD, layout=Layout(sharding="full", processes=4, offload="cpu"))
    assert (parts.weights, parts.gradients, parts.optimizer) == (0, 0, 0)
    assert parts.on_host == pytest.approx(4 * SHAPE.parameters, rel=1e-6)
    alone = training_memory(SHAPE, LOAD, layout=Layout(sharding="full", offload="cpu"))
    assert alone.on_host == pytest.approx(16 * SHAPE.parameters, rel=1e-6)
    layer = SHAPE.matrices_per_layer + SHAPE.vectors_per_layer
    assert alone.total > 2 * (2 * layer + SHAPE.tables)  # what is gathered there


def test_low_rank_adapters_on_four_bits():
    lora = replace(LOAD, how=replace(LOAD.how, whole=False), lora_parameters=50_000_000, base="nf4")
    parts = training_memory(SHAPE, lora, layout=Layout())
    outside = SHAPE.parameters - SHAPE.in_matrices
    assert parts.weights == pytest.approx(0.5625 * SHAPE.in_matrices + 2 * outside + 4 * 50_000_000, rel=1e-6)
    assert parts.optimizer == 8 * 50_000_000


def test_rows_of_words_that_nothing_looks_up_have_no_gradients_and_no_moments():
    whole = replace(LOAD, how=replace(LOAD.how, on_gpu=False))
    part = replace(whole, word_rows=10_000)
    before, after = (training_memory(SHAPE, load, layout=Layout()) for load in (whole, part))
    idle = (SHAPE.vocab - 10_000) * SHAPE.words_width
    assert before.gradients - after.gradients == 4 * idle
    assert before.optimizer - after.optimizer == 8 * idle
    assert after.weights - before.weights == 4 * 10_000 * SHAPE.words_width  # beside the table that a checkpoint is made of
    assert part.trained(SHAPE) == SHAPE.parameters - idle
    for divided in (Layout(processes=2), Layout(sharding="full", offload="cpu")):  # the whole table is trained there
        assert training_memory(SHAPE, part, layout=divided) == training_memory(SHAPE, whole, layout=divided)
    on_gpu = [replace(load, how=replace(load.how, on_gpu=True)) for load in (whole, part)]
    before, after = (training_memory(SHAPE, load, layout=Layout()) for load in on_gpu)
    assert before.weights - after.weights == 4 * idle
    assert after.on_host == 2 * 4 * SHAPE.vocab * SHAPE.words_width


def test_of_one_pass_gradients_come_as_activations_go():
    one, four = (training_memory(SHAPE, replace(LOAD, passes=passes), layout=Layout()) for passes in (1, 4))
    assert four.apart == 0
    assert 0 < one.apart <= min(one.activations, one.gradients + 4 * SHAPE.largest)
    assert one.total < four.total


def test_checkpointing_saves_what_layers_keep():
    without = training_memory(SHAPE, LOAD, layout=Layout(sharding="full", processes=8))
    saved = training_memory(
        SHAPE, replace(LOAD, how=replace(LOAD.how, checkpointing=True)), layout=Layout(sharding="full", processes=8)
    )
    assert saved.activations < without.activations / 6
    assert saved.weights == without.weights


def test_answers_in_words_keep_keys_and_values_and_a_bounded_piece_of_logits():
    config = {"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "num_hidden_layers": 26, "head_dim": 256}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 1, "intermediate_size": 6912}
    shape = shape_of(config, facts={}, causal=True)
    assert shape is not None
    load = AnswerLoad(length=512, sequences=8, asks="loglikelihood", kept_tokens=4096, read=10_000)
    parts = answer_memory(shape, load)
    assert parts.kv_cache == 2 * 26 * 256 * 4096 * 2  # keys and values, layers, width, tokens, bytes
    assert parts.logits == (1 << 25) * (2 + 4 + 4)
    assert answer_memory(shape, replace(load, read=10)).logits == 10 * 262144 * 10
    assert answer_memory(shape, replace(load, asks="")).kv_cache == 0
    assert parts.weights == 2 * shape.parameters
    assert answer_memory(shape, replace(load, base="nf4")).weights < 0.6 * parts.weights


def test_operations_are_those_of_kaplan_with_the_quadratic_term():
    load = PassLoad(tokens=1000, squares=128_000)
    forward = forward_flops(SHAPE, load)
    assert forward == 2 * SHAPE.in_matrices * 1000 + 4 * 48 * 4096 * 128_000
    assert training_flops(SHAPE, load, HowTrained()) == 3 * forward
    assert training_flops(SHAPE, load, HowTrained(checkpointing=True)) == 4 * forward
    assert training_flops(SHAPE, load, HowTrained(whole=False)) == 2 * forward


def test_padding_is_that_of_the_batches():
    assert padded([10, 4, 4, 2], max_tokens=20) == PassLoad(tokens=20 + 8, squares=200 + 32, passes=2)


def test_speed_comes_from_a_calibration_where_there_is_one_and_else_from_a_share_of_the_peak():
    device = named_device("h100-80gb:2", catalog=Catalog())
    assert (device.count, device.memory, device.dtype("auto")) == (2, 80 << 30, "bfloat16")
    assumed = speed_of(device, precision="bfloat16", calibration=None)
    assert assumed.rate(1024, training=False) == pytest.approx(PREDICTING * 989.4e12)
    assert assumed.rate(1024, training=True) == pytest.approx(TRAINING * 989.4e12)
    assert "assumed" in assumed.source
    found = {"bfloat16": [[256, 1e12, 2e12], [1024, 4e12, 8e12]], "bandwidth": 1e11, "date": "2026-01-01"}
    measured = speed_of(device, precision="bfloat16", calibration=found)
    assert [measured.rate(width, training=False) for width in (64, 256, 512, 1024, 4096)] == pytest.approx(
        [1e12, 1e12, 2e12, 4e12, 4e12]
    )
    assert measured.rate(512, training=True) == pytest.approx(4e12)
    assert "calibration" in measured.source


def test_a_device_without_bf16_computes_fp32():
    device = named_device("v100-32gb", catalog=Catalog())
    assert device.dtype("auto") == "float32"
    assert device.peak("bfloat16") == 15.7e12
    assert device.peak("float16") == 125e12


def test_numbers_as_text():
    assert [gib(3 << 30), gib(200 << 20)] == ["3.0 GiB", "200 MiB"]
    assert [hours(None), hours(30), hours(600), hours(5400)] == ["?", "30 s", "10 min", "1.5 h"]
    assert [operations(None), operations(2.5e18), operations(3e15), operations(5e9)] == [
        "?",
        "2.5 exaFLOP",
        "3 petaFLOP",
        "5 gigaFLOP",
    ]
    assert [money(5400, 2.5), money(3600 * 1000, 2.5)] == ["3.75", "2,500"]
