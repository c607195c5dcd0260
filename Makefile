# Everything runs from .venv, which the first target that needs it creates (Python 3.11 and make are enough).

PYTHON ?=
RUN := .venv/bin/python
PYTEST_FLAGS ?= -n 2 --dist loadfile
UPGRADE ?=
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile setup.py --python $(RUN) --quiet \
	--no-emit-index-url --no-emit-find-links
IMAGE ?=
TEMPLATE ?=
MINUTES ?= 30
SEED ?=

# Containers and CI set it, and uv compiles nothing: each process would compile Beam anew (docs/decisions/environment.md).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help docs demo demo-loans demo-loop demo-flink soak test test-dataflow dataflow-template lint typecheck bench bench-swap bench-stream bench-idle bench-slow bench-startup bench-large bench-waiting bench-features bench-lookups bench-reasons bench-vectors bench-audit bench-fairness bench-gates bench-watching lock clean .venv

help: ## Show this list
	@echo "Usage: make TARGET"
	@awk -F ':[^#]*## ' '/^[.a-z-]+:[^#]*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv ## Score a year of flights with three model versions and show what happened
	@$(RUN) -m examples.flights.demo

demo-loans: .venv ## Decide 50,000 applications for loans, and answer what is asked about one rejection
	@$(RUN) -m examples.loans.demo

demo-loop: .venv ## Let models wear, and retrained versions become champions by their evidence: loans and flights
	@$(RUN) -m examples.loop.demo

demo-flink: .venv ## The same job as a service on Flink, Kafka and S3, with a machine that dies (Java 17, Maven, Go)
	@$(RUN) -m examples.flights.flink_demo

soak: .venv ## Kill machines at random under a running job on Flink and account for every event (MINUTES=30 SEED=)
	@$(RUN) -m tests.flink.soak --minutes "$(MINUTES)" $(if $(SEED),--seed "$(SEED)")

test: lint typecheck ## Run everything that CI runs: ruff, mypy --strict and pytest
	@echo "pytest"
	@$(RUN) -m pytest $(PYTEST_FLAGS)

test-dataflow: .venv ## Run what can be proven of Dataflow without the cloud (part of test)
	@$(RUN) -m pytest $(PYTEST_FLAGS) tests/dataflow tests/pipeline/endpoints tests/pipeline/commands/doctor/test_doctor.py

dataflow-template: ## Build the Dataflow template: IMAGE=…-docker.pkg.dev/P/R/halflife:TAG TEMPLATE=gs://B/halflife.json
	@case "$(IMAGE)|$(TEMPLATE)" in \
	*-docker.pkg.dev/*/*/*:*\|gs://*.json) ;; \
	*) echo "IMAGE='$(IMAGE)' TEMPLATE='$(TEMPLATE)'; needed: IMAGE=REGION-docker.pkg.dev/PROJECT/REPOSITORY/halflife:TAG" \
		"TEMPLATE=gs://BUCKET/halflife.json" >&2; exit 2;; \
	esac
	docker build --tag "$(IMAGE)" --file runners/dataflow/Dockerfile .
	docker push "$(IMAGE)"
	gcloud dataflow flex-template build "$(TEMPLATE)" --image "$(IMAGE)" --sdk-language PYTHON \
		--metadata-file runners/dataflow/metadata.json

docs: .venv ## Make the pages that are made of the schemas: docs/job.md, docs/records.md
	@$(RUN) -m docs.generate

lint: .venv ## Check style with ruff
	@echo "ruff"
	@$(RUN) -m ruff check --output-format concise .

typecheck: .venv ## Check types with mypy --strict
	@echo "mypy --strict"
	@$(RUN) -m mypy --strict --num-workers 2

bench: .venv ## Compare this job, Beam's RunInference and a bare loop; writes benchmarks/RESULTS.md
	@$(RUN) -m benchmarks

bench-vectors: .venv ## Score vectors of 784 numbers beside onnxruntime alone; writes benchmarks/VECTORS.md
	@$(RUN) -m benchmarks.vectors

bench-audit: .venv ## Seal, look up and verify ten million receipts; writes benchmarks/AUDIT.md
	@$(RUN) -m benchmarks.audit

bench-fairness: .venv ## Simulate how often intervals of fairness hold the true value; writes benchmarks/FAIRNESS.md
	@$(RUN) -m benchmarks.fairness

bench-gates: .venv ## Simulate rollouts: how often they act wrongly, what a bad version costs; writes benchmarks/GATES.md
	@$(RUN) -m benchmarks.gates

bench-watching: .venv ## Measure what drift, quality and pairs cost the year of flights; writes benchmarks/WATCHING.md
	@$(RUN) -m benchmarks.watching

bench-swap: .venv ## Measure a swap to a slow model and a second shadow; writes benchmarks/SWAP.md and SHADOWS.md
	@$(RUN) -m benchmarks.swaps.swap
	@$(RUN) -m benchmarks.swaps.shadows

bench-stream: .venv ## Measure the service on Flink and Kafka beside a job that only copies; writes benchmarks/STREAM.md
	@$(RUN) -m benchmarks.stream

bench-idle: .venv ## Watch checkpoints and memory of a job that waits for two hours; writes benchmarks/IDLE.md
	@$(RUN) -m benchmarks.stream.idle

bench-slow: .venv ## Watch a job whose receipts are taken slower than its events come; writes benchmarks/SLOW.md
	@$(RUN) -m benchmarks.stream.slow

bench-startup: .venv ## Measure what a start costs with bytecode and without; writes benchmarks/STARTUP.md
	@$(RUN) -m benchmarks.startup

bench-large: .venv ## Score more than 2 GiB of JSON lines in one bounded run; writes benchmarks/LARGE.md
	@$(RUN) -m benchmarks.large

bench-waiting: .venv ## Measure what a batch costs while few events wait and while many do; writes benchmarks/WAITING.md
	@$(RUN) -m benchmarks.waiting

bench-features: .venv ## Measure training sets of 10, 100 and 1,000 windowed features; writes benchmarks/FEATURES.md
	@$(RUN) -m benchmarks.many_features

bench-lookups: .venv ## Join events to a table of a million rows beside pandas.merge_asof; writes benchmarks/LOOKUPS.md
	@$(RUN) -m benchmarks.reading.lookups

bench-reasons: .venv ## Measure reasons by kind of model beside shap, and in the flights job; writes benchmarks/REASONS.md
	@$(RUN) -m benchmarks.reasons

lock: .venv/bin/uv ## Pin what setup.py resolves to, for here and for images of workers (UPGRADE=--upgrade takes newer)
	@$(COMPILE) --extra all --extra dev $(UPGRADE) --output-file requirements.lock
	@$(COMPILE) --extra worker --constraint requirements.lock --upgrade --output-file requirements-worker.lock
	@echo "requirements.lock: $$(grep -c '==' requirements.lock) packages; in an image:" \
		"$$(grep -c '==' requirements-worker.lock)"

clean: ## Remove the environment, caches and build output (data/ and out/ stay)
	@rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The bare environment with uv in it, at the version that the lock pins.
.venv/bin/uv:
	@found=""; \
	for candidate in $(PYTHON) python3.11 python3; do \
		if $$candidate -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
		then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 with its venv module is needed; found $$(python3 --version 2>/dev/null || echo 'no python3')." \
			"Install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	echo "Creating .venv with $$($$found --version)"; \
	"$$found" -m venv --clear .venv; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock || echo uv)"

# The stamp names the lock, the package description and the folder, since an environment cannot be moved.
.venv:
	@key="$$(cat requirements.lock setup.py $(wildcard schemas/native/*.c schemas/native/*.h) | cksum) $(CURDIR)"; \
	if [ "$$(cat .venv/stamp 2>/dev/null)" = "$$key" ] && $(RUN) -c '' 2>/dev/null; then exit 0; fi; \
	if ! .venv/bin/uv --version >/dev/null 2>&1 || ! $(RUN) -c '' 2>/dev/null; then \
		rm -rf .venv; $(MAKE) --no-print-directory .venv/bin/uv || exit 1; \
	fi; \
	echo "Bringing .venv to the $$(grep -c '==' requirements.lock) pinned packages (3 GB on disk)"; \
	quiet=--quiet; if [ -t 2 ]; then quiet=; fi; \
	.venv/bin/uv pip sync $$quiet --python $(RUN) requirements.lock && \
	.venv/bin/uv pip install $$quiet --python $(RUN) --no-deps --no-build-isolation --editable . && \
	{ $(RUN) -m pipeline.bytecode || true; } && \
	echo "$$key" > .venv/stamp
