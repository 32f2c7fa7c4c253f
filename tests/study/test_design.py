"""A study file settled: who sets a backbone's arguments, which sizes count, what does not go together."""

import json

import pytest

from harness.api.errors import UserError
from harness.planning.catalog.catalog import Catalog
from harness.planning.request import GivenRate
from harness.study.design.design import design_of
from harness.study.design.ladder import other_sizes
from harness.study.design.learning_rates import num_phases

BASE = {
    "study": "s",
    "description": "d",
    "families": {"XLM-R": {"backbones": ["xlm-roberta-large", "xlm-roberta-base"]}},
    "intermediate": ["mnli"],
    "tasks": ["xnli", "tatoeba"],
    "seeds": [1, 2],
    "verdicts": {"margin": 1.0},
}


def design(tmp_path, **changes):
    values = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(values, indent=1))
    catalog = Catalog([path])
    return design_of(catalog.study("s"), catalog=catalog)


def refused(tmp_path, **changes):
    with pytest.raises(UserError) as caught:
        design(tmp_path, **changes)
    return str(caught.value)


def test_members_come_by_size_with_the_sizes_of_their_presets(tmp_path):
    found = design(tmp_path)
    assert [(one.name, one.family, one.size) for one in found.members] == [
        ("xlm-roberta-base", "XLM-R", 85_056_000),
        ("xlm-roberta-large", "XLM-R", 302_311_424),
    ]
    assert [setting.name for setting in found.settings] == ["none", "mnli"]
    assert found.categories == {"xnli": "classification", "tatoeba": "retrieval"}


def test_presets_of_the_family_that_are_left_out_could_be_added(tmp_path):
    found = design(tmp_path)
    others = other_sizes(found.members, catalog=Catalog())
    assert [(one.backbone, one.family) for one in others] == [("xlm-roberta-xl", "XLM-R"), ("xlm-roberta-xxl", "XLM-R")]
    assert others[1].size == 9_666_240_512


def test_arguments_are_laid_over_each_other_method_family_size_backbone(tmp_path):
    found = design(
        tmp_path,
        methods={"full": {"recipe": "phang2020", "model_args": "dtype=float32,attn_implementation=eager,max_length=100"}},
        families={
            "XLM-R": {
                "model_args": "attn_implementation=sdpa,layer=3",
                "backbones": [
                    "xlm-roberta-base",
                    {"model": "xlm-roberta-large", "model_args": "max_length=200"},
                    "xlm-roberta-xl",
                ],
            }
        },
        overrides=[
            {"from_size": 3.0e8, "model_args": "dtype=bfloat16"},
            {"from_size": 2.0e9, "recipe": "xtreme_2020", "model_args": "max_length=50"},
        ],
    )
    assert [(one.recipe, one.model_args) for one in found.members] == [
        ("phang2020", "dtype=float32,attn_implementation=sdpa,max_length=100,layer=3"),
        ("phang2020", "dtype=bfloat16,attn_implementation=sdpa,max_length=200,layer=3"),
        ("xtreme_2020", "dtype=bfloat16,attn_implementation=sdpa,max_length=50,layer=3"),
    ]


METHODS = {"full": {}, "lora": {"recipe": "lora", "model_args": "lora_rank=8"}}
QWEN = ["qwen3-0.6b-base", "qwen3-1.7b-base", "qwen3-4b-base"]


def test_a_bridge_stands_once_more_for_each_other_method_and_comes_last(tmp_path):
    found = design(
        tmp_path, methods=METHODS, families={"Qwen3": {"method": "lora", "backbones": QWEN}}, bridges=["qwen3-0.6b-base"]
    )
    assert [(one.name, one.method, one.recipe, one.bridges, one.is_low_rank) for one in found.members] == [
        ("qwen3-0.6b-base", "lora", "lora", "", True),
        ("qwen3-1.7b-base", "lora", "lora", "", True),
        ("qwen3-4b-base", "lora", "lora", "", True),
        ("qwen3-0.6b-base (full)", "full", "xtreme_2020", "qwen3-0.6b-base", False),
    ]


def test_a_family_has_one_method_throughout(tmp_path):
    mixed = {"Qwen3": {"backbones": [QWEN[0], {"model": QWEN[1], "model_args": "lora_rank=8"}]}}
    told = refused(tmp_path, families=mixed)
    assert "families.Qwen3: a family has one training method throughout" in told
    assert "found: low-rank adapters for qwen3-1.7b-base, all weights for qwen3-0.6b-base" in told
    told = refused(
        tmp_path, families={"Qwen3": {"backbones": QWEN}}, overrides=[{"from_size": 1.0e9, "model_args": "lora_rank=8"}]
    )
    assert "a family has one training method throughout" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"full": {"recipe": "xtreme_2021"}}}, "methods.full.recipe: unknown recipe 'xtreme_2021'"),
        ({"families": {"F": {"backbones": ["oracle"]}}}, "families.F.backbones[0]: the size of 'oracle' is not known"),
        ({"families": {"F": {"backbones": [{"model": "oracle", "size": 5}]}}}, "a fake is no backbone of a ladder"),
        ({"families": {"F": {"backbones": ["xlm-roberta-bas"]}}}, "did you mean 'xlm-roberta-base'?"),
        ({"families": {"F": {"backbones": ["rembert", "rembert"]}}}, "could not be told apart"),
        ({"methods": METHODS, "bridges": ["rembert"]}, "bridges: no family has the backbone 'rembert'"),
        ({"bridges": ["xlm-roberta-base"]}, "nothing to bridge: the study has one method"),
        ({"trial_seeds": [2, 7]}, "seeds of the trials are seeds of the study\n  found: 2"),
        ({"intermediate": ["mnl"]}, "intermediate: unknown task 'mnl'"),
        ({"tasks": ["xnlii"]}, "tasks: no task, group or glob 'xnlii'"),
        ({"categories": ["retrievals"]}, "categories: unknown group 'retrievals'"),
        ({"languages": ["xx"]}, "unknown language 'xx'"),
        ({"chosen": {"mnli": ["none"]}}, "chosen.mnli: 'mnli' is a setting already"),
        ({"chosen": {"best": ["qqp"]}}, "chosen.best: no setting 'qqp' in this study"),
        (
            {"hypotheses": [{"name": "a", "asks": "helps", "settings": "none"}]},
            "hypotheses[0].settings: no setting 'none' in this study",
        ),
        ({"hypotheses": [{"name": "a", "asks": "scale", "settings": "mnli"}]}, "a claim of sizes needs sizes"),
        (
            {"hypotheses": [{"name": "a", "asks": "helps", "settings": "mnli", "over": {"script": "Latin"}}]},
            "hypotheses[0].over: no script 'Latin' in this study",
        ),
    ],
)
def test_what_does_not_go_together_is_told_with_its_place(tmp_path, changes, message):
    assert message in refused(tmp_path, **changes)


def test_a_request_holds_what_the_file_says_and_the_rates_that_were_chosen(tmp_path):
    found = design(tmp_path, intermediate=["mnli", "mlm:mnli"], limit=10, languages=["de"])
    request = found.request(found.members[0], rates=[GivenRate("mnli", "xnli", 0.5)])
    assert (request.tasks, request.intermediate, request.seeds) == ("xnli,tatoeba", "none,mnli,mlm:mnli", (1, 2))
    assert (request.limit, request.languages, request.recipe) == (10, ("de",), "xtreme_2020")
    assert (request.rate_of("mnli", "xnli"), request.rate_of("mnli"), request.rate_of("none", "xnli")) == (0.5, None, None)
    assert num_phases(found) == 2
