"""Tasks of lm-evaluation-harness as they are asked and scored; their files are read in harness/planning/catalog/lm_eval_files.

task_code.py         `!function`: hashes, and loading where it is trusted
import_shims.py      stand-ins for packages that such code imports and that are not installed
documents.py         the rows after the task's own preparation (`process_docs`)
templates.py         rows -> questions, choices and answers
prompts.py           questions and solved examples -> prompts and requests
filters.py           what the model wrote -> what is scored
process_results.py   answers -> the values that metrics average
route.py             all of it in the shape of a task type: the prompt route
"""
