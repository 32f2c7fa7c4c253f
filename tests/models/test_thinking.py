"""Models that think before they answer: thoughts apart from answers, their budget, what is cut, on transformers and a server."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from small_decoders import loaded
from small_servers import SmallServer
from small_thinkers import (
    ANIMALS,
    ASKED,
    END,
    NO_THOUGHTS,
    OPENED,
    OTHERWISE,
    START,
    answer,
    make_thinker,
    thoughts,
    write_task,
    write_their_task,
)

import run_eval
from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.registry import TASK_TYPES
from harness.api.thoughts import Said, Thoughts, marked, split_thoughts
from harness.planning.catalog.catalog import Catalog
from harness.runtime.stages import read_json
from harness.specs.prompt import PromptArgs
from harness.task_types.prompting.route import PromptRoute
from models.inference.requests import request_of
from models.inference.thoughts import left_to_write
from models.vllm.requests import continuation

HOW = Thoughts(start=START, end=END, opened=True, budget=9)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Thinkers by their chat template."""
    place = tmp_path_factory.mktemp("thinkers")
    write_task(place / "tasks")
    made = {"opened": make_thinker(place / "opened", template=OPENED)}
    made["asked"] = make_thinker(place / "asked", template=ASKED)
    made["special"] = make_thinker(place / "special", template=ASKED, special=True)
    return made | {"tasks": str(place / "tasks")}


def words_of(folders, model, root, *, prompt_args, model_args="dtype=float32"):
    how = ["--route", "prompt", "--prompt_args", f"chat_template=true,{prompt_args}", "--model_args", model_args]
    what = ["--model", model, "--tasks", "where", "--include_path", folders["tasks"], "--output_path", str(root)]
    return [*what, *how, "--device", "cpu", "--quiet"]


def lines_of(root):
    (folder,) = (root / "predict").iterdir()
    assert read_json(folder / "done.json")["examples"] == len(ANIMALS)
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


# --- the text that is taken apart


@pytest.mark.parametrize(
    ("text", "opened", "whole", "said"),
    [
        ("two . </think>\n\n 4 . 5", True, "<think>two . </think>4 ", Said("two .", "4 ")),
        ("<think>two</think>4", True, "<think>two</think>4", Said("two", "4")),
        ("\n<think>two</think>4", False, "<think>two</think>4", Said("two", "4")),
        ("two . and", True, "<think>two . and", Said("two . and", None)),
        ("<think> two", False, "<think> two", Said("two", None)),
        ("two</think>4", False, "<think>two</think>4", Said("two", "4")),
        ("4 . 5", False, "4 ", Said(None, "4 ")),
        ("", False, "", Said(None, "")),
        ("", True, "<think>", Said("", None)),
        ("a</think>b</think>c", True, "<think>a</think>b</think>c", Said("a", "b</think>c")),
    ],
)
def test_thoughts_end_where_the_mark_stands_and_stop_texts_count_behind_it(text, opened, whole, said):
    how = HOW._replace(opened=opened)
    assert marked(text, how, stops=(".",)) == whole
    assert split_thoughts(whole, how) == said


# --- from the command line to the board


@pytest.mark.parametrize("template", ["opened", "asked", "special"])
def test_a_run_keeps_thoughts_apart_and_scores_the_answers(folders, tmp_path, capsys, template):
    asked = words_of(folders, folders[template], tmp_path, prompt_args="thinking=on,thinking_budget=16")
    assert run_eval.main(asked) == 0
    board = capsys.readouterr().out
    lines = lines_of(tmp_path)
    for animal, line in zip(ANIMALS[:3], lines, strict=False):
        assert line["prediction"] == answer(animal)
        assert line["thoughts"] == thoughts(animal)
        assert line["notes"] == []
    cut = lines[3]
    assert (cut["prediction"], cut["notes"]) == (None, ["cut_in_thought"])
    assert cut["thoughts"].startswith(thoughts("cow")[:20])
    assert len(cut["thoughts"].split()) == (16 if template == "opened" else 15)  # or the mark that begins them is one
    assert "thinking up to 16 tokens" in board
    assert "75.0 [" in board
    assert run_eval.main(["leaderboard", str(tmp_path)]) == 0
    notes = " ".join(capsys.readouterr().out.split())
    assert "of 4 examples: 1 without a prediction (scored as wrong), cut_in_thought 1" in notes
    assert run_eval.main(["errors", str(tmp_path), "--task", "where"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "it thought well , step0 . step2 step3 step4 step5" in shown


@pytest.mark.parametrize("template", ["opened", "asked"])
def test_without_thinking_thoughts_are_closed_and_nothing_is_kept(folders, tmp_path, template):
    assert run_eval.main(words_of(folders, folders[template], tmp_path, prompt_args="thinking=off")) == 0
    lines = lines_of(tmp_path)
    assert [line["prediction"] for line in lines] == [OTHERWISE] * len(ANIMALS)
    assert not any("thoughts" in line for line in lines)


def test_thoughts_that_nobody_asked_for_are_counted(folders, tmp_path, capsys):
    write_their_task(tmp_path / "theirs")
    for root, task, more in (("ours", "where", []), ("others", "theirs", ["--include_path", str(tmp_path / "theirs")])):
        asked = words_of(folders, folders["asked"], tmp_path / root, prompt_args="chat_template=false")
        asked[asked.index("--tasks") + 1] = task
        asked = [word.replace("chat_template=true,", "") for word in asked]
        assert run_eval.main([*asked, *more]) == 0
        lines = lines_of(tmp_path / root)
        assert all(START in json.dumps(line) for line in lines)
        assert all("thoughts_unasked" in line["notes"] for line in lines)
        capsys.readouterr()
        assert run_eval.main(["leaderboard", str(tmp_path / root)]) == 0
        assert f"thoughts_unasked {len(ANIMALS)}" in " ".join(capsys.readouterr().out.split())


def test_thinking_is_another_prediction_and_so_is_another_budget(folders, tmp_path, capsys):
    model = Path(copytree(folders["opened"], tmp_path / "opened"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))  # room for the usual budget
    keys = {}
    for prompt_args in ("thinking=off", "thinking=on", "thinking=on,thinking_budget=1024", "thinking=on,thinking_budget=7"):
        asked = words_of(folders, str(model), "nowhere", prompt_args=prompt_args)
        assert run_eval.main(["plan", *(word for word in asked if word != "--quiet"), "--json"]) == 0
        keys[prompt_args] = capsys.readouterr().out
    assert len(set(keys.values())) == 3


# --- a server


@pytest.mark.parametrize("template", ["opened", pytest.param("asked", marks=pytest.mark.long), "special"])
@pytest.mark.parametrize("chat", [pytest.param("true", marks=pytest.mark.slow), "server"])
def test_a_server_gives_the_same(folders, tmp_path, template, chat):
    thinker, prompt_args = folders[template], "thinking=on,thinking_budget=16"
    here, there = tmp_path / "here", tmp_path / "there"
    assert run_eval.main(words_of(folders, thinker, here, prompt_args=prompt_args)) == 0
    if (template, chat) == ("special", "server"):
        pytest.skip("a chat server that shows no special tokens takes thoughts apart itself")
    with SmallServer(thinker, owner="vllm") as server:
        model_args = f"engine=server,base_url={server.url},tokenizer={thinker},max_retries=0"
        asked = words_of(folders, "small", there, prompt_args=prompt_args, model_args=model_args)
        asked[asked.index("--prompt_args") + 1] = f"chat_template={chat},{prompt_args}"
        assert run_eval.main(asked) == 0
    for mine, theirs in zip(lines_of(there), lines_of(here), strict=True):
        assert mine == theirs
    paths = {one["path"] for one in server.asked}
    assert paths == ({"/v1/chat/completions"} if chat == "server" else {"/v1/completions"})
    if chat == "server":
        assert all(one["chat_template_kwargs"] == {"enable_thinking": True} for one in server.asked)


def test_thoughts_that_end_too_late_are_cut_where_a_model_here_is_stopped(folders, tmp_path):
    """A server bounds thoughts and answer together only: some of these end within that, but beyond their budget."""
    thinker, prompt_args = folders["opened"], "thinking=on,thinking_budget=13"
    assert run_eval.main(words_of(folders, thinker, tmp_path / "here", prompt_args=prompt_args)) == 0
    with SmallServer(thinker) as server:
        model_args = f"engine=server,base_url={server.url},tokenizer={thinker},max_retries=0"
        assert run_eval.main(words_of(folders, "small", tmp_path / "there", prompt_args=prompt_args, model_args=model_args)) == 0
    lines = lines_of(tmp_path / "there")
    assert [line["notes"] for line in lines] == [[], [], ["cut_in_thought"], ["cut_in_thought"]]
    assert lines == lines_of(tmp_path / "here")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_that_a_server_takes_apart_itself_are_those(folders, tmp_path, name):
    def apart(reply):
        message, reason = reply["choices"][0]["message"], reply["choices"][0]["finish_reason"]
        inner, end, rest = message["content"].removeprefix(START).partition(END)
        message |= {name: inner.strip(), "content": rest.strip() if end else None}
        reply["choices"][0]["finish_reason"] = reason
        return reply

    with SmallServer(folders["asked"], change=apart) as server:
        model_args = f"engine=server,base_url={server.url},tokenizer={folders['asked']},max_retries=0"
        asked = words_of(folders, "small", tmp_path, prompt_args="thinking=on,thinking_budget=16", model_args=model_args)
        asked[asked.index("--prompt_args") + 1] = "chat_template=server,thinking=on,thinking_budget=16"
        assert run_eval.main(asked) == 0
    lines = lines_of(tmp_path)
    assert [line["prediction"] for line in lines] == [*map(answer, ANIMALS[:3]), None]
    assert [line["thoughts"] for line in lines[:3]] == [*map(thoughts, ANIMALS[:3])]
    assert lines[3]["notes"] == ["cut_in_thought"]


# --- tasks of lm-evaluation-harness


def test_their_tasks_have_thoughts_kept_apart_here_and_by_a_server(folders, tmp_path, capsys):
    write_their_task(tmp_path / "theirs")
    thinker, found = folders["asked"], {}
    with SmallServer(thinker, owner="vllm") as server:
        remote = f"engine=server,base_url={server.url},tokenizer={thinker},max_retries=0"
        for name, model, model_args in (("true", thinker, "dtype=float32"), ("server", "small", remote)):
            asked = words_of(folders, model, tmp_path / name, prompt_args="", model_args=model_args)
            asked[asked.index("--prompt_args") + 1] = f"chat_template={name},thinking=on,thinking_budget=16"
            asked[asked.index("where")] = "theirs"
            assert run_eval.main([*asked, "--include_path", str(tmp_path / "theirs")]) == 0, "".join(capsys.readouterr())
            found[name] = lines_of(tmp_path / name)
    assert {one["path"] for one in server.asked} == {"/v1/chat/completions"}
    assert found["server"] == found["true"]
    lines = found["true"]
    assert [line["thoughts"] for line in lines[:3]] == [*map(thoughts, ANIMALS[:3])]
    assert [line["prediction"]["values"]["exact_match"] for line in lines] == [1.0, 1.0, 1.0, 0.0]
    assert [line["notes"] for line in lines] == [[], [], [], ["cut_in_thought"]]


@pytest.mark.parametrize("prompt_args", ["chat_template=true,thinking=on", "chat_template=server"])
def test_an_answer_that_a_task_begins_itself_is_neither_thought_about_nor_sent_as_a_conversation(
    folders, tmp_path, capsys, prompt_args
):
    write_their_task(tmp_path / "theirs", more='gen_prefix: "so"\n')
    with SmallServer(folders["asked"]) as server:
        remote = f"engine=server,base_url={server.url},tokenizer={folders['asked']},max_retries=0"
        asked = words_of(folders, "small", tmp_path / "runs", prompt_args="", model_args=remote)
        asked[asked.index("--prompt_args") + 1] = prompt_args
        asked[asked.index("where")] = "theirs"
        assert run_eval.main([*asked, "--include_path", str(tmp_path / "theirs")]) == 1
    assert "the task begins the answer itself" in " ".join("".join(capsys.readouterr()).split())


# --- vLLM, whose requests go on where the thoughts end


@pytest.mark.parametrize("template", ["opened", "special"])
def test_requests_to_vllm_ask_for_the_thoughts_and_then_for_the_answer(folders, template):
    model = loaded(folders[template], heads={})
    tokenizer, ends = model.tokenizer, frozenset((model.tokenizer.eos_token_id,))
    how = HOW._replace(opened=template == "opened", budget=12)
    prompt = tokenizer("the cat" + (START if how.opened else ""), add_special_tokens=False)["input_ids"]
    feature = Feature(example=0, input_ids=prompt, generate={"max_new_tokens": 15, "stop": ["."], "thoughts": how})
    one = request_of(feature)
    first = continuation(one, [], ends, tokenizer=tokenizer)
    mark = tokenizer.convert_tokens_to_ids(END)
    assert (first.ids, first.max_tokens, first.stop, first.room) == (tuple(prompt), 12, (), 15)
    assert set(first.ends) == ends | {mark}
    before = "" if how.opened else START
    thought = tokenizer(f"{before} {thoughts('cat')} {END}", add_special_tokens=False)["input_ids"]
    second = continuation(one, thought, ends, tokenizer=tokenizer)
    assert (second.ids, second.max_tokens, second.stop) == ((*prompt, *thought), 3, (".",))
    assert set(second.ends) == ends
    assert first.num_tokens == second.num_tokens  # one engine is long enough for both
    assert left_to_write(thought[:-1], one, tokenizer=tokenizer).is_thinking
    assert split_thoughts(model.generate([feature])[0], how) == Said(thoughts("cat"), f"{answer('cat')} ")


# --- what cannot be had


@pytest.mark.parametrize(
    ("prompt_args", "said"),
    [
        ("thinking=on,chat_template=false", ["thoughts belong to a conversation", "add chat_template=true"]),
        ("thinking_budget=5", ["thinking_budget says nothing", "add thinking=on"]),
        ("thinking=maybe", ["thinking: input should be a valid boolean"]),
        ("thinking=on,thinking_budget=0", ["thinking_budget: input should be greater than or equal to 1"]),
        ("chat_template=server", ["there is no server", "engine=server"]),
        ("chat_template=serve", ["chat_template"]),
    ],
)
def test_what_says_nothing_is_refused(folders, capsys, prompt_args, said):
    asked = words_of(folders, folders["opened"], "nowhere", prompt_args="")
    asked[asked.index("--prompt_args") + 1] = (
        prompt_args if "chat_template" in prompt_args else f"chat_template=true,{prompt_args}"
    )
    assert run_eval.main(asked) == 2
    text = " ".join("".join(capsys.readouterr()).split())
    assert [words for words in said if words not in text] == []


def test_a_task_whose_answers_are_given_is_not_thought_about(folders, capsys):
    asked = words_of(folders, folders["opened"], "nowhere", prompt_args="thinking=on")
    asked[asked.index("where")] = "mini/xnli"
    assert run_eval.main(asked) == 2
    assert "mini/xnli: the likeliest of given answers is taken" in " ".join("".join(capsys.readouterr()).split())


def test_a_template_without_thoughts_is_refused(folders, tmp_path, capsys):
    plain = make_thinker(tmp_path / "plain", template=NO_THOUGHTS)
    path = tmp_path / "plain" / "tokenizer.json"
    text = path.read_text(encoding="utf-8").replace("think>", "thank>")
    path.write_text(text, encoding="utf-8")
    assert run_eval.main(words_of(folders, plain, tmp_path / "runs", prompt_args="thinking=on,thinking_budget=16")) == 1
    assert "this chat template knows no thoughts" in "".join(capsys.readouterr())


def test_room_for_thoughts_is_no_room_of_the_prompt(folders):
    """Without a max_length of one's own a prompt keeps its 2048 tokens; with one, thoughts are part of it."""
    module = TASK_TYPES.load("generation")
    for given, length in ({"thinking": True}, 3072), ({"thinking": True, "max_length": 512}, 512), ({}, 2048):
        assert PromptRoute(module=module, prompt_args=PromptArgs(**given)).max_length == length
    route = PromptRoute(module=module, prompt_args=PromptArgs(thinking=True, chat_template=True, max_length=100))
    task = Catalog([Path(folders["tasks"])]).task("where").spec
    example = module.build({"source": "the cat", "references": "house"}, task=task, lang="en", row_id="0")
    tokenizer = loaded(folders["opened"], heads={}).tokenizer
    with pytest.raises(UserError, match=r"(?s)no room is left for the prompt beside thoughts.*thinking_budget=48"):
        route.encode([example], task=task, tokenizer=tokenizer, options=module.Options(), train=False)
