# Everything a newcomer needs: `make demo` and `make test`.  Both create .venv and install what is missing.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
# Small models gain little from more threads, and on a busy machine threads that wait for each other cost far more than they give.
ONE_THREAD = OMP_NUM_THREADS=1
LM_EVAL = .venv-lm-eval
RUN = HF_HUB_OFFLINE=1 $(BIN)/python run_eval.py

.PHONY: demo test check test-real lm-eval clean

$(STAMP): setup.cfg constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON); say make PYTHON=/path/to/python3.11 (3.11 or newer)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is too old: xlift needs 3.11 or newer"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## the main job on the embedded miniature world
	$(ONE_THREAD) $(RUN) --model mini --tasks mini --intermediate none,mini/paraphrase --recipe mini --output_path runs/demo

test: $(STAMP)  ## the tests that need nothing beside the project
	$(ONE_THREAD) $(BIN)/python -m pytest -m "not real" -n 2

$(LM_EVAL)/.installed: constraints-lm-eval.txt
	test -x $(LM_EVAL)/bin/python || $(PYTHON) -m venv $(LM_EVAL)
	$(LM_EVAL)/bin/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints-lm-eval.txt)"
	$(LM_EVAL)/bin/python -m pip install -q -c constraints-lm-eval.txt 'lm_eval[hf]' sentencepiece
	touch $@

lm-eval: $(LM_EVAL)/.installed  ## the lm-eval package in an environment of its own, for tests and benchmarks side by side

test-real: $(STAMP)  ## the tests on real data and models, skipped with a reason where they are absent
	$(ONE_THREAD) $(BIN)/python -m pytest -m real -rs -n 2

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache
