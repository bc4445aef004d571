# The two commands of the README are `make run` and `make test`; `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Cargo uses every core; JOBS=4 limits it.
JOBS ?=
CARGO_JOBS := $(if $(JOBS),-j$(JOBS))
TARGET := $${CARGO_TARGET_DIR:-$(CURDIR)/target}
PYTHON := .tools/ministack/bin/python
# SAM with its linter; cargo-lambda and zig, which only builds for Lambda need.
export PATH := $(CURDIR)/.tools/sam/bin:$(CURDIR)/.tools/lambda/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1
# The installers keep their downloads in the checkout.
export PIP_CACHE_DIR := $(CURDIR)/.tools/cache/pip
export npm_config_cache := $(CURDIR)/.tools/cache/npm
export npm_config_update_notifier := false

.PHONY: help run demo stop test test-otlp check fuzz fuzz-api compose docs mails template tools binaries fmt lint build bench
.PHONY: clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: ## Set up, build, start the local stack, run the walkthrough, leave it running
	@began=$$(date +%s); local/prepare run $(CARGO_JOBS); GATEHOUSE_BEGAN=$$began $(PYTHON) local/stack.py up

demo: ## Run the walkthrough again on the running stack, with a new user
	@$(PYTHON) local/stack.py demo

stop: ## Stop what `make run` started
	@$(PYTHON) local/stack.py down

test: ## Set up and run every test, the deployed stack included; T=name runs the tests whose names contain it
	@began=$$(date +%s); local/prepare test $(CARGO_JOBS); GATEHOUSE_BEGAN=$$began $(PYTHON) local/tests.py $(CARGO_JOBS) $(T)

test-otlp: ## Test the export of spans, which only a build with the feature otlp has
	@cargo test -q $(CARGO_JOBS) -p runtime --features otlp --lib

check: ## Run the checker for long: 200,000 operations under faults, a million rows (an hour)
	@local/prepare test $(CARGO_JOBS)
	@cargo test -q -p custom-message -- --include-ignored
	@cargo test -q -p auth --test interleavings -- --include-ignored
	@GATEHOUSE_OPERATIONS=200000 GATEHOUSE_ROWS=1000000 $(PYTHON) local/stack.py exec --databases \
	  cargo test -p auth-tests --test it -- checker --nocapture --test-threads 1 \
	  2> .local/check.log

.PHONY: chaos
chaos: ## Inject faults for a quarter of an hour and write the table of docs/reliability.md; T=name for one experiment
	@local/prepare test $(CARGO_JOBS)
	@$(PYTHON) local/chaos.py $(T)

fuzz: ## Fuzz, FUZZ_SECONDS (600) for each: tests/it/fuzz.rs at random, the targets of fuzz/ by coverage; TARGETS=..
	@cargo build -q $(CARGO_JOBS) -p auth-tests --tests
	@GATEHOUSE_FUZZ_SECONDS=$${FUZZ_SECONDS:-600} cargo test -q -p auth-tests --test it -- \
	  fuzz:: --nocapture
	@python3 fuzz/run.py --seconds $${FUZZ_SECONDS:-600} $(TARGETS)

fuzz-api: binaries ## Run Schemathesis on the deployed API: no 5xx, no response that openapi.yaml does not declare
	@local/venv .tools/schemathesis local/schemathesis.txt
	@$(PYTHON) local/stack.py exec $(PYTHON) local/fuzz.py

compose: ## Write template.yaml and core.yaml from the fragments in stack/
	@python3 local/compose.py

docs: compose ## Generate docs/configuration.md (from code and stack/) and generated/api-gateway.json (from openapi.yaml)
	@cargo build -q $(CARGO_JOBS) --workspace --example token --bin gatehouse
	@$(TARGET)/debug/gatehouse definition
	@GATEHOUSE_UPDATE=1 cargo test -q $(CARGO_JOBS) --workspace --test it -- contracts::configuration::the_document

mails: ## Render every email in every language into .local/mails, for review
	@cargo run -q $(CARGO_JOBS) -p gatehouse -- mails .local/mails

template: tools-sam ## Expand template.yaml as AWS does, for many sets of parameters, and check the result
	@.tools/sam/bin/python -m unittest discover tests/template

tools:
	@local/prepare tools

tools-sam:
	@local/venv .tools/sam local/sam.txt

binaries:
	@local/prepare run $(CARGO_JOBS)

fmt: ## Format the sources
	@cargo fmt

lint: tools ## Run every check of .ci/run other than the tests
	@local/lint

# These targets need only Rust, SAM's set of tools, and the AWS credentials of the shell.
# CONFIG is an environment of samconfig.toml: a preset, or a stack that was deployed from here.
OPERATE := .tools/sam/bin/python
.PHONY: tools-sam zips deploy smoke rollback admin destroy live-checks test-operate test-adopt audit adopt

build: tools-sam ## Build the functions for Lambda (release: minutes); ARCH=arm64 ONLY="WhoamiFunction .." FEATURES=otlp
	@$(OPERATE) local/build.py $(if $(FEATURES),--features $(FEATURES)) $(or $(ARCH),x86_64) $(ONLY)

zips: tools-sam ## Zip each function that `make build` built, for a release, into .local/release, with the binaries' hashes
	@$(OPERATE) local/build.py zips $(or $(ARCH),x86_64) .local/release


deploy: tools-sam ## Deploy to the AWS account of your shell: six questions; CONFIG=.. YES=1 for none; TEMPLATE=core.yaml
	@$(OPERATE) local/deploy.py $(if $(CONFIG),--config $(CONFIG)) $(if $(YES),--yes) $(if $(ARCH),--arch $(ARCH)) \
	  $(if $(SET),--set $(SET)) $(if $(TEMPLATE),--template $(TEMPLATE)) $(if $(BUILT),--built) $(if $(CONFIRM),--confirm)

smoke: tools-sam ## Sign a temporary user in and out on the deployed stack, and delete it
	@$(OPERATE) local/smoke.py $(if $(CONFIG),--config $(CONFIG))

rollback: tools-sam ## Return to the authorizer's previous version at once, or to version TO=
	@$(OPERATE) local/rollback.py $(if $(CONFIG),--config $(CONFIG)) $(if $(TO),--to $(TO))

admin: tools-sam ## Make USER=<e-mail> an administrator of the deployed stack
	@$(OPERATE) local/admin.py $(if $(CONFIG),--config $(CONFIG)) "$(if $(filter command line,$(origin USER)),$(USER),$(error USER=<e-mail> is required))"

destroy: tools-sam ## Delete the stack; lists what remains, and asks for the stack's name
	@$(OPERATE) local/destroy.py $(if $(CONFIG),--config $(CONFIG))

live-checks: tools-sam ## Check on the deployed stack what no emulator can prove; WAIT=minutes, LOAD=1, ONLY="D2 D3"
	@$(OPERATE) local/live_checks.py $(if $(CONFIG),--config $(CONFIG)) $(if $(WAIT),--wait $(WAIT)) $(if $(LOAD),--load) \
	  $(if $(ONLY),--only $(ONLY))

test-operate: tools-sam ## Test the scripts that deploy and operate a stack, and the programs of operate/
	@$(OPERATE) -m unittest discover -s local -p 'test_*.py' -q
	@$(OPERATE) -m unittest discover operate/tests -q

audit: tools-sam ## Audit STACK=.. of your shell's AWS account, or ARGS="--from folder ..": docs/audit.md
	@PYTHONPATH=operate $(OPERATE) -m gatehouse_operate.audit $(if $(STACK),--stack $(STACK)) $(ARGS)

adopt: tools-sam ## Adopt a pool and APIs that exist: ARGS="plan --user-pool ID", docs/adopt.md
	@PYTHONPATH=operate $(OPERATE) -m gatehouse_operate.adopt $(ARGS)

test-adopt: binaries tools tools-sam ## Test gatehouse-adopt, first alone, then in a local stack
	@$(OPERATE) -m unittest discover operate/tests -q -k adopt
	@$(PYTHON) local/stack.py exec --databases \
	  $(OPERATE) -m unittest discover operate/tests -k adopt.test_local_stack

bench: ## Measure into .local/bench/report.md; PART=verify|start|warm|tried|before|load|front-door|growth|quota|other|migration, QUICK=1, SAVE=1, BUILT=1
	@local/venv .tools/bench local/bench.txt
	@$(if $(QUICK),GATEHOUSE_QUICK=1) $(if $(BUILT),GATEHOUSE_BUILT=1) GATEHOUSE_JOBS="$(CARGO_JOBS)" \
	  .tools/bench/bin/python benches/report $(PART) $(if $(SAVE),--save)

# docs/supply-chain.md and docs/mutants.md
.PHONY: sbom notices reproduce check-release features advisories mutants

sbom: ## Write an SBOM of each function (CycloneDX) into .local/release, and compare it with the manifests
	@local/sbom .local/release

notices: ## Write the licences of the functions' dependencies into .local/release/THIRD-PARTY.txt
	@local/crates.py notices .local/release

reproduce: tools-sam ## Build ONLY="WhoamiFunction .." twice, in two places, and compare (release: many minutes); ARCH=arm64
	@$(OPERATE) local/reproduce.py $(or $(ARCH),x86_64) $(or $(ONLY),WhoamiFunction CustomMessageFunction AuthorizerFunction)

check-release: tools-sam ## Build the tag that is checked out, and compare the release that was downloaded into FROM=..; ARCH=arm64
	@$(OPERATE) local/check_release.py "$(or $(FROM),$(error FROM=<folder of the downloaded release> is required))" $(or $(ARCH),x86_64)

features: ## Write local/authorizer.features, the features of the authorizer's large dependencies, which `make lint` checks
	@local/crates.py features --write

advisories: ## Look for known vulnerabilities in what each Cargo.lock, local/*.txt and package-lock.json pin; needs the network
	@local/advisories

mutants: ## Change the deciding crates in one place at a time: their tests must notice (hours); PART="routes revocations"
	@local/mutants $(PART)

clean: stop ## Remove everything that was built and installed here
	@rm -rf target .tools .local .aws-sam
