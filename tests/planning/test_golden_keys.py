"""The stage keys of real plans, pinned: a key that moves makes every finished stage of every user be made again.

python tests/planning/test_golden_keys.py        # writes golden_keys.json from the code as it is; together with VERSIONS only
"""

import json
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

import pytest
from small_engines import vllm_in
from small_lm_eval_tasks import write_folder
from stand_ins import write_stand_ins

from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest

FILE = Path(__file__).with_name("golden_keys.json")
XTREME = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
TRAINED = ("mnli", "qqp", "hellaswag", "squad_v1", "squad_v2", "mlm", "translation_from_en")
SMOL = {"model": "smollm2-135m-instruct", "model_args": "revision=main1", "route": "prompt", "languages": ("de", "sw")}
PLANS = {
    "mini": {"model": "mini", "tasks": "mini", "intermediate": "none,mini/paraphrase", "recipe": "mini"},
    "xtreme": {"model": "xlm-roberta-large", "model_args": "revision=main1", "tasks": "xtreme", "intermediate": "none,mnli",
               "recipe": "phang2020", "seeds": (1, 2)},
    "mixtures": {"model": "xlm-roberta-base", "model_args": "revision=main1,max_length=96", "tasks": "xnli,tydiqa",
                 "languages": ("de", "sw"),
                 "intermediate": "mnli+qqp+hellaswag+mlm~uniform,mnli@de,mlm:squad_v2,mnli@de+mnli@sw", "recipe": "jiant_guide"},
    "lora": {"model": "qwen3-0.6b-base", "model_args": "revision=main1,lora_rank=16,bidirectional=true", "tasks": "panx,tatoeba",
             "intermediate": "none,qqp", "recipe": "quick_lora", "limit": 50},
    "prompts": {**SMOL, "tasks": "xnli,panx,xquad,tatoeba", "prompt_args": "num_fewshot=2,chat_template=true"},
    "taught in words": {**SMOL, "tasks": "xnli,xquad", "intermediate": "none,qqp", "prompt_args": "sft=true", "recipe": "quick"},
    "vllm": {**SMOL, "model_args": "revision=main1,engine=vllm,layer=-1", "tasks": "xnli,panx,tatoeba,translation_from_en",
             "prompt_args": "guided=true"},
    "lm_eval": {"model": "smollm2-135m", "model_args": "revision=main1", "tasks": "nli,cloze,quiz,ask_*",
                "prompt_args": "num_fewshot=1"},
    "without overlap": {"model": "xlm-roberta-base", "model_args": "revision=main1", "tasks": "pawsx,xnli", "languages": ("de",),
                        "remove_overlap": True, "replaced": (("xnli", 1, 7),)},
    "not trained": {"model": "xlm-roberta-base", "model_args": "revision=main1,dtype=float32,adapter=encoder",
                    "tasks": "xnli,panx", "languages": ("de",), "no_train": True},
    "fake": {"model": "oracle", "tasks": "xnli,mlqa,udpos", "limit": 10},
}  # fmt: skip


def keys_of(name, folder):
    """The plan's stages: keys of training and making, and of each task one digest over the keys of its predictions and scores."""
    tasks, data = folder / "lm_eval", folder / "data"
    catalog = Catalog([write_folder(tasks)])
    place = DataPlace(data_dir=write_stand_ins(data, (*XTREME, *TRAINED), catalog=catalog), offline=True, trust_task_code=True)
    plan = make_plan(RunRequest(**PLANS[name]), catalog=catalog, place=place)
    assert plan.missing() == [], "\n".join(plan.missing())
    found = {stage.name.rpartition("-")[0]: stage.key for stage in plan.stages if stage.verb in ("init", "train")}
    joint = defaultdict(list)
    for cell in plan.cells:
        for stage in (cell.predict, cell.score):
            joint[f"{stage.verb} {cell.task}"].append(stage.key)
    return found | {verb: f"{len(keys)} {sha256(' '.join(keys).encode()).hexdigest()[:10]}" for verb, keys in joint.items()}


@pytest.mark.parametrize("name", PLANS)
def test_the_keys_of_real_plans_stay(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_VLLM_PYTHON", vllm_in(tmp_path))
    assert keys_of(name, tmp_path) == json.loads(FILE.read_text(encoding="utf-8"))[name]


if __name__ == "__main__":
    import os
    from tempfile import TemporaryDirectory

    def written(name):
        with TemporaryDirectory() as folder:
            os.environ["XLIFT_VLLM_PYTHON"] = vllm_in(Path(folder))
            return keys_of(name, Path(folder))

    FILE.write_text(json.dumps({name: written(name) for name in PLANS}, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{FILE.name}: {len(PLANS)} plans\n")
