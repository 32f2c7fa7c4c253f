"""The command that counts what of a task library runs says for each task whether it does, and why not."""

import subprocess
import sys

from small_lm_eval_parts import write

from harness.api.registry import ROOT

TASK = "task: {name}\ndataset_path: a/b\ntest_split: test\ndoc_to_text: '{{{{q}}}}'\ndoc_to_target: a\n{more}"


def test_the_table_counts_text_tasks_by_why_they_do_not_run(tmp_path):
    folder = tmp_path / "lm_eval" / "tasks"
    folder.mkdir(parents=True)
    more = {
        "fine": "",
        "coded": "process_docs: !function code.f\n",
        "picture": "doc_to_image: [image]\n",
        "odd": "filter_list: [{name: x, filter: [{function: decontaminate}]}]\n",
        "lacking": "process_docs: !function lacks.f\n",
    }
    write(folder, **{f"{name}__yaml": TASK.format(name=name, more=text) for name, text in more.items()})
    write(
        folder,
        code__py="def f(rows):\n    return rows.filter(lambda row: row['q'])\n",
        lacks__py="import nowhere_at_all\n\nf = 1\n",
    )
    command = [sys.executable, ROOT / "benchmarks/lm_eval_coverage.py", "--lm_eval", folder]
    environment = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PATH": ""}
    said = [
        subprocess.run([*command, *flags], capture_output=True, text=True, check=True, env=environment).stdout
        for flags in ((), ("--load", "--rows", "9", "--names"))
    ]
    assert all(text.startswith("4 text tasks; 1 more names need images or sound.") for text in said)
    assert "| resolve | 3 | 75.00 % |" in said[0]
    assert "| unknown filter '…' | 1 | 25.00 % |" in said[0]
    assert "| resolve and load their code | 2 | 50.00 % |" in said[1]
    assert "| its code needs the package nowhere_at_all (lacking) | 1 | 25.00 % |" in said[1]
    assert "Requests of a made-up row: 2 of 2 tasks drawn at random." in said[1]
