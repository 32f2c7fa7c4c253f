"""engine=server against a small server that computes: the same answers, tries, bounds, resumption, refusals, keys."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from small_decoders import loaded
from small_runs import Project
from small_servers import SmallServer

import run_eval
from harness.api.errors import UserError
from harness.api.model_source import EngineHost, ModelSource
from harness.api.protocols import Feature
from harness.api.registry import ROOT
from harness.runtime.stages import read_json
from models import server as served

KEY = "sk-never-to-be-seen-4711"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), tasks="pairs,tags")


@pytest.fixture(scope="module")
def here(project):
    """The same model in this process."""
    return loaded(str(project.decoder), heads={})


def model_of(server, **share):
    share = {"base_url": server.url, "max_retries": 3, **share}
    host = EngineHost(python="", versions={}, log="", share=share)
    source = ModelSource(path=server.name, tokenizer=server.folder, adapter="decoder", engine=host)
    return served.load(source, heads={}, device="cpu", seed=0, inference=True)


def rated():
    """Requests with continuations: none, empty ones, equal ones, long ones."""
    rng = np.random.default_rng(3)
    ids = rng.integers(5, 44, 200).tolist()
    several = [[], [7], [8], [8, 9], [8, 9, 10, 11], [7]]
    return [
        Feature(example=0, input_ids=ids[:12], continuations=several),
        Feature(example=1, input_ids=ids[12:30], continuations=[[8, 9], [5]]),
        Feature(example=2, input_ids=ids[:1], continuations=[]),
        *(Feature(example=n, input_ids=ids[n : n + 9], continuations=[[n], [n + 1, 5]]) for n in range(5, 30)),
    ]


def written():
    ends = {"max_new_tokens": 6, "stop": ["the", " n", "q", "x", "w", "y"]}
    return [Feature(example=n, input_ids=[5 + n, 9, 30 + n], generate={**ends, "max_new_tokens": 2 + n}) for n in range(6)]


# --- the same answers


@pytest.mark.parametrize("owner", ["", "vllm"])
def test_likelihoods_and_texts_are_those_of_the_model_in_this_process(project, here, owner):
    with SmallServer(str(project.decoder), owner=owner) as server:
        model = model_of(server)
        for mine, theirs in zip(model.loglikelihood(rated()), here.loglikelihood(rated()), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, atol=1e-4)
        assert model.generate(written()) == here.generate(written())
        model.close()
    asked = [one for one in server.asked if one.get("logprobs")]
    assert len(asked) == 4 + 2 + 2 * 25  # a continuation that stands there twice is asked once, an empty one never
    assert all(one.get("return_tokens_as_token_ids", False) is (owner == "vllm") for one in asked)
    assert all(one["temperature"] == 0 and one["seed"] == 0 for one in server.asked if "seed" in one)
    assert max(len(one.get("stop", ())) for one in server.asked) == (6 if owner else 4)


# --- how a server is treated


@pytest.mark.slow
def test_no_more_is_on_its_way_than_is_allowed(project):
    for most in (1, 4):
        with SmallServer(str(project.decoder), pause=0.01) as server:
            model = model_of(server, num_concurrent=most)
            model.loglikelihood(rated())
            model.close()
        assert server.most_at_once == most


def test_what_fails_for_a_moment_is_asked_again_and_told_once(project, here, capsys):
    faults = {3: 503, 4: 503, 5: 429, 9: "drop", 12: 500}
    with SmallServer(str(project.decoder), faults=faults) as server:
        model = model_of(server)
        found = model.loglikelihood(rated())
        model.close()
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(here.loglikelihood(rated())), atol=1e-4)
    assert len(server.asked) == 1 + 56 + len(faults)  # a probe before them
    said = capsys.readouterr().err
    assert said.count("503 Service Unavailable: fault 503 of this server; trying again in 0 s, up to 3 times") == 1
    assert said.count("fault 429") == 1


@pytest.mark.parametrize(
    ("status", "tries", "said"),
    [
        (400, 1, ["refuses a request", "400 Bad Request: fault 400 of this server"]),
        (503, 3, ["does not answer (tried 3 times)", "503 Service Unavailable: fault 503"]),
        (429, 3, ["429 Too Many Requests", "num_concurrent=2"]),
    ],
)
def test_what_is_given_up_says_what_the_server_said(project, status, tries, said):
    with SmallServer(str(project.decoder), faults=dict.fromkeys(range(1, 99), status)) as server:
        model = model_of(server, max_retries=2, num_concurrent=1)
        with pytest.raises(UserError) as error:
            model.loglikelihood(rated())
        model.close()
    assert [words for words in said if words not in str(error.value)] == []
    assert f"{server.url}/completions" in error.value.where
    assert len(server.asked) == 1 + tries


def test_a_server_that_is_not_there_or_too_slow_is_one_error(project):
    with SmallServer(str(project.decoder), pause=0.5) as server:
        slow = model_of(server, timeout=0.2, max_retries=0)
        with pytest.raises(UserError, match=r"(?s)the server does not answer.*ReadTimeout"):
            slow.loglikelihood(rated()[:1])
        slow.close()
    with pytest.raises(UserError, match=r"(?s)the server does not answer.*ConnectError.*check that the server runs"):
        model_of(server, max_retries=0)


def test_the_threads_of_a_closed_model_are_gone(project):
    before = threading.active_count()
    with SmallServer(str(project.decoder)) as server:
        model = model_of(server)
        model.loglikelihood(rated()[:1])
        model.close()
        model.close()  # twice does no harm
    assert not [one for one in threading.enumerate() if one.name == "server requests"]
    assert threading.active_count() <= before + 1


# --- wrong answers


def without(*names):
    def change(answer):
        choice = answer["choices"][0]
        if isinstance(choice.get("logprobs"), dict):
            choice["logprobs"] = {key: value for key, value in choice["logprobs"].items() if key not in names} or None
        return answer

    return change


def logprobs_of(alter):
    def change(answer):
        found = answer["choices"][0].get("logprobs")
        if isinstance(found, dict):
            alter(found, answer)
        return answer

    return change


def _cut(found, answer):
    for values in found.values():
        del values[3:]
    del answer["usage"]


def _longer(found, answer):
    answer["usage"]["prompt_tokens"] += 1


def _nothing(found, answer):
    found["token_logprobs"][-2] = None


def _others(found, answer):
    found["tokens"] = [f"token_id:{number}" for number in range(len(found["tokens"]))]


WRONG = {
    "nothing": (without("tokens", "token_logprobs", "top_logprobs"), "gives no log-probabilities of a prompt"),
    "no likeliest": (without("top_logprobs"), "gives no log-probabilities of a prompt"),
    "cut": (logprobs_of(_cut), "scores another number of tokens than it was sent"),
    "longer": (logprobs_of(_longer), "a prompt of 14 tokens"),
    "a gap": (logprobs_of(_nothing), "leaves out log-probabilities"),
    "other tokens": (logprobs_of(_others), "scores other tokens than it was sent"),
    "no choices": (lambda answer: {"ok": True}, "has no choices"),
    "no JSON": (lambda answer: b"<html>hello</html>", "no JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_not_whole_is_refused(project, name):
    change, said = WRONG[name]
    with SmallServer(str(project.decoder), change=change) as server:
        model = model_of(server, num_concurrent=1)
        with pytest.raises(UserError, match=said):
            model.loglikelihood([Feature(example=0, input_ids=list(range(5, 15)), continuations=[[8, 9, 7]])])
        model.close()


def test_a_text_that_is_none_is_refused(project):
    def change(answer):
        answer["choices"][0]["text"] = None
        return answer

    with SmallServer(str(project.decoder), change=change) as server:
        model = model_of(server)
        with pytest.raises(UserError, match="answer has no text"):
            model.generate(written()[:1])
        model.close()


def test_another_tokenizer_than_the_servers_is_noticed(project, tmp_path):
    other = Project.make(tmp_path / "other", tasks="pairs")
    path = other.decoder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    vocab = content["model"]["vocab"]  # the same words, each with the id of another
    if isinstance(vocab, dict):
        words = sorted(vocab, key=vocab.get)
        content["model"]["vocab"] = {word: number for number, word in enumerate([*words[:5], *reversed(words[5:])])}
    else:
        content["model"]["vocab"] = [*vocab[:5], *reversed(vocab[5:])]
    path.write_text(json.dumps(content), encoding="utf-8")
    with SmallServer(str(project.decoder)) as server:
        server.folder = str(other.decoder)
        model = model_of(server)
        with pytest.raises(UserError, match="not the tokenizer of its model"):
            model.loglikelihood([Feature(example=0, input_ids=list(range(6, 40)), continuations=[[8]])])
        model.close()


def test_a_model_that_is_not_there_is_said_with_those_that_are(project):
    with SmallServer(str(project.decoder)) as server:
        server.name = "other"
        asked = SmallServer(str(project.decoder), name="small")
        asked.url = server.url
        with pytest.raises(UserError, match=r"(?s)has no model 'small'.*found: other.*--model other"):
            model_of(asked)
        server.lists = False
        model_of(asked).close()  # a server without a list may have any
        asked._http.server_close()


# --- runs


def words_of(project, server, root, *more, tasks="pairs,tags", model="small", model_args=""):
    args = f"engine=server,base_url={server.url},tokenizer={project.decoder},max_retries=1{model_args}"
    what = ["--model", model, "--model_args", args, "--tasks", tasks, "--languages", "en,de", "--route", "prompt"]
    return [*what, "--include_path", str(project.folder), "--output_path", str(root), "--device", "cpu", "--quiet", *more]


def lines_of(root):
    found = {}
    for folder in (Path(root) / "predict").iterdir():
        args = read_json(folder / "args.json")["args"]
        lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        found[args["task"], args["lang"]] = [json.loads(line) for line in lines]
    return found


def test_a_run_gives_what_transformers_gives_and_says_who_answered(project, tmp_path, capsys):
    usual = ["--model", str(project.decoder), "--model_args", "dtype=float32", "--tasks", "pairs,tags", "--languages", "en,de"]
    usual += ["--route", "prompt", "--include_path", str(project.folder), "--device", "cpu", "--quiet"]
    assert run_eval.main([*usual, "--output_path", str(tmp_path / "here")]) == 0
    capsys.readouterr()
    with SmallServer(str(project.decoder), owner="vllm", positions=128) as server:
        assert run_eval.main(words_of(project, server, tmp_path / "there")) == 0
    board = capsys.readouterr().out
    mine, theirs = lines_of(tmp_path / "there"), lines_of(tmp_path / "here")
    assert len(mine) == len(theirs) == 4
    for key, lines in mine.items():
        for one, other in zip(lines, theirs[key], strict=True):
            if "scores" in other:
                np.testing.assert_allclose(one.pop("scores"), other.pop("scores"), atol=1e-4)
            assert one == other
    assert "engine server" in board
    full = run_eval.main(["leaderboard", str(tmp_path / "there")])
    assert full == 0
    notes = " ".join(capsys.readouterr().out.split())
    assert f"served model small (from weights, owned by vllm, 128 positions), server {server.url}," in notes
    assert "Answered by a server, in whatever number format that computes: small." in notes


@pytest.mark.slow
def test_an_interrupted_run_asks_only_what_is_missing(project, tmp_path, capsys):
    with SmallServer(str(project.decoder), faults=dict.fromkeys(range(30, 9999), 400)) as server:
        assert run_eval.main(words_of(project, server, tmp_path / "runs", tasks="pairs", model_args=",num_concurrent=1")) == 1
    assert "fault 400 of this server" in capsys.readouterr().err
    first = [json.dumps(one, sort_keys=True) for one in server.asked[1:30]]
    with SmallServer(str(project.decoder)) as server:
        assert run_eval.main(words_of(project, server, tmp_path / "runs", tasks="pairs")) == 0
        whole = len(server.asked)
        again = [json.dumps(one, sort_keys=True) for one in server.asked[1:]]
        assert run_eval.main(words_of(project, server, tmp_path / "other", tasks="pairs")) == 0
    everything = len(server.asked) - whole
    assert whole <= everything - 27  # nine rows of three choices were answered
    assert len(set(first[:27]) & set(again)) == 0
    left, right = lines_of(tmp_path / "runs"), lines_of(tmp_path / "other")
    assert left == right


@pytest.mark.slow
def test_a_run_that_is_told_to_end_waits_for_no_answer(project, tmp_path):
    with SmallServer(str(project.decoder), pause=30.0) as server:
        words = [sys.executable, "run_eval.py", *words_of(project, server, tmp_path / "runs", tasks="tags")]
        child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 120
        while not server.asked:
            assert time.monotonic() < until
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        begun = time.monotonic()
        said = child.communicate(timeout=25)[1]
    assert child.returncode == 130, said
    assert time.monotonic() - begun < 20
    assert "Traceback" not in said
    assert "destroyed" not in said


def test_a_key_is_sent_and_stands_nowhere(project, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLIFT_SERVER_KEY", KEY)
    with SmallServer(str(project.decoder), key=KEY) as server:
        assert run_eval.main(words_of(project, server, tmp_path / "runs", tasks="tags")) == 0
    assert {one["Authorization"] for one in server.headers} == {f"Bearer {KEY}"}
    with SmallServer(str(project.decoder), key="another") as server:  # which repeats the key in its refusal
        assert run_eval.main(words_of(project, server, tmp_path / "refused", tasks="tags")) == 1
    said = "".join(capsys.readouterr())
    assert "401 Unauthorized: wrong key: Bearer [key]" in said
    assert "XLIFT_SERVER_KEY" in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in said


def test_a_key_of_another_variable_goes_nowhere_else(project, tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_SERVER_KEY", "one")
    monkeypatch.setenv("MY_KEY", "two")
    with SmallServer(str(project.decoder)) as server:
        words = words_of(project, server, tmp_path / "runs", tasks="tags", model_args=",api_key_variable=MY_KEY")
        assert run_eval.main(words) == 0
    assert {one["Authorization"] for one in server.headers} == {"Bearer two"}


# --- the request


def plan_of(project, model="small", model_args="", prompt_args="", tasks="pairs", route="prompt", **more):
    url = "engine=server,base_url=http://localhost:1/v1"
    args = f"{url},tokenizer={project.decoder}{model_args}" if not model_args.startswith("engine") else model_args
    asked = {"tasks": tasks, "model": model, "model_args": args, "prompt_args": prompt_args, "route": route}
    return project.plan(languages=("de",), **asked, **more)[0]


def test_the_address_is_in_no_key_and_the_name_is(project):
    tokenizer = f"tokenizer={project.decoder}"
    plain = plan_of(project)
    moved = plan_of(project, model_args=f"engine=server,base_url=https://other:8000/v1,{tokenizer},num_concurrent=3,timeout=9")
    assert [stage.key for stage in plain.stages] == [stage.key for stage in moved.stages]
    other, newer = plan_of(project, "large"), plan_of(project, model_args=",revision=2")
    assert len({plan.stages[0].key for plan in (plain, other, newer)}) == 3
    assert plain.stages[0].args.model.json() == {
        "adapter": "decoder",
        "fingerprint": "server:small",
        "tokenizer": plain.stages[0].args.model.tokenizer,
        "engine": "server",
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model_args": "engine=server"}, ["where is the server?", "base_url=http://HOST:PORT/v1"]),
        ({"model_args": "engine=server,base_url=localhost:8000"}, ["this is no address"]),
        ({"model_args": "engine=server,base_url=http://host:port/v1"}, ["this is no address"]),
        ({"model_args": "engine=server,base_url=http://me:secret@host/v1"}, ["holds no keys", "XLIFT_SERVER_KEY"]),
        ({"model_args": "engine=server,base_url=http://host/v1?key=secret"}, ["holds no keys"]),
        ({"model_args": "engine=server,base_url=http://host/v1"}, ["which tokenizer does 'small' have?", "tokenizer=FOLDER"]),
        ({"model_args": ",dtype=float32,lora_rank=4"}, ["'dtype' says nothing to a server", "'lora_rank' says nothing"]),
        ({"model_args": ",max_num_seqs=4"}, ["max_num_seqs say nothing to server", "engine=vllm"]),
        ({"model_args": ",api_key_variable=NOT_SET_ANYWHERE"}, ["there is no such environment variable", "NOT_SET_ANYWHERE"]),
        ({"tasks": "tags", "route": ""}, ["answers in words only", "add --route prompt"]),
        ({"intermediate": "pairs"}, ["answers in words only", "it would be trained"]),
        ({"prompt_args": "sft=true"}, ["answers in words only", "it would be trained"]),
        ({"tasks": "tags", "prompt_args": "guided=true"}, ["a server writes what it likes"]),
        ({"prompt_args": "chat_template=server"}, ["a server's chat rates no given answers"]),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_asked(project, asked, said):
    with pytest.raises(UserError) as error:
        plan_of(project, **asked)
    assert [words for words in said if words not in str(error.value)] == []
    assert "secret" not in str(error.value)


def test_a_key_given_as_a_name_is_not_repeated(project):
    with pytest.raises(UserError, match="there is no such environment variable") as error:
        plan_of(project, model_args=f",api_key_variable={KEY}")
    assert KEY not in str(error.value)


def test_arguments_of_a_server_say_nothing_to_others(project):
    with pytest.raises(UserError, match=r"(?s)base_url say nothing to transformers.*add engine=server"):
        project.plan(tasks="pairs", model=str(project.decoder), model_args="base_url=http://host/v1", languages=("de",))


def test_positions_are_those_of_the_server(project):
    with SmallServer(str(project.decoder), positions=40) as server:
        model = model_of(server)
        assert model.max_positions == 38
        model.close()
