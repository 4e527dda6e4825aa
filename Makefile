# Each target makes .venv first, where there is none or where the packages to install have changed.
# Another Python has an environment of its own: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo demo-photos test test-all test-oldest lint bench docs docs-test fuzz release

help:
	@echo "make demo      LeNet-5 from MNIST to scanned digits: what transfer learning buys, in two minutes"
	@echo "make demo-photos  EfficientNet-Lite0 from ImageNet to solar cells: the same on photographs, in five minutes"
	@echo "make test      the tests, but those that are slow and rare"
	@echo "make test-all  these too: packages in new environments, compiled models"
	@echo "make test-oldest  some tests with the oldest versions that pyproject.toml allows"
	@echo "make lint      ruff, mypy, import-linter"
	@echo "make bench     zoo against its peers, into docs/benchmarks.md"
	@echo "make fuzz      a minute of what no writer would write for each parser (SECONDS=600: ten)"
	@echo "make docs      the documentation as a site, into site/: open site/index.html"
	@echo "make docs-test  run every code block and example of the documentation"
	@echo "make release   dist/: wheel, sdist and SBOM, checked and tried (ARGS=--shared: with the packages that are here)"

demo: $(VENV)/.installed
	$(BIN)/zoo demo

demo-photos: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[photos]'
	$(BIN)/zoo demo photos

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[fuzz]'
	$(BIN)/python tests/fuzz --seconds $(or $(SECONDS),60)

docs: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	rm -rf site
	ZOO_OFFLINE=1 $(BIN)/python -m sphinx -q -W --keep-going -E -d build/doctrees docs site

docs-test: $(VENV)/.installed
	$(BIN)/python -m pytest tests/test_docs.py tests/test_docstrings.py tests/test_docstrings_complete.py

release: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[release]'
	$(BIN)/python tools/release.py $(ARGS)

# An environment of its own, with the first version of all that is required; what runs the tests is new.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -n auto $(OLDEST)

# That torch.jit is deprecated in that torch says nothing of zoo; signatures are an extra.
OLDEST := tests/test_import.py tests/test_registry.py tests/advice tests/data tests/model tests/transfer \
	tests/training/test_finetune.py tests/weights tests/zoo_lenet tests/zoo_regularizers \
	--ignore tests/weights/test_signatures.py -m "not slow" \
	-W ignore::DeprecationWarning -W "ignore:The given buffer"

.venv-oldest/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -c constraints-oldest.txt -e '.[datasets,demo,export,lightning,photos,transformers]' \
		hypothesis pytest pytest-xdist
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[demo,test]'
	touch $@
