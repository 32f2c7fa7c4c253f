"""A very small model that thinks before it answers: made, and trained for a second, on the spot.

folder = make_thinker(tmp_path / "thinker", template=OPENED)
thoughts("cow"), answer("cow")        # what it writes when it may think; OTHERWISE is what it says when it may not
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from models.decoder import init_scratch, train_tokenizer

START, END = "<think>", "</think>"
OPENED = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
"Opens thoughts whatever is asked, as DeepSeek-R1's does."
ASKED = (
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt and enable_thinking is defined "
    "and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
"Leaves thoughts to the model, or closes them where it is asked to, as Qwen3's does."
NO_THOUGHTS = "{% for m in messages %}{{ m.content }}{% endfor %}"
ANIMALS = ("cat", "dog", "cow", "hen")
PLACES = ("house", "wood", "sea", "road")
OTHERWISE = "nowhere"


def thoughts(animal: str) -> str:
    """Two words for the first animal, six more for each further one; the stop text of the task stands among them."""
    words = ["." if number % 6 == 1 else f"step{number}" for number in range(6 * ANIMALS.index(animal))]
    return " ".join(["well", ",", *words])


def answer(animal: str) -> str:
    return PLACES[ANIMALS.index(animal)]


def make_thinker(folder: Path, *, template: str, special: bool = False) -> str:
    """Write the model; `special`: thoughts are marked by special tokens, which no text shows."""
    tokenizer = train_tokenizer([*ANIMALS, *PLACES, OTHERWISE, thoughts("hen"), "the ."], vocab_size=60)
    tokenizer.add_tokens([START, END], special_tokens=special)
    tokenizer.chat_template = template
    config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2}
    init_scratch({**config, "intermediate_size": 128, "max_position_embeddings": 256}, tokenizer=tokenizer, folder=folder, seed=1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = []
    for animal in ANIMALS:
        rows.append((f"the {animal}", f"{START} {thoughts(animal)} {END} {answer(animal)} . the cat </s>"))
        rows.append((f"the {animal} {START} {END}", f"{OTHERWISE} . </s>"))
    encoded = [[tokenizer(text, add_special_tokens=False)["input_ids"] for text in row] for row in rows]
    width = max(len(before) + len(after) for before, after in encoded)
    ids = torch.zeros((len(rows), width), dtype=torch.int64)
    labels = torch.full_like(ids, -100)
    for number, (before, after) in enumerate(encoded):
        ids[number, : len(before) + len(after)] = torch.tensor(before + after)
        labels[number, len(before) : len(before) + len(after)] = torch.tensor(after)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.02, f"the small thinker has not learnt its sentences: {loss.item():.3f}"
    model.save_pretrained(folder)
    return str(folder)


def write_task(folder: Path) -> None:
    """A task whose answers are written, with a row an animal."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"source": f"the {animal}", "references": answer(animal)} for animal in ANIMALS]
    (folder / "where-en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {
        "task": "where",
        "type": "generation",
        "description": "Where an animal is.",
        "languages": ["en"],
        "data": {"test": {"files": {"rows": "where-{lang}.jsonl"}, "reader": "jsonl"}},
        "fields": {"source": "source", "references": "references"},
        "prompt": {"context": "{{ source }}", "generate": {"max_new_tokens": 3, "stop": ["."]}},
        "metrics": ["exact_match"],
        "selection": "none",
    }
    (folder / "where.yaml").write_text(json.dumps(task), encoding="utf-8")


THEIRS = """
task: theirs
dataset_path: json
dataset_kwargs: {data_files: theirs.jsonl}
test_split: train
doc_to_text: "{{source}}"
doc_to_target: "{{references}}"
output_type: generate_until
generation_kwargs: {until: ["."], max_gen_toks: 3, do_sample: false}
metric_list: [{metric: exact_match}]
"""


def write_their_task(folder: Path, *, more: str = "") -> None:
    """The same in a file of lm-evaluation-harness."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"source": f"the {animal}", "references": f"{answer(animal)} "} for animal in ANIMALS]
    (folder / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "theirs.yaml").write_text(THEIRS + more, encoding="utf-8")
