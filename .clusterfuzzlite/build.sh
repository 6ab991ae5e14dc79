#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds every fuzz target and its seeds into $OUT, for ClusterFuzzLite, OSS-Fuzz and other
# farms that set the same variables: OUT, CXX, CXXFLAGS, LIB_FUZZING_ENGINE, SANITIZER. It
# must run in the module's directory. It needs Go, clang and python3, and downloads the
# requirements of the root module.
set -eu

# The instrumented packages. TestBuildScript checks that the list equals campaign.Instrument.
instrument=(
	-gcflags=tunproof/offload=-d=libfuzzer
	-gcflags=tunproof/fuzz/scenario=-d=libfuzzer
	-gcflags=tunproof/corpus/pkts=-d=libfuzzer
	-gcflags=tunproof/fuzz/capture/pcap=-d=libfuzzer
	-gcflags=tunproof/fuzz/capture/hexdump=-d=libfuzzer
	-gcflags=tunproof/fuzz/capture/check=-d=libfuzzer
	-gcflags=tunproof/fuzz/packet=-d=libfuzzer
	-gcflags=tunproof/fuzz/capture/compare=-d=libfuzzer
	-gcflags=tunproof/fuzz/capture/anonymise=-d=libfuzzer
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT"
go run ./fuzz/cmd/tunproof corpus export -o "$work/seeds"

names=
for seeds in "$work"/seeds/*; do
	target=$(basename "$seeds")
	f=fuzz_$(echo "$target" | tr '[:upper:]' '[:lower:]')
	if [[ "${SANITIZER:-}" == *coverage* ]]; then
		go test -c -covermode=atomic -coverpkg=tunproof/... -ldflags="-X tunproof/fuzz/engine/native.only=$target" -o "$OUT/$f" ./fuzz/engine/native
		echo "s=tunproof=$PWD=" >"$OUT/$f.gocovpath"
		names="$names${names:+, }\"$f\": \"TestCorpusDir\""
	else
		go build -buildmode=c-archive -tags=libfuzzer -trimpath "${instrument[@]}" -ldflags="-X main.name=$target" -o "$work/$f.a" ./fuzz/engine/libfuzzer
		# shellcheck disable=SC2086 # these are lists of flags
		$CXX $CXXFLAGS $LIB_FUZZING_ENGINE "$work/$f.a" -o "$OUT/$f"
	fi
	(cd "$seeds" && python3 -m zipfile -c "$OUT/${f}_seed_corpus.zip" ./*)
	printf '[libfuzzer]\nmax_len = 1024\ntimeout = 10\nrss_limit_mb = 2048\n' >"$OUT/$f.options"
done
if [ -n "$names" ]; then
	echo "{$names}" >"$OUT/fuzzer_function_names.json"
fi
