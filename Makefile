# Bare make prints this help. Needs Go; GNU make 3.81 is enough.
#
# Variables:
#   test      SHORT=1, RACE=1, TAGS=purego, ARCH=386, AS_USER=65534: as that user ID (root only), PKG=./offload/..., COVER=1
#   LONG=1    for verify, live, kernels, exhaustive, trial: more inputs, an hour or more; an interrupted run resumes
#   mutants   OF=offload, model or assembly: mutations instead of planted bugs; OF=harness: broken checks; OF=fuzz/capture/check or another package; DRAW=8: only 8, selected by the commit;
#             DEEP=1 with OF=offload: equivalent mutations on all small inputs
#   kernels   ONE=6.12: only that series
#   evidence  RUN=1: run the commands that have no records yet
#   prove     FAST=1: fewer header lengths; FRESH=1: also what is remembered; PLANTED=1: refute the planted bugs instead; UNSEEN=1: list the code that no theorem is about
#   bench     GUARD=1: write nothing; print what became more than 10 % worse than the committed data, by ratios
#   fuzz      TIME=10m, ENGINE=native or ENGINE=libfuzzer, DIR=.cache/campaign (TIME is also for conformance)

GO ?= go
T = $(GO) run ./fuzz/cmd/tunproof
# The newest records of each kind, which the pages are made from.
DATA = docs/evidence/current
# Fixed, so that make test is the same everywhere; .ci/run draws others for its variants.
SEED ?= 20261121
PKG ?= ./...
TIME ?= 10m
ENGINE ?= native
DIR ?= .cache/campaign
OF ?= planted
RECORDS ?= $(DATA)/proofs.jsonl

help: ## print this help
	@sed -n 's/^#\( \|$$\)//p;/^GO/q' Makefile
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

verify: ## check offload once with every method, and print a table (1 minute)
ifdef LONG
	$(T) verify -run 'P[0-9]+ rapid' -checks 1000000 -fuzz 0
	$(T) verify -run '^[a-zP0-9]+ fuzz' -fuzz 715000 -cache .cache/fuzz
else
	$(T) verify
endif

# Some tests wait for kernels and other processes, so more run than there are cores.
CORES = $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
FLAGS = -vet=off -p $(shell expr $(CORES) \* 2) $(if $(SHORT),-short) $(if $(RACE),-race) $(if $(TAGS),-tags $(TAGS)) $(if $(EXEC),-exec $(EXEC)) $(if $(COVER),-coverpkg=./offload -coverprofile=.cache/cover.out)
# Most tests allocate much and keep little: with fewer collections they take a fifth less time.
# The race detector and an emulator make each check many times slower, so they make fewer.
ENV = TMPDIR=$$(.ci/tmp) GOGC=400 RAPID_SEED=$(SEED) RAPID_CHECKS=$(if $(LONG),5000,$(if $(or $(RACE),$(EXEC)),100,200)) RAPID_STEPS=$(if $(LONG),30,10) $(if $(AS_USER),TUNLIVE_USER=$(AS_USER)) $(if $(ARCH),CGO_ENABLED=0 GOARCH=$(ARCH))
test: ## run all tests, with a fixed seed (1 to 2 minutes)
	@mkdir -p .cache
	$(if $(filter ./...,$(PKG)),$(ENV) $(GO) test -count=1 $(FLAGS) -tags invariants$(if $(TAGS),$(comma)$(TAGS)) ./offload & other=$$!;) \
	$(ENV) $(GO) test -count=1 $(FLAGS) $(PKG)$(if $(filter ./...,$(PKG)), && wait $$other)
	$(if $(COVER),@$(GO) tool cover -func=.cache/cover.out | grep -v '^tunproof.*100.0%')
comma = ,

test-long: ## the same with more scenarios and the long variants of tests (10 minutes)
	$(MAKE) test LONG=1

lint: ## gofmt, go vet for Linux, macOS, Windows and 32 bits, staticcheck, actionlint
	.ci/lint

live: ## compare with this machine's kernel, and print a table (1 minute); AS_USER=65534: as that user
	@mkdir -p .cache
	$(T) live $(if $(AS_USER),-user $(AS_USER)) $(if $(LONG),-count 500000 -state .cache/live.json)

fuzz: ## run a fuzzing campaign; it resumes where it stopped
	$(T) fuzz -dir $(DIR) -time $(TIME) -engine $(ENGINE)

bench: ## benchmark offload and other implementations in alternating rounds; writes docs/bench.md (3 minutes)
	cd fuzz/peers && GOTOOLCHAIN=auto $(GO) run ./bench $(if $(GUARD),-guard ../../$(DATA)/bench/bench.txt,-o ../../docs -data ../../$(DATA)/bench)

exhaustive: ## check every batch of up to 4 of 31 packets, every small superpacket, every pair of header fields, small limits (20 seconds)
	@mkdir -p .cache
	$(if $(LONG),$(T) exhaustive -letters 103 -kernel -state .cache/exhaustive-$$(git rev-parse --short HEAD).json -json > .cache/exhaustive.jsonl && mv .cache/exhaustive.jsonl $(DATA)/exhaustive.jsonl,$(T) exhaustive)

prove: ## prove statements about offload for all inputs (5 to 12 minutes); needs coq and z3
	@mkdir -p .cache/prove
	cd fuzz/prove && GOTOOLCHAIN=auto $(GO) build -o ../../.cache/prove/prove .
	@mkdir -p .cache/evidence
	.cache/prove/prove -root . $(if $(FRESH),-fresh) $(if $(UNSEEN),-unseen,$(if $(FAST),-fast,$(if $(PLANTED),-planted -o .cache/prove/cases -records $(DATA)/refuted.jsonl,-records $(RECORDS))))

mutants: ## plant bugs one at a time, and report which tests detect each (20 to 50 minutes; root); it resumes
	@mkdir -p .cache
	$(T) mutants -of $(OF) -state .cache/mutants.jsonl $(if $(DEEP),-deep) $(if $(DRAW),$(if $(filter planted,$(OF)),-first) -draw $(DRAW) -by "$$(git rev-parse HEAD)",-o $(DATA)/$(if $(DEEP),deep,$(subst /,-,$(OF:planted=planted-bugs))).jsonl)

kernels: ## compare with seven other kernels, from 5.10 on, in virtual machines; fetches them (10 to 35 minutes)
	@mkdir -p .cache
	$(if $(ONE),KERNELS=require $(GO) test -count=1 ./tunlive/kernels/...)
	$(T) kernels $(if $(ONE),-series $(ONE) -count 2000 -stride 100,$(if $(LONG),-count 200000 -stride 2 -seed $(SEED) -state .cache/kernels.jsonl -o $(DATA)/kernels.jsonl,-o $(DATA)/matrix.jsonl))

trial: ## plant faults in drawn captures, and see whether check names each; writes docs/judges.md (1 minute)
	$(T) trial -draws $(if $(LONG),10000,1000) -seed $(SEED) -o $(DATA)/trial.jsonl
	$(T) trial -report $(DATA)/trial.jsonl -into docs/judges.md

conformance: ## check other implementations, TIME each; writes the pages with the results
	$(T) conformance -time $(TIME) -seed $(SEED) -o $(DATA)/conformance.jsonl || [ $$? = 1 ]
	$(MAKE) docs

docs: ## write the generated pages, and blocks of pages, from the newest result records
	.ci/docs

evidence: ## collect the result records of this source tree in docs/evidence; RUN=1 runs missing commands (hours)
	$(T) evidence $(if $(RUN),-run-missing)

captures: ## record the captures of the corpus again, into .cache/captures
	$(T) corpus record -o .cache/captures

ci: ## run all that CI runs
	.ci/run

.PHONY: $(shell awk -F: '/^[a-z-]+:/{print $$1}' Makefile)
