# The repository's commands. `make` alone lists them; scripts/dev.py does the work.

PYTHON ?= python3

.PHONY: help demo test matrix lint lines screenshot constraints release clean

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: ## Talk to a real model: no key, no account, nothing to set up
	@$(PYTHON) scripts/dev.py demo

test: ## Run all tests
	@$(PYTHON) scripts/dev.py test

matrix: ## Render, check, start and talk to every combination of answers
	@$(PYTHON) scripts/dev.py matrix

lint: ## Check style and types
	@$(PYTHON) scripts/dev.py lint

lines: ## Count the lines of each level, for README.md
	@$(PYTHON) scripts/dev.py lines

screenshot: ## Take README.md's picture of the chat page
	@$(PYTHON) scripts/dev.py screenshot

constraints: ## Compile the tested versions anew
	@$(PYTHON) scripts/dev.py constraints

release: ## Release the template: make release VERSION=0.1.0
	@$(PYTHON) scripts/dev.py release $(VERSION)

clean: ## Remove .venv, the demo and every cache
	rm -rf .venv build .pytest_cache .ruff_cache .mypy_cache
