"""A model is gone from memory before the next one is made, also where its stage failed, whose traceback holds what it held."""

import gc
import weakref

import pytest
from safetensors.torch import load_file, save_file
from small_runs import Project
from torch.nn.modules.module import register_module_forward_pre_hook, register_module_module_registration_hook
from transformers import PreTrainedModel

import run_eval


class Watch:
    """Which models have computed something, and how many of them are still there when another one is made."""

    def __init__(self):
        self.computed, self.names, self.left = weakref.WeakSet(), [], []

    def __enter__(self):
        gc.collect()
        gc.disable()  # what only a collector would find is not gone in time
        self.handles = [
            register_module_forward_pre_hook(self.asked),
            register_module_module_registration_hook(self.made),
        ]
        return self

    def __exit__(self, *_):
        gc.enable()
        for handle in self.handles:
            handle.remove()

    def asked(self, module, _):
        if isinstance(module, PreTrainedModel) and module not in self.computed:
            self.computed.add(module)
            self.names.append(type(module).__name__)

    def made(self, module, *_):
        if isinstance(module, PreTrainedModel):
            self.left.append(len(self.computed - {module}))


@pytest.mark.parametrize(
    ("task", "route", "fails"),
    [("tags", "prompt", True), ("nearest", "", True), ("pairs", "head", True), ("pairs", "head", False)],
    ids=["an answer", "a vector", "a training", "nothing fails"],
)
def test_the_first_is_gone_when_the_second_is_made(task, route, fails, tmp_path, capsys):
    projects = [Project.make(tmp_path / name, tasks=task, max_steps=1) for name in ("one", "two")]
    decoders = [project.decoder.rename(tmp_path / f"decoder-{n}") for n, project in enumerate(projects)]
    for number in range(1 + (not fails)):  # weights of their own, or none that give numbers
        path = decoders[number] / "model.safetensors"
        tensors = load_file(path)
        tensors["model.layers.0.mlp.down_proj.weight"] *= float("nan") if fails else 1 + number
        save_file(tensors, path, metadata={"format": "pt"})
    models = ",".join(map(str, decoders))
    flags = ["--model", models, "--tasks", task, "--languages", "de", "--quiet", *(["--route", route] if route else [])]
    flags += ["--include_path", str(projects[0].folder), "--recipe", "tiny", "--output_path", str(tmp_path / "runs")]
    with Watch() as watch:
        assert run_eval.main(flags) == int(fails)
    assert ("infinite or undefined" in (err := capsys.readouterr().err) or "the loss became nan" in err) is fails
    assert len(watch.names) > 1
    assert len(watch.left) > 3
    assert set(watch.left) == {0}
