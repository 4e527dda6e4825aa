# Each target makes .venv first, where there is none or where the packages to install have changed.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo demo-photos test test-all lint bench docs docs-test fuzz

help:
	@echo "make demo      LeNet-5 from MNIST to scanned digits: what transfer learning buys, in two minutes"
	@echo "make demo-photos  EfficientNet-Lite0 from ImageNet to solar cells: the same on photographs, in five minutes"
	@echo "make test      the tests, but those that are slow and rare"
	@echo "make test-all  these too: packages in new environments, compiled models"
	@echo "make lint      ruff, mypy, import-linter"
	@echo "make bench     zoo against its peers, into docs/benchmarks.md"
	@echo "make fuzz      a minute of what no writer would write for each parser (SECONDS=600: ten)"
	@echo "make docs      the documentation as a site, into site/: open site/index.html"
	@echo "make docs-test  run every code block and example of the documentation"

demo: .venv/.installed
	$(BIN)/zoo demo

demo-photos: .venv/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[photos]'
	$(BIN)/zoo demo photos

test: .venv/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-all: .venv/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/.installed
	$(BIN)/python -m benchmarks

fuzz: .venv/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[fuzz]'
	$(BIN)/python tests/fuzz --seconds $(or $(SECONDS),60)

docs: .venv/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	rm -rf site
	ZOO_OFFLINE=1 $(BIN)/python -m sphinx -q -W --keep-going -E -d build/doctrees docs site

docs-test: .venv/.installed
	$(BIN)/python -m pytest tests/test_docs.py tests/test_docstrings.py tests/test_docstrings_complete.py

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[demo,test]'
	touch $@
