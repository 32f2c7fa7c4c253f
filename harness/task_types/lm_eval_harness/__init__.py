"""Task files of lm-evaluation-harness, read unmodified: `--include_path <its tasks folder>`.

reading.py     a file with its includes, and the line of each value
index.py       which names there are, without reading the files
keys.py        what may stand in a file
file.py        a file while it becomes a spec
sources.py     where its rows lie
numbers.py     its filters and metrics
conversion.py  a file -> TaskSpec of the task type `lm_eval`
groups.py      groups, tags and the tasks written inside of groups
remarks.py     what a reader of its scores must know
tongues.py     which language a task is in
code.py        `!function`: hashes, and loading where it is trusted
shim.py        what such code imports of packages that are not here
documents.py   the rows after the task's own preparation
templates.py   rows -> texts, choices and answers
prompts.py     texts -> prompts and requests
filters.py, results.py    answers -> numbers
route.py       all of it in the shape of harness/task_types/prompting/route.py
"""
