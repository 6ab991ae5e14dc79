# Bare make prints this help. Needs Go and nothing else; GNU make 3.81 is enough.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# Fixed, so that make test is the same everywhere; verify and long runs draw
# their own and print it.
TEST_SEED = 20261121
# Executions of each fuzz target in make fuzz-long: 14 targets, 10 million in all.
FUZZ_N = 715000
PROPERTY_N = 1000000
# Batches for K2 and for K3 in make live-long, and five times as many superpackets.
LIVE_N = 500000
# Who asks the kernel in make live-user.
LIVE_USER = 65534

help:
	@echo "make verify         the corpus, captures, properties and fuzz targets, then a table (1 minute)"
	@echo "make test           all tests, deterministic (2 minutes)"
	@echo "make lint           gofmt, go vet for Linux, macOS, Windows and 32 bits, staticcheck, actionlint"
	@echo "make test-386       the tests as a 32-bit program, short"
	@echo "make test-race      the tests under the race detector, short"
	@echo "make test-qemu      the tests as programs of arm64 and s390x, under qemu-user, short"
	@echo "make test-sums      the tests with each implementation of the checksum, short"
	@echo "make exhaustive     every batch of 31 packets to size 4, every small superpacket, every pair of fields (15 seconds)"
	@echo "make live           ask this machine's kernel, then a table (1 minute)"
	@echo "make live-user      the same as an ordinary user, for root"
	@echo "make test-user      the tests that ask the kernel, as an ordinary user, for root"
	@echo "make kernels        ask seven other kernels, from 5.10 on, in virtual machines that it fetches, and write docs/kernel (10 minutes)"
	@echo "make kernels-long   the same with 200,000 batches for each of K2 and K3 and 1,000,000 superpackets a kernel (70 minutes); goes on where it stopped"
	@echo "make kernels-one    the same of one, Linux $(KERNEL), and how a guest's panic and hang are told (2 minutes)"
	@echo "make conformance    the same properties asked of other implementations, CONFORM_TIME=$(CONFORM_TIME) each; writes docs/conformance"
	@echo "make evidence       gather the records of this tree into docs/evidence; EVIDENCE=-run-missing makes what is missing (4 hours)"
	@echo "make fuzz           a fuzzing campaign of FUZZ_TIME=$(FUZZ_TIME) with FUZZ_ENGINE=$(FUZZ_ENGINE) on CAMPAIGN=$(CAMPAIGN); goes on where it stopped"
	@echo "make libfuzzer      the same by libFuzzer, which takes clang"
	@echo "make cflite         what ClusterFuzzLite and OSS-Fuzz build, built and run here, which takes clang and python3"
	@echo "make seeds          what the seeds reach of offload, and how few of them would (with clang)"
	@echo "make detect         how soon each engine finds bugs that are planted; writes docs/fuzzing (25 minutes); takes clang"
	@echo "make cover          coverage of offload by all tests, and what is not covered"
	@echo "make bench          benchmarks of offload and of the fuzz targets"
	@echo "make bench-peers    beside other implementations, in alternating rounds; writes docs/bench.md, its data and plots (2 minutes)"
	@echo "make wireguard      a WireGuard tunnel on our device beside wireguard-go's, WGTUN_MB=$(WGTUN_MB) each way (1 minute); root"
	@echo "make test-nested    the tests of the nested modules, which need other modules and perhaps a newer Go"
	@echo "make docs           write docs/rules.md and docs/mutation.md"
	@echo "make corpus         check that each case states what the model gives"
	@echo "make properties-long  each property on PROPERTY_N=$(PROPERTY_N) scenarios"
	@echo "make exhaustive-long  103 packets to size 4, and the kernel asked of every superpacket (15 minutes); goes on where it stopped"
	@echo "make mutants        plant each bug and say what notices it (20 minutes); root; goes on where it stopped"
	@echo "make mutation       the same of every mutation of offload (40 minutes); goes on where it stopped"
	@echo "make mutation-deep  those listed as equivalent against all small inputs (10 minutes)"
	@echo "make mutation-model every mutation of the model, with the kernel as judge (15 minutes); root; goes on where it stopped"
	@echo "make mutation-draw  DRAW=$(DRAW) bugs and as many mutations, drawn by the commit (4 minutes); root"
	@echo "make captures       record the captures again, into CAPTURES=$(CAPTURES)"
	@echo "make live-long      LIVE_N=$(LIVE_N) batches for K2 and for K3, 5 times as many superpackets; goes on where it stopped"
	@echo "make streams        check, compare, anonymise and replay a capture of STREAM_MB=$(STREAM_MB) MB; time and memory"
	@echo "make live-fuzz      the fuzz targets that ask the kernel, LIVE_FUZZ=$(LIVE_FUZZ) each"
	@echo "make fuzz-long      each fuzz target for FUZZ_N=$(FUZZ_N) executions; goes on where it stopped"

verify:
	$(GO) run ./fuzz/cmd/tunproof verify

test:
	RAPID_SEED=$(TEST_SEED) RAPID_CHECKS=5000 $(GO) test -count=1 ./...
	$(GO) test -count=1 -tags invariants ./offload

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these"; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOARCH=386 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT)

test-386:
	CGO_ENABLED=0 GOARCH=386 RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short ./...

# Each implementation of the checksum, in all that is checked in process and by
# the kernel: without AVX-512, then without assembly.
SUM_TESTS = ./offload ./model ./fuzz/law ./fuzz/engine/native ./fuzz/kernel
test-sums:
	RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short -exec "env GODEBUG=cpu.avx512vnni=off" $(SUM_TESTS)
	RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short -tags purego $(SUM_TESTS)

# arm64, with its assembly, and s390x, which is big-endian, as programs that
# qemu-user runs: the one installed, or a Debian package's, unpacked here.
QEMU = .cache/qemu
QEMU_TESTS = ./offload ./model ./corpus/... ./fuzz/capture/check ./fuzz/packet ./fuzz/capture/hexdump ./fuzz/capture/compare ./fuzz/engine/native ./fuzz/capture/pcap
qemu:
	@mkdir -p $(QEMU)
	@for arch in aarch64 s390x; do \
		qemu=$$(command -v qemu-$$arch-static || command -v qemu-$$arch) && ln -sf "$$qemu" $(QEMU)/qemu-$$arch; \
		test -x $(QEMU)/qemu-$$arch || { \
			(cd $(QEMU) && { test -f qemu-user-static_*.deb || apt-get download -q qemu-user-static; }) && \
			dpkg-deb --fsys-tarfile $(QEMU)/qemu-user-static_*.deb | tar -xO ./usr/bin/qemu-$$arch-static > $(QEMU)/qemu-$$arch && \
			chmod +x $(QEMU)/qemu-$$arch; } || exit 1; \
	done

test-qemu: qemu
	CGO_ENABLED=0 GOARCH=arm64 RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short -exec $(CURDIR)/$(QEMU)/qemu-aarch64 $(QEMU_TESTS)
	CGO_ENABLED=0 GOARCH=s390x RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short -exec $(CURDIR)/$(QEMU)/qemu-s390x $(QEMU_TESTS)

test-race:
	RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 -short -race ./...

live:
	$(GO) run ./fuzz/cmd/tunproof live

live-user:
	$(GO) run ./fuzz/cmd/tunproof live -user $(LIVE_USER)

# K1 random and enumerated, K2, K3, K5, the device's tests, on each kernel.
kernels:
	@mkdir -p docs/kernel
	$(GO) run ./fuzz/cmd/tunproof kernels -o docs/kernel/matrix.jsonl
	$(GO) run ./fuzz/cmd/tunproof kernels -report docs/kernel/matrix.jsonl -into docs/kernel.md

kernels-long:
	@mkdir -p .cache docs/kernel
	$(GO) run ./fuzz/cmd/tunproof kernels -count 200000 -stride 2 -seed $(TEST_SEED) -state .cache/kernels.jsonl -o docs/kernel/long.jsonl
	$(GO) run ./fuzz/cmd/tunproof kernels -report docs/kernel/long.jsonl -into docs/kernel.md -block kernels-long

KERNEL = 6.12
kernels-one:
	KERNELS=require $(GO) test -count=1 ./tunlive/kernels/...
	$(GO) run ./fuzz/cmd/tunproof kernels -series $(KERNEL) -count 2000 -stride 100

LIVE_TESTS = ./tunlive/... ./fuzz/kernel/... ./offload/tun
test-user:
	TUNLIVE_USER=$(LIVE_USER) RAPID_SEED=$(TEST_SEED) $(GO) test -count=1 $(LIVE_TESTS)

live-long:
	@mkdir -p .cache
	$(GO) run ./fuzz/cmd/tunproof live -count $(LIVE_N) -state .cache/live.json

CAPTURES = .cache/captures
captures:
	$(GO) run ./fuzz/cmd/tunproof record -o $(CAPTURES)

LIVE_FUZZ = 60s
live-fuzz:
	$(GO) test ./fuzz/kernel/native -run '^$$' -fuzz FuzzKernelSegment -fuzztime $(LIVE_FUZZ) -fuzzminimizetime 1x
	$(GO) test ./fuzz/kernel/native -run '^$$' -fuzz FuzzKernelCoalesce -fuzztime $(LIVE_FUZZ) -fuzzminimizetime 1x

STREAM_MB = 1024
streams:
	TUNPROOF_STREAM_MB=$(STREAM_MB) $(GO) test ./fuzz/cmd/tunproof -count=1 -v -run TestStreams

cover:
	@mkdir -p .cache
	RAPID_SEED=$(TEST_SEED) $(GO) test -coverpkg=./offload -coverprofile=.cache/cover.out ./...
	@$(GO) tool cover -func=.cache/cover.out | grep -v '^tunproof.*100.0%'

bench:
	$(GO) test -run '^$$' -bench . ./offload ./fuzz/engine/native

# Modules of their own, with what only they need; one says which Go it needs.
NESTED = fuzz/peers fuzz/evidence offload/tun/wgtun
test-nested:
	@for m in $(NESTED); do (cd $$m && GOTOOLCHAIN=auto $(GO) vet ./... && GOTOOLCHAIN=auto $(GO) test -count=1 ./...) || exit 1; done

# A WireGuard tunnel between two namespaces, on our device and on wireguard-go's,
# and the example: MB each way, of each protocol and device, in alternating rounds.
WGTUN_MB = 1024
wireguard:
	cd offload/tun/wgtun && WGTUN_MB=$(WGTUN_MB) GOTOOLCHAIN=auto $(GO) test -count=1 -v .

bench-peers:
	cd fuzz/peers && GOTOOLCHAIN=auto $(GO) run ./bench -o ../../docs

# Others, for as long each: 1 is that they violate something.
CONFORM_TIME = 10m
conformance:
	@mkdir -p docs/conformance .cache
	$(GO) build -o .cache/tunproof ./fuzz/cmd/tunproof
	.cache/tunproof conformance -time $(CONFORM_TIME) -seed $(TEST_SEED) -o docs/conformance/results.jsonl || [ $$? = 1 ]
	$(MAKE) conformance-docs

conformance-docs:
	@mkdir -p .cache
	$(GO) build -o .cache/tunproof ./fuzz/cmd/tunproof
	.cache/tunproof conformance -report docs/conformance/results.jsonl -svg docs/conformance/matrix.svg -found > .cache/conformance.md || [ $$? = 1 ]
	mv .cache/conformance.md docs/conformance/report.md

exhaustive:
	$(GO) run ./fuzz/cmd/tunproof exhaustive

exhaustive-long:
	@mkdir -p .cache docs/mutation
	$(GO) run ./fuzz/cmd/tunproof exhaustive -letters 103 -kernel -state .cache/exhaustive-$$(git rev-parse --short HEAD).json -json > .cache/exhaustive.jsonl && \
		mv .cache/exhaustive.jsonl docs/mutation/exhaustive.jsonl

# Verdicts are kept by what they depend on, so what did not change is not run again.
MUTANTS = $(GO) run ./fuzz/cmd/tunproof mutants -state .cache/mutants.jsonl
DRAW = 50
mutants:
	@mkdir -p .cache docs/mutation
	$(MUTANTS) -o docs/mutation/planted.jsonl

mutation:
	@mkdir -p .cache docs/mutation
	$(MUTANTS) -of offload -o docs/mutation/offload.jsonl

mutation-deep:
	@mkdir -p .cache
	@mkdir -p docs/mutation
	$(MUTANTS) -of offload -deep -o docs/mutation/deep.jsonl

mutation-model:
	@mkdir -p .cache docs/mutation
	$(MUTANTS) -of model -o docs/mutation/model.jsonl

# DRAW bugs and DRAW mutations, drawn by the commit.
mutation-draw:
	@mkdir -p .cache
	$(MUTANTS) -first -draw $(DRAW) -by "$$(git rev-parse HEAD)"
	$(MUTANTS) -of offload -draw $(DRAW) -by "$$(git rev-parse HEAD)"

FUZZ_TIME = 10m
FUZZ_ENGINE = native
CAMPAIGN = .cache/campaign
fuzz:
	$(GO) run ./fuzz/cmd/tunproof fuzz -dir $(CAMPAIGN) -time $(FUZZ_TIME) -engine $(FUZZ_ENGINE)

libfuzzer:
	$(MAKE) fuzz FUZZ_ENGINE=libfuzzer

# The variables that their images set; coverage is a build of its own.
CFLITE = $(CURDIR)/.cache/cflite
CFLITE_SECONDS = 5
cflite:
	rm -rf $(CFLITE)
	OUT=$(CFLITE)/address SANITIZER=address CXX=clang++-19 CXXFLAGS="-O1 -fsanitize=address" LIB_FUZZING_ENGINE=-fsanitize=fuzzer .clusterfuzzlite/build.sh
	OUT=$(CFLITE)/coverage SANITIZER=coverage CXX=clang++-19 CXXFLAGS= LIB_FUZZING_ENGINE= .clusterfuzzlite/build.sh
	@cd $(CFLITE)/address && for f in fuzz_*.options; do f=$${f%.options}; \
		mkdir -p ../$$f && (cd ../$$f && python3 -m zipfile -e ../address/$${f}_seed_corpus.zip seeds && \
		../address/$$f -max_total_time=$(CFLITE_SECONDS) -max_len=1024 -rss_limit_mb=2048 seeds > log 2>&1 && echo "$$f: $$(tail -n 1 log)" && \
		FUZZ_CORPUS_DIR=$$PWD/seeds ../coverage/$$f -test.run TestCorpusDir -test.coverprofile=cover.out | tail -n 1) || exit 1; done

seeds:
	$(GO) run ./fuzz/cmd/tunproof corpus coverage
	@mkdir -p .cache && rm -rf .cache/seeds
	@if command -v clang-19 || command -v clang; then $(GO) run ./fuzz/cmd/tunproof corpus export -merge -o .cache/seeds; else echo "not merged: no clang"; fi

detect:
	@mkdir -p docs/fuzzing
	$(GO) run ./fuzz/cmd/tunproof detect -o docs/fuzzing/detection.jsonl

docs:
	$(GO) run ./fuzz/cmd/tunproof rules > .rules.new && mv .rules.new docs/rules.md
	$(GO) run ./fuzz/cmd/tunproof mutants -report docs/mutation > .mutation.new && mv .mutation.new docs/mutation.md
	$(GO) run ./fuzz/cmd/tunproof detect -report docs/fuzzing/detection.jsonl -into docs/fuzzing.md
	$(GO) run ./fuzz/cmd/tunproof fuzz -report docs/fuzzing/rates.jsonl -into docs/fuzzing.md
	$(GO) run ./fuzz/cmd/tunproof kernels -report docs/kernel/long.jsonl -into docs/kernel.md -block kernels-long
	$(GO) run ./fuzz/cmd/tunproof kernels -report docs/kernel/matrix.jsonl -into docs/kernel.md

# Of this tree; EVIDENCE=-run-missing runs what there are no records of: hours.
EVIDENCE =
evidence:
	$(GO) run ./fuzz/cmd/tunproof evidence $(EVIDENCE)

corpus:
	$(GO) run ./fuzz/cmd/tunproof corpus check

properties-long:
	$(GO) run ./fuzz/cmd/tunproof verify -run 'P[0-9]+ rapid' -checks $(PROPERTY_N) -fuzz 0

fuzz-long:
	$(GO) run ./fuzz/cmd/tunproof verify -run '^[a-zP0-9]+ fuzz' -fuzz $(FUZZ_N) -cache .cache/fuzz

.PHONY: evidence conformance conformance-docs kernels kernels-long kernels-one fuzz libfuzzer cflite seeds detect exhaustive exhaustive-long mutants mutation mutation-deep mutation-model mutation-draw test-nested bench-peers wireguard help verify test lint test-386 test-race cover bench docs corpus properties-long fuzz-long live live-user test-user live-long live-fuzz captures streams test-sums qemu test-qemu
