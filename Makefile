# Everything here needs Go 1.26 and make, nothing else; what needs more says so.
# `make help` prints the lines with a double hash.
export CGO_ENABLED ?= 0
MODULES := internal pkg pkg/coupontest services/gateway services/issuer services/ledger strategy cli test
# Neighbours' programs: modules outside the workspace, as theirs are.
EXAMPLES := examples/downstream examples/integration
FIRSTCOME := bin/firstcome

.DEFAULT_GOAL := help
.PHONY: help run demo test test-embedded test-containers test-interop test-schemathesis test-asyncapi build lint tidy race bench models simulate mutants fuzz chaos chaos-brokers chaos-timed ramp waiting million nightly images images-prebuilt clean FORCE

SEEDS ?= 20000
CHAOS = COUPONTEST_SERVERS=containers go test -v -count=1 -timeout 4h -tags chaos ./test/chaos
ROUNDS ?= 100
FUZZTIME ?= 30s

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(FIRSTCOME) ## local mode: a sale of 100 coupons among 2,000 people, then it stays up (State in ./.firstcome)
	@$(FIRSTCOME) local --demo

demo: $(FIRSTCOME) ## the same sale, but it ends
	@$(FIRSTCOME) demo

test: ## all tests on embedded servers, and in containers where a Docker engine answers (REQUIRE=containers: fail where not)
	@REQUIRE=$(REQUIRE) TESTFLAGS="$(TESTFLAGS)" ./test/run

test-embedded: ## all tests on embedded servers only
	@ONLY=embedded TESTFLAGS="$(TESTFLAGS)" ./test/run

test-containers: ## all tests on real servers in containers only
	@ONLY=containers REQUIRE=containers TESTFLAGS="$(TESTFLAGS)" ./test/run

test-interop: ## neighbours in Python and Java against the pipeline (needs python3, a JDK, Maven, and their registries)
	go test -count=1 -tags interop $(TESTFLAGS) github.com/firstcome/firstcome/test/interop/...

test-schemathesis: ## the gateway and the ledger, asked by their own OpenAPI documents (needs python3 and PyPI)
	./test/schemathesis/run

test-asyncapi: ## docs/asyncapi.yaml, by AsyncAPI's own parser (needs node and npm)
	./test/asyncapi/run

build: ## every command into bin/
	go build -o bin/ ./cli/cmd/... ./services/gateway/cmd/... ./services/issuer/cmd/... ./services/ledger/cmd/...

$(FIRSTCOME): FORCE
	@go build -o $@ ./cli/cmd/firstcome

lint: ## gofmt, vet, staticcheck
	@out=$$(gofmt -l $(MODULES) $(EXAMPLES)); [ -z "$$out" ] || { echo "gofmt -w needed:"; echo "$$out"; exit 1; }
	go vet -tags chaos,interop work
	GOBIN=$(CURDIR)/bin GOWORK=off go -C tools install tool
	bin/staticcheck -tags chaos,interop $(MODULES:%=./%/...)
	@for m in $(EXAMPLES); do (cd $$m && GOWORK=off $(CURDIR)/bin/staticcheck ./...) || exit 1; done

tidy: ## every module alone: go mod tidy changes nothing, and it builds without the workspace
	@for m in $(MODULES) $(EXAMPLES); do echo "$$m"; (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go build ./... && GOWORK=off go vet ./...) || exit 1; done

race: ## all tests under the race detector, on embedded servers (needs gcc)
	CGO_ENABLED=1 COUPONTEST_SERVERS=embedded go test -race -short -count=1 -p 2 $(TESTFLAGS) work

bench: ## every benchmark, with its floor in the same run
	go test -run '^$$' -bench . -benchtime 1s work

simulate: ## SEEDS=20000 runs of all parts in memory, with faults (a failing seed is shrunk and can be run again)
	go test -count=1 -timeout 2h ./test/simulation -run '^TestSimulation$$' -seeds $(SEEDS) -v $(TESTFLAGS)

mutants: ## break the code on purpose, one patch of test/mutants at a time, and see each found
	go run ./test/mutants

models: ## the explicit-state models of the design, all of them (test/model)
	go test -count=1 -timeout 30m -v ./test/model -whole $(TESTFLAGS)

fuzz: ## every fuzz test for FUZZTIME=30s
	./test/fuzz $(FUZZTIME)

chaos: ## ROUNDS=100 of faults under load with real processes and real servers (needs Docker)
	$(CHAOS) -run '^TestChaos$$' -rounds $(ROUNDS) $(TESTFLAGS)

chaos-brokers: ## the same on three brokers, whose leader is killed
	$(CHAOS) -run '^TestBrokers$$' $(TESTFLAGS)

chaos-timed: ## how long an emptied Redis, a stopped issuer and a paused broker are felt
	$(CHAOS) -run '^Test(Flushall|Takeover|Paused)$$' $(TESTFLAGS)

ramp: ## claims at up to three times what a gateway can take: what it takes, what it turns away, how long either lasts (needs Docker)
	$(CHAOS) -run '^TestRamp$$' $(TESTFLAGS)

waiting: ## what 15,000 people who wait over HTTP/1.1, and 50,000 over HTTP/2, cost a gateway (needs Docker and ulimit -n 20000)
	COUPONTEST_SERVERS=containers go test -v -count=1 -timeout 1h ./test/waiting -http1 15000 -http2 50000 $(TESTFLAGS)

million: ## a million grants downloaded as CSV and as NDJSON, and the memory that took (needs Docker)
	COUPONTEST_SERVERS=containers go test -v -count=1 -timeout 1h ./services/ledger -run BoundedMemory -rows 1000000 $(TESTFLAGS)

nightly: ## what takes longer than a change may wait for: models, simulate, mutants, fuzz, ramp, waiting, million, chaos, chaos-timed, chaos-brokers
	./test/nightly

images: ## the container images of the services and the command
	@for s in gateway issuer ledger firstcome; do docker build -f deployments/Dockerfile --build-arg SERVICE=$$s -t firstcome/$$s . || exit 1; done

images-prebuilt: ## the same from programs built here, where no image with Go can be pulled
	deployments/prebuild bin/image
	@for s in gateway issuer ledger firstcome; do docker build -q -f deployments/Dockerfile --target prebuilt -t firstcome/$$s bin/image/$$s || exit 1; done

clean: ## remove bin/ (not the state of local mode)
	rm -rf bin
