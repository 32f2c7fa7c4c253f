"""--model_args, --prompt_args, --device, names of models: values as their keys declare them, mistakes before anything loads."""

import pytest
from small_folders import write_model_folder

import run_eval
from harness.api.errors import UserError
from harness.api.registry import ENGINES, TASK_TYPES
from harness.planning.backbone.model_args import known_args, parse_model_args
from harness.planning.backbone.resolve import resolve
from harness.planning.catalog.catalog import Catalog
from harness.planning.routes import parse_prompt_args
from harness.specs.model_args import EngineArgs
from harness.specs.prompt import PromptArgs

CATALOG = Catalog()


def said(*words):
    """Exit code of a plan."""
    return run_eval.main(["plan", "--tasks", "mini/nli", "--recipe", "mini", *words])


def refused(capsys, *words):
    """What a plan that cannot be says."""
    assert said(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("revision=1", "revision", "1"),
        ("revision=2020-01-31", "revision", "2020-01-31"),
        ("revision=1e3", "revision", "1e3"),
        ("revision=null", "revision", "null"),
        ('revision="a,b"', "revision", "a,b"),
        ("lora_rank=010", "lora_rank", 10),
        ("lora_alpha=32", "lora_alpha", 32),
        ("lora_alpha=0.5", "lora_alpha", 0.5),
        ("labels=1|2|no", "labels", ("1", "2", "no")),
        ("trust_remote_code=yes", "trust_remote_code", True),
        ("kv_cache_gib=2.5", "kv_cache_gib", 2.5),
    ],
)
def test_a_value_is_what_its_key_declares(text, key, value):
    found = getattr(parse_model_args(text).model, key)
    assert (found, type(found)) == (value, type(value))


def test_options_of_tasks_stand_beside_what_is_said_of_the_model():
    given = parse_model_args("max_length=64,prefix=query: ,layer=-1,dtype=float32")
    assert given.options == {"max_length": 64, "prefix": "query: ", "layer": -1.0}
    assert given.model.dtype == "float32"
    assert given.model.model_fields_set == {"dtype"}


def test_an_option_that_two_types_have_is_of_one_kind():
    fields = {}
    for type_ in TASK_TYPES.names():
        for name, field in TASK_TYPES.load(type_).Options.model_fields.items():
            fields.setdefault(name, []).append((field.annotation, field.metadata))
    assert max(map(len, fields.values())) > 3
    assert [name for name, kinds in fields.items() if any(kind != kinds[0] for kind in kinds)] == []
    assert set(fields) < set(known_args().model_fields)


def test_engines_are_those_of_the_registry():
    assert EngineArgs.model_fields["engine"].annotation.__args__ == ("transformers", *ENGINES)


WRONG = {
    "a=[1": "unknown key 'a'",
    "dtype=fp16": "there are float32, bfloat16, float16, auto; here 'float16' is meant",
    "dtype=half": "here 'float16' is meant",
    "dtype=int8": "known: auto, bfloat16, float16, float32",
    "dtype=!!int z": "dtype: input should be 'float32', 'bfloat16', 'float16' or 'auto'",
    "dtype": "write dtype=VALUE",
    "dtype=float32,dtype=float16": "'dtype' is said twice",
    "max_length=0": "max_length: input should be greater than or equal to 1",
    "max_length=-1": "max_length: input should be greater than or equal to 1",
    "max_length=1e9": "max_length: input should be a valid integer",
    "max_length=2020-01-31": "max_length: input should be a valid integer",
    "max_length=" + "9" * 5000: "max_length: unable to parse input string as an integer, exceeded maximum size",
    "layer=nan": "layer: input should be a finite number",
    "layer=1.5": "layer: a layer is a whole number, or a fraction",
    "temperature=inf": "temperature: input should be a finite number",
    "lora_alpha=1" + "0" * 400: "lora_alpha: input should be less than",
    "lora_rank=9999999999": "lora_rank: input should be less than",
    "labels=a|a": "a name stands twice",
    "labels=a||b": "labels: string should have at least 1 character",
    "revision=": "revision: string should have at least 1 character",
    "device_map=tpu": "device_map: input should be 'auto'",
    "cpu_memory_gib=6": "cpu_memory_gib say nothing without a device_map",
    "attn_implementation=fast": "attn_implementation: input should be 'sdpa'",
    "model_type=robertina": "model_type: the installed transformers knows no such model_type",
    "tokenizer_class=AutoModel": "no class of tokenizers",
    "tokenizer=./nowhere": "tokenizer: no such tokenizer",
    "tokenizer=setup.cfg": "tokenizer: no such tokenizer",
    "adapter=encodr": "did you mean 'encoder'?",
    "path=/etc/passwd": "path: no such model",
    "path=" + "x" * 5000: "path: no such model",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_a_wrong_value_is_one_clear_error(capsys, text):
    assert WRONG[text] in refused(capsys, "--model", "mini", "--model_args", text)


def test_mistakes_of_all_flags_come_at_once(capsys):
    text = refused(
        capsys,
        *("--model", "mini", "--model_args", "dtype=fp16,lora_rank=x"),
        *("--prompt_args", "num_fewshot=-1,wording=loud,seed=x", "--route", "prompt", "--device", "banana"),
    )
    for words in ("dtype:", "lora_rank:", "num_fewshot:", "wording:", "seed:", "--device: no such device"):
        assert words in text


def test_prompt_args_are_read_in_the_same_way(capsys):
    found = parse_prompt_args('num_fewshot=4,chat_template=true,system="Answer, please",seed=7,normalise=per_token')
    assert found == PromptArgs(num_fewshot=4, chat_template=True, system="Answer, please", seed=7, normalise="per_token")
    with pytest.raises(UserError, match=r"unknown key 'num_fewshots'(.|\n)*did you mean 'num_fewshot'"):
        parse_prompt_args("num_fewshots=2")
    for value in ("[1", "!!int z", "*nowhere", "\x1b[31m", "9" * 5000):
        assert "num_fewshot: " in refused(capsys, "--model", "mini", "--route", "prompt", "--prompt_args", f"num_fewshot={value}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("banana", "no such device"),
        ("cuda:x", "no such device"),
        ("cpu:0", "no such device"),
        ("", "no such device"),
        ("cuda:4711", "there is no such CUDA device"),
    ],
)
def test_devices_that_are_not_here(capsys, name, words):
    assert words in refused(capsys, "--model", "constant", "--device", name)
    assert said("--model", "constant", "--device", "cpu") == 0


def test_cuda_where_there_is_none(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    for name in ("cuda", "cuda:0"):
        assert "no CUDA device that torch can use" in refused(capsys, "--model", "constant", "--device", name)


NAMES = [
    "",
    " ",
    "/etc/passwd",
    "setup.cfg",
    "x" * 5000,
    "~nobody/x",
    "a/b/c",
    "org/../x",
    "org/a b",
    "org/" + "x" * 300,
    "\x1b[31m",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_names_that_are_no_models(capsys, name):
    text = refused(capsys, f"--model={name}")
    assert text.startswith("error: --model: ")
    assert "\x1b" not in text
    assert len(text) < 1000


def test_a_layer_or_a_length_beyond_the_model_is_known_from_its_configuration(tmp_path, capsys):
    model = str(write_model_folder(tmp_path / "m"))  # 2 layers, 64 positions
    asked = ("--model", model, "--no_train", "--tasks", "mini/retrieval")
    for good in ("layer=2", "layer=-3", "layer=0.5", "max_length=64"):
        assert said(*asked, "--model_args", good) == 0
    capsys.readouterr()
    for bad in ("layer=99", "layer=3", "layer=-4"):
        text = refused(capsys, *asked, "--model_args", bad)
        assert f"there is no layer {bad[6:]}" in text
        assert "a whole number from -3 to 2" in text
    assert "at most 64, the positions of the model" in refused(capsys, *asked, "--model_args", "max_length=65")


def test_a_model_is_called_by_the_name_of_its_folder(tmp_path, monkeypatch):
    inside = write_model_folder(tmp_path / "my-model") / "inside"
    inside.mkdir()
    monkeypatch.chdir(tmp_path / "my-model")
    for name in (".", "./", "../my-model/", str(tmp_path / "my-model")):
        backbone = resolve(name, "", catalog=CATALOG, use_own_head=False)
        assert (backbone.name, backbone.facts["path"]) == ("my-model", "my-model")
    monkeypatch.chdir(inside)
    assert resolve("..", "", catalog=CATALOG, use_own_head=False).name == "my-model"


def test_an_encoder_asked_in_words_is_told_so_in_words(capsys):
    text = refused(capsys, "--model", "xlm-roberta-base", "--route", "prompt", "--tasks", "mini/xnli")
    assert "task 'mini/xnli' is asked in words, and xlm-roberta-base gives none" in text
    assert "loglikelihood" not in text
    assert "to do: leave --route prompt out" in text


def test_a_tokenizer_of_a_fake_is_known_by_what_it_is(tmp_path):
    one, two = write_model_folder(tmp_path / "one"), write_model_folder(tmp_path / "two")
    found = [resolve("constant", f"tokenizer={place}", catalog=CATALOG, use_own_head=False) for place in (one, two)]
    assert found[0].arguments == found[1].arguments
    assert found[0].knobs.tokenizer == str(one)
