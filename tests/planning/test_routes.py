"""Every task type by every route on every adapter: what `plan` allows runs on the miniature world, the rest is one clear error.

Types, routes and adapters are those of the registries: a new type asks for a miniature, a new adapter for a line in BACKBONES.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from transformers import AutoConfig

from harness.api.errors import UserError, UserErrors
from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.executors.local import execute
from harness.planning.backbone.resolve import FAKE_CAPABILITIES
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import Plan, make_plan
from harness.planning.request import RunRequest
from harness.prediction.fakes import KINDS
from harness.runtime.machine import Machine
from harness.runtime.stages import read_json
from harness.specs.task import TaskSpec
from models.finetuned import CLASSES
from models.loading.scratch import init_scratch, train_tokenizer

SIZES = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
BACKBONES: dict[str, dict[str, Any]] = {
    "decoder": {"model_type": "llama", **SIZES},
    "encoder": {"model_type": "xlm-roberta", **SIZES, "max_position_embeddings": 140, "type_vocab_size": 1},
}
"What an adapter loads: a configuration for its `init_scratch`."
RECIPE = {
    "recipe": "two_steps",
    "description": "for tests",
    "defaults": {"max_steps": 2, "batch_size": 4, "max_examples": 12, "eval_examples": 4, "precision": "float32"},
}
MODES = ("target", "intermediate", "no_train")
CATALOG = Catalog()
MINIATURES = [CATALOG.task(name).spec for name in CATALOG.names("task") if name.startswith("mini/")]


def english_texts() -> Iterator[str]:
    """English rows of the miniature world: a tokenizer that knows none of their words is refused."""
    for name in ("mini/anli_plus", "mini/ccg", "mini/qa"):
        task = CATALOG.task(name).spec
        for example in load_examples(task, split="test", langs=["en"], place=DataPlace.resolve(None), limit=100).examples:
            yield from TASK_TYPES.load(task.type).texts(example)


class Asked(NamedTuple):
    """A task type by one of its routes, put to an adapter or a fake."""

    type: str
    route: str
    adapter: str
    mode: str
    "target: trained where there are training rows, and scored; intermediate: trained; no_train: scored as it comes."

    @property
    def spec(self) -> TaskSpec:
        """The miniature that serves."""
        return max(miniatures(self.type, self.route, self.mode), key=lambda spec: (bool(spec.data.test), spec.task))

    @property
    def trains(self) -> bool:
        """Whether the miniature is trained on."""
        return self.adapter not in KINDS and (self.mode == "intermediate" or (self.mode == "target" and has_training(self.spec)))

    @property
    def lacks(self) -> set[str]:
        """What it needs and the adapter does not offer."""
        offered = FAKE_CAPABILITIES if self.adapter in KINDS else ADAPTERS.constant(self.adapter, "CAPABILITIES")
        needs = set(TASK_TYPES.load(self.type).NEEDS)
        if self.route == "prompt" and self.spec.prompt:
            needs = {"generate" if self.spec.prompt.generate else "loglikelihood"}
        return (needs | ({"fit"} if self.trains else set())) - {*offered}

    @property
    def hides(self) -> bool:
        """Whether it hides words from a model that sees only those before them."""
        return (self.type, self.adapter) == ("masked_lm", "decoder") and self.trains


def has_training(spec: TaskSpec) -> bool:
    return bool(spec.train_on or spec.data.train)


def miniatures(type_: str, route: str, mode: str) -> list[TaskSpec]:
    """The miniatures of a type that can be asked for so."""
    own = [spec for spec in MINIATURES if spec.type == type_ and (spec.prompt or route != "prompt")]
    return [spec for spec in own if (spec.data.train if mode == "intermediate" else spec.data.test)]


def everything() -> list[Asked]:
    """All that can be asked for; of routes other than a type's first only prompts are trained."""
    found = []
    for type_ in TASK_TYPES.names():
        first, *others = TASK_TYPES.load(type_).ROUTES
        ways = [(first, mode) for mode in MODES] + [(route, "no_train") for route in others]
        ways += [("prompt", mode) for mode in ("target", "intermediate") if "prompt" in others]
        ways = [(route, mode) for route, mode in ways if miniatures(type_, route, mode)]
        found += [Asked(type_, route, adapter, mode) for adapter in (*ADAPTERS.names(), *KINDS) for route, mode in ways]
    return found


def has_model(asked: Asked) -> bool:
    """Whether this file makes a model for the adapter."""
    return asked.adapter in (*KINDS, *BACKBONES, "finetuned")


ALL = everything()


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """With the recipe."""
    path = tmp_path_factory.mktemp("recipe") / "two_steps.yaml"
    path.write_text(json.dumps(RECIPE))
    return Catalog([path])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where stages lie: what one test has trained, another asks."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models in folders of their names: each adapter's backbone, and a checkpoint fine-tuned elsewhere of each kind of head."""
    made = tmp_path_factory.mktemp("routes")
    tokenizer = train_tokenizer(english_texts(), vocab_size=200)
    for adapter in {*BACKBONES} & {*ADAPTERS.names()}:
        init_scratch(BACKBONES[adapter], tokenizer=tokenizer, folder=made / adapter, seed=1)
    for asked in ALL:
        head = TASK_TYPES.load(asked.type).head(asked.spec, TASK_TYPES.load(asked.type).Options())
        if head is not None and head.kind in CLASSES and not (made / "finetuned" / head.kind).exists():
            labels = asked.spec.labels if head.kind in ("sequence", "token") else map(str, range(head.num_outputs))
            names = dict(enumerate(labels))
            own = {"id2label": names, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
            config = AutoConfig.for_model(**{**BACKBONES["encoder"], **own})
            CLASSES[head.kind][1].from_config(config).save_pretrained(made / "finetuned" / head.kind)
            tokenizer.save_pretrained(made / "finetuned" / head.kind)
    return made


def plan_of(asked: Asked, folder: Path, catalog: Catalog, *, model: Path | None = None) -> tuple[Plan, Machine]:
    """The plan of a small run; raises UserError where there cannot be one."""
    spec, module = asked.spec, TASK_TYPES.load(asked.type)
    carrier = spec.task if asked.mode != "intermediate" else "mini/tatoeba"
    flags: dict[str, Any] = {"route": asked.route} if asked.route != module.ROUTES[0] else {}
    if asked.adapter in KINDS:
        flags["model"] = asked.adapter
    elif asked.adapter == "finetuned":
        head = module.head(spec, module.Options())
        flags["model"] = str(folder / "finetuned" / (head.kind if head is not None and head.kind in CLASSES else "sequence"))
        flags["model_args"] = "" if asked.mode == "no_train" and asked.route == "head" else "adapter=finetuned"
    else:
        flags["model"] = str(model or folder / (asked.adapter if has_model(asked) else "encoder"))
        flags["model_args"] = f"adapter={asked.adapter}"
    request = RunRequest(
        tasks=carrier,
        intermediate=spec.task if asked.mode == "intermediate" else "none",
        languages=CATALOG.task(carrier).spec.languages[:1],
        recipe="two_steps",
        no_train=asked.mode == "no_train",
        limit=3,
        prompt_args="sft=true" if asked.mode == "target" and flags.get("route") == "prompt" else "",
        **flags,
    )
    place = DataPlace(data_dir=None, offline=True)
    folders = {name: catalog.folder("task", name) for name in catalog.names("task")}
    machine = Machine(place=place, task_folders=folders, device_name="cpu", progress=False)
    return make_plan(request, catalog=catalog, place=place), machine


def test_every_type_has_a_miniature_for_each_of_its_routes() -> None:
    own = [type_ for type_ in TASK_TYPES.names() if TASK_TYPES.load(type_).FIELDS]  # `lm_eval` reads files of others
    ways = {(type_, route) for type_ in own for route in TASK_TYPES.load(type_).ROUTES}
    assert ways - {(asked.type, asked.route) for asked in ALL} == set(), "write tasks/mini/<task>.yaml"


def test_every_adapter_has_a_model_here() -> None:
    assert {asked.adapter for asked in ALL if not has_model(asked)} == set(), "say in BACKBONES what it loads"


@pytest.mark.parametrize("asked", [asked for asked in ALL if asked.lacks], ids="-".join)
def test_what_an_adapter_cannot_do_is_one_clear_error(asked: Asked, folder: Path, catalog: Catalog) -> None:
    with pytest.raises(UserError) as caught:
        plan_of(asked, folder, catalog)
    errors = caught.value.errors if isinstance(caught.value, UserErrors) else (caught.value,)
    about = [error for error in errors if f"'{asked.spec.task}'" in error.message]
    (error,) = about
    if asked.route == "prompt":
        assert error.message.startswith(f"task '{asked.spec.task}' is asked in words, and ")
        assert error.expected.startswith("a causal language model")
        assert "--route prompt" in error.todo or asked.type == "generation"
    else:
        assert error.message == f"task '{asked.spec.task}' ({asked.type}) cannot be had with adapter '{asked.adapter}'"
        assert error.expected == "an adapter that offers " + ", ".join(sorted(asked.lacks))
    assert about[0].where == ("--intermediate" if asked.mode == "intermediate" else "--tasks")
    assert about[0].todo


def test_hidden_words_are_not_asked_of_a_model_that_sees_only_what_comes_before(folder: Path, catalog: Catalog) -> None:
    hidden = [asked for asked in ALL if asked.hides]
    assert hidden
    for asked in hidden:
        with pytest.raises(UserError, match="hides words") as caught:
            plan_of(asked, folder, catalog)
        assert "bidirectional=true" in caught.value.todo


@pytest.mark.parametrize("asked", [asked for asked in ALL if has_model(asked) and not (asked.lacks or asked.hides)], ids="-".join)
def test_what_an_adapter_offers_is_planned(asked: Asked, folder: Path, catalog: Catalog) -> None:
    plan, _ = plan_of(asked, folder, catalog)
    assert plan.backbone.adapter == ("fake" if asked.adapter in KINDS else asked.adapter)
    (cell,) = plan.cells
    assert cell.score is not None
    assert bool(cell.train) == asked.trains


def is_run(asked: Asked) -> bool:
    """Whether it is run as well; training is the same in both phases, so that types that are scored are trained once."""
    if asked.lacks or not has_model(asked) or asked.hides:
        return False
    if asked.mode == "intermediate":
        return not miniatures(asked.type, asked.route, "target") and asked.adapter not in KINDS
    return asked.mode == "target" or asked.adapter not in KINDS or asked.route != TASK_TYPES.load(asked.type).ROUTES[0]


def test_fine_tuning_in_words_learns_the_answers(folder: Path, catalog: Catalog, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "by_heart.yaml"
    training = {
        "max_steps": 60,
        "batch_size": 8,
        "max_examples": 8,
        "learning_rate": 0.01,
        "eval_every": 99,
        "precision": "float32",
    }
    path.write_text(json.dumps({"recipe": "two_steps", "description": "for tests", "defaults": training}))
    asked = Asked("classification", "prompt", "decoder", "target")
    plan, machine = plan_of(asked, folder, Catalog([path]))
    assert not execute(plan.stages, root=root, machine=machine).failed
    (stage,) = plan.cells[0].train
    log = [json.loads(line) for line in (stage.folder(root) / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[0] > 2
    assert losses[-1] < 0.2 * losses[0]


def test_another_chat_template_is_another_prompt_and_no_other_head(folder: Path, catalog: Catalog, tmp_path: Path) -> None:
    model = tmp_path / "decoder"
    shutil.copytree(folder / "decoder", model)
    ways = [Asked("classification", "head", "decoder", "target"), Asked("classification", "prompt", "decoder", "target")]

    def keys() -> list[tuple[str, ...]]:
        plans = [plan_of(asked, folder, catalog, model=model)[0] for asked in ways]
        return [tuple(stage.key for stage in plan.stages) for plan in plans]

    head, words = keys()
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    assert keys()[0] == head
    assert not set(keys()[1]) & set(words)


@pytest.mark.parametrize("asked", [asked for asked in ALL if is_run(asked)], ids="-".join)
def test_what_is_planned_runs(asked: Asked, folder: Path, catalog: Catalog, root: Path) -> None:
    model, as_target = None, asked._replace(mode="target")
    if asked.mode == "no_train" and asked.route == "head" and asked.adapter in BACKBONES and as_target.trains:
        plan, machine = plan_of(as_target, folder, catalog)  # a checkpoint of the project's own has the head
        assert not execute(plan.stages, root=root, machine=machine).failed
        model = plan.cells[0].train[-1].folder(root) / "checkpoint"
    plan, machine = plan_of(asked, folder, catalog, model=model)
    report = execute(plan.stages, root=root, machine=machine)
    assert not report.failed, [error for _, error in report.failed]
    (cell,) = plan.cells
    assert cell.score is not None
    score = read_json(cell.score.folder(root) / "score.json")["score"]["value"]
    assert 0 <= score <= 100
    assert asked.adapter != "oracle" or score == 100
