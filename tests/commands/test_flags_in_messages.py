"""Every flag that a message of ours names is a flag that there is."""

import argparse
import ast
import re

import pytest

from harness.api.registry import COMMANDS, ROOT
from harness.planning.backbone.model_args import known_args
from harness.specs.prompt import PromptArgs

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z_0-9]+")
ELSEWHERE = {
    "--nproc_per_node": "torchrun",
    "--untracked": "git",
    "--porcelain": "git",
    "--short": "git",
    "--query": "nvidia-smi",
    "--format": "nvidia-smi",
    "--cpu": "accelerate launch",
    "--multi_gpu": "accelerate launch",
    "--num_processes": "accelerate launch",
    "--replace_subtokens_with_fused_forms": "the script of XTREME that treebanks are cut by",
}
"Flags of other programs."
OTHERS = "_borrowed_*.py"
"Flags of other harnesses; tests/commands/test_coming_from.py tries what they say of ours."
FILES = [*sorted((ROOT / "harness").rglob("*.py")), *sorted((ROOT / "models").rglob("*.py")), ROOT / "run_eval.py"]
FILES = [path for path in FILES if not path.match(OTHERS)]


def texts(path):
    """The string literals of a file, docstrings among them, with their lines."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.fixture(scope="module")
def flags():
    """All flags of all commands."""
    found = set()
    for name in COMMANDS.names():
        parser = argparse.ArgumentParser()
        COMMANDS.load(name).add_arguments(parser)
        waiting = [parser]
        while waiting:
            for action in waiting.pop()._actions:
                found.update(action.option_strings)
                if isinstance(action, argparse._SubParsersAction):
                    waiting += action.choices.values()
    return found


def test_every_flag_in_a_text_is_a_flag(flags):
    named = [(path, line, flag) for path in FILES for line, text in texts(path) for flag in FLAG.findall(text)]
    assert len(named) > 200
    assert [f"{path.relative_to(ROOT)}:{line} {flag}" for path, line, flag in named if flag not in flags | set(ELSEWHERE)] == []


def test_no_exception_is_left_over(flags):
    named = {flag for path in FILES for _, text in texts(path) for flag in FLAG.findall(text)}
    assert sorted(set(ELSEWHERE) - named) == []
    assert sorted(set(ELSEWHERE) & flags) == []


@pytest.mark.parametrize(("flag", "model"), [("--model_args", known_args()), ("--prompt_args", PromptArgs)])
def test_every_key_in_a_text_is_a_key(flag, model):
    said = re.compile(re.escape(flag) + r" ([a-z_]+)(?==|$)")
    named = [(path, line, key) for path in FILES for line, text in texts(path) for key in said.findall(text)]
    assert named
    assert [f"{path.relative_to(ROOT)}:{line} {key}" for path, line, key in named if key not in model.model_fields] == []
