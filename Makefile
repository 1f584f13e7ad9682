# The repository's commands. `make` alone lists them; scripts/dev.py does the work.

PYTHON ?= python3

.PHONY: help demo test matrix test-all lint lowest newest start examples lines screenshot constraints \
        release clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: ## Talk to a real model: no key, no account, nothing to set up
	@$(PYTHON) scripts/dev.py demo

test: ## Run all tests
	@$(PYTHON) scripts/dev.py test

matrix: ## Render, check, start and talk to every combination of answers
	@$(PYTHON) scripts/dev.py matrix

test-all: ## Run all tests on every Python from 3.10 to 3.14; ARGS goes to pytest
	@$(PYTHON) scripts/dev.py test-all $(ARGS)

lint: ## Check style, types and workflows
	@$(PYTHON) scripts/dev.py lint

lowest: ## Run projects' own tests with the lowest versions they allow
	@$(PYTHON) scripts/dev.py lowest

newest: ## The same with the newest versions there are
	@$(PYTHON) scripts/dev.py newest

start: ## Copy, install, start and talk to a project by README.md's words
	@$(PYTHON) scripts/dev.py start

examples: ## Write a project of each level, and a page that compares them
	@$(PYTHON) scripts/dev.py examples

lines: ## Count the lines of each level, for README.md
	@$(PYTHON) scripts/dev.py lines

screenshot: ## Take README.md's picture of the chat page
	@$(PYTHON) scripts/dev.py screenshot

constraints: ## Compile the tested versions anew
	@$(PYTHON) scripts/dev.py constraints

release: ## Release the template: make release VERSION=0.1.0
	@$(PYTHON) scripts/dev.py release $(VERSION)

clean: ## Remove the environments, what was built and every cache
	rm -rf .venv .venv-* build .pytest_cache .ruff_cache .mypy_cache
