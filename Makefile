# Everything runs in a virtual environment made from pinned, hashed dependencies. Needs Python 3.11 or newer, make and a
# package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS ?= tests
WORKERS ?= 2

.PHONY: audit demo test check lint bench study clients startups docs lock format clean help

help:
	@echo "make demo    two servers, a private chat, and what each adversary learned from it"
	@echo "make test    all tests"
	@echo "make check   style, types, layers, tests and the demo"
	@echo "make lint    style, types, layers"
	@echo "make bench   Quietwire, Prosody and ejabberd in one run (ARGS=--quick for a short one)"
	@echo "make audit   a scripted week on Quietwire, Prosody and ejabberd, then what a thief of each disk has; writes docs"
	@echo "make study   lives on real servers, attacked: what links give away, as one report (hours; ARGS=--small: minutes)"
	@echo "make clients seven foreign clients on a server of ours; writes docs/clients.md (root, on Debian)"
	@echo "make startups what real clients send when they start, on Prosody and on our profiles (root, on Debian; an hour)"
	@echo "make docs    documentation that is generated from the code"
	@echo "make format  what style can be mended by itself"
	@echo "make lock    pins the dependencies anew (needs uv)"
	@echo "TESTS=tests/server and ARGS='-m \"not slow\"' make a run of the tests shorter; ARGS goes to demo and bench too."

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Quietwire needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up (once, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/quietwire lab demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS) $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test demo

bench: $(READY)
	@$(BIN)/python tests/bench/run.py $(ARGS)

clients: $(READY)
	@$(BIN)/python tests/clients/courses.py --update-docs $(ARGS)

startups: $(READY)
	$(BIN)/python tests/clients/startups.py --system prosody $(ARGS)
	$(BIN)/python tests/clients/startups.py $(ARGS)
	$(BIN)/python tests/clients/startups.py --server padded $(ARGS)
	$(BIN)/python tests/clients/startups.py --server steady $(ARGS)

audit: $(READY)
	@$(BIN)/python tests/bench/week.py --update-docs $(ARGS)

study: $(READY)
	@$(BIN)/quietwire lab study $(ARGS)

docs: $(READY)
	$(BIN)/python -m quietwire.cli.docs

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
