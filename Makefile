# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The two that matter: "make demo" shows the main job on real hosts, "make test" runs every check and test.
# Each target brings what it needs (Debian packages as root, Python packages into a cache outside the checkout).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

with := tests/tools/with

# What "make fresh" does, and where.
SUITES := bookworm trixie
WHAT := demo test

.PHONY: help demo test fresh lint format unit oldest integration molecule build bench years prepare prepare-integration clean clean-cache

help: ## say what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 20

demo: prepare ## boot real hosts, turn on their Remote API with mutual TLS, and talk to it
	@$(with) test tests/lab/demo

test: prepare ## run every check and test
	@tests/tools/run-parts lint demo molecule oldest unit integration

fresh: ## make demo and test on bare Debian systems: SUITES and WHAT choose others
	@tests/tools/fresh $(SUITES) -- $(WHAT)

lint: prepare ## run every linter, and ansible-test sanity
	@tests/tools/lint

format: prepare ## lay out the Python code
	@$(with) tools ruff check --quiet --fix .
	@$(with) tools ruff format .

unit: prepare ## run the unit tests
	@$(with) test pytest -n 2 tests/unit

oldest: prepare ## run the unit tests, and check the playbooks, with the oldest ansible-core
	@$(with) oldest pytest -n 2 -q tests/unit/plugins
	@for playbook in secure audit client remove rotate_authority; do \
	    $(with) oldest ansible-playbook --syntax-check -i localhost, dockerfleet.remote_api.$$playbook; done

# Four files at a time: most of their time goes by waiting for daemons and hosts.
integration: prepare-integration ## run the tests on real hosts
	@$(with) test pytest -n 4 --dist loadfile tests/integration

molecule: prepare ## run the molecule scenarios
	@$(with) tools molecule test --all

build: prepare ## build the tarball into dist/
	@$(with) test ansible-galaxy collection build --force --output-path dist

bench: prepare ## measure a fleet of lab hosts against a peer playbook and a ping
	@$(with) test python benchmarks/fleet.py

years: prepare-integration ## live through two years of a fleet in minutes: a table, and tests/output/years
	@YEARS=1 $(with) test pytest -n 0 -s tests/integration/test_years.py

prepare:
	@tests/tools/prepare

prepare-integration:
	@tests/tools/prepare integration

clean: ## remove what was made in the checkout
	rm -rf dist .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output changelogs/.plugin-cache.yaml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-cache: ## remove the virtual environments and the rest of the tools' cache (the lab has its own)
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/dockerfleet-remote-api/tools"
