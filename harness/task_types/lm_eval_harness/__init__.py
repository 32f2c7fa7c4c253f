"""Tasks of lm-evaluation-harness as they are asked and scored; their files are read in harness/planning/catalog/lm_eval_files.

task_code.py         `!function`: hashes, and loading where it is trusted
import_shims.py      stand-ins for packages that such code imports and that are not installed
documents.py         the rows after the task's own preparation (`process_docs`)
templates.py         rows -> questions, choices and answers
prompts.py           questions and solved examples -> prompts and requests
filters.py           what the model wrote -> what is scored
process_results.py   answers -> the values that metrics average
rolling.py           whole texts in windows, for perplexities
sampler.py           which solved examples lm-eval shows
matches.py           what filters find in a written answer
corpus_functions.py  one number of all examples, as shares of each
evaluate_metrics.py  metrics of the package evaluate that task code asks for
package_parts.py     parts of the lm_eval package that task code imports
route.py             all of it in the shape of a task type: the prompt route
"""
