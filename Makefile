# Two commands for strangers: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA := $(abspath ../shared/data)
export MEDSR_DATA ?= $(if $(wildcard $(DATA)),$(DATA),)
# One thread a worker: two OpenMP threads beside other load cost three times the CPU.
export OMP_NUM_THREADS ?= 1
SOURCES := $(shell find medsr models validation -type f -not -name '*.pyc' 2>/dev/null)
FAST := not slow and not torture and not gpu and not postgres

.PHONY: demo test browser fast check format bench mutants torture docs clean help

help:
	@echo "make demo   install into $(VENV) and run the whole job on two scans that travel with medsr"
	@echo "make test   install, lint, type-check and run every test on the installed wheel"
	@echo "make fast   the tests that take less than five seconds each"
	@echo "make check  ruff, mypy and the import contracts"
	@echo "make bench  print the figures of the documents again"
	@echo "make mutants   break the fail-closed code on purpose and see the tests notice"
	@echo "make torture   the long fuzz runs"

# The pins are resolved together; the wheel is then installed without asking the index again.
$(VENV)/pins: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python tools/requirements.py dev train > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/requirements.txt -c constraints.txt
	@touch $@

$(VENV)/wheel: $(VENV)/pins $(SOURCES) README.md LICENSE
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall build/wheel/medsr-*.whl
	@touch $@

demo: $(VENV)/wheel
	$(BIN)/medsr demo -o demo-out --overwrite

# Outside the checkout, so that only what the wheel carries can be imported.
define run_tests
	mkdir -p build/away
	cd build/away && ../../$(BIN)/python -m pytest -c ../../pyproject.toml --rootdir ../.. ../../tests -n 2 --dist worksteal $(1)
endef

test: check $(VENV)/wheel
	$(call run_tests,-m "not torture and not browser" --durations 15)
	$(MAKE) browser

fast: $(VENV)/wheel
	$(call run_tests,-m "$(FAST)")

check: $(VENV)/pins
	$(BIN)/ruff format --check medsr tests tools
	$(BIN)/ruff check medsr tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/pins
	$(BIN)/ruff format medsr tests tools
	$(BIN)/ruff check --fix medsr tests tools

mutants: $(VENV)/wheel
	$(BIN)/python tools/mutants.py

# One Chromium at a time: beside other workers its windows close.
browser: $(VENV)/wheel
	mkdir -p build/away
	cd build/away && ../../$(BIN)/python -m pytest -c ../../pyproject.toml --rootdir ../.. ../../tests -n 0 -m browser

torture: $(VENV)/wheel
	$(call run_tests,-m torture)

bench: $(VENV)/wheel
	$(BIN)/python tools/bench.py

clean:
	rm -rf $(VENV) build dist demo-out
