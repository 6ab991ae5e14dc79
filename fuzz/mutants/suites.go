// SPDX-License-Identifier: MIT

package mutants

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/record"
)

// seeded makes generated input the same for every mutant.
var seeded = []string{"RAPID_SEED=20261121"}

// limit is the time that a test program may take. It takes a fraction of this without a
// mutant.
const limit = 10 * time.Second

// properties returns the test program of the properties: with generated input, exhaustively in
// small scopes, on the corpus and on the captures. checks is the value of RAPID_CHECKS.
func properties(checks string) Method {
	m := Method{Name: "properties", Package: "./fuzz/law", Tags: "invariants", Args: []string{"-test.short"}, Skip: skipLarge, Limit: limit, Env: append([]string{"RAPID_CHECKS=" + checks, "RAPID_STEPS=10"}, seeded...),
		Run: "^Test(Corpus|Captures|Property|Checksum|Reuse|ExhaustiveBatches|ExhaustiveFlips|ExhaustiveSupers)$",
		Names: map[string]string{"TestCorpus": "corpus", "TestCaptures": "captures", "TestReuse": "P7", "TestChecksum": "P8",
			"TestExhaustiveBatches": "P10", "TestExhaustiveFlips": "P10", "TestExhaustiveSupers": "P10"}}
	for _, p := range record.OfKind(record.Scenarios) {
		m.Names["TestProperty/"+p.ID] = p.ID
	}
	return m
}

// skipLarge skips a case of 1,023 packets, which takes as long as all others together.
const skipLarge = "^TestCorpus$/^coalesce$/^max-segments-1022"

// unit returns offload's own tests: checksums by every implementation, allocations, the
// work that batches take.
func unit() Method {
	return Method{Name: "unit", Package: "./offload", Run: ".", Tags: "invariants", Limit: limit, Env: seeded,
		Names: map[string]string{"TestImplementations": "P8", "TestStampSum": "P8", "TestPseudoHeaderSum": "P8", "TestFold": "P8", "TestAllocations": "P9", "TestWork": "work"}}
}

// required makes a test program fail if it cannot ask the kernel.
var required = append([]string{"TUNLIVE=require", "RAPID_CHECKS=200"}, seeded...)

// kernel returns the tests in which the kernel judges production.
func kernel() Method {
	return Method{Name: "kernel", Package: "./fuzz/kernel", Run: "^Test(Random|Stated)$/^K/^production$", Limit: 2 * limit, Env: required, Confirm: true}
}

// first returns the method for a run that stops at the first test that fails. The cases
// of the corpus are left out: a bug that they alone detect does not count.
func (m Method) first() Method {
	m.Args = append(slices.Clip(m.Args), "-test.failfast")
	if m.Names["TestCorpus"] != "" {
		m.Names = maps.Clone(m.Names)
		delete(m.Names, "TestCorpus")
		m.Skip = "^TestCorpus$"
	}
	return m
}

// Score returns the methods for mutations of offload. Only survivors of the properties are
// run against unit. A mutation that is not detected takes about 3 seconds. In short mode,
// rapid makes a fifth of the checks: 400 for each property.
func Score() []Method {
	last := unit()
	last.Last = true
	return []Method{properties("2000"), last}
}

// Deep returns the methods for mutations that are listed as equivalent: they include all
// small inputs, as in make test.
func Deep() []Method {
	all := properties("5000") // not in short mode, which leaves inputs out
	all.Args, all.Skip, all.Limit = nil, "", 12*limit
	last := unit()
	last.Last = true
	return []Method{all, last}
}

// Planted returns the methods for a planted bug in a file. A bug in offload is run against
// the properties. Survivors are run against offload's own tests and against the kernel. A
// bug in the device is run against the device's tests, which use a real TUN; the test of
// IFF_BACKPRESSURE is left out, because it skips before Linux 7.3. A detection
// by a case of the corpus is recorded, but does not count.
func Planted(file string) []Method {
	if path.Dir(file) == "offload/tun" {
		return []Method{{Name: "device", Package: "./offload/tun", Run: ".", Skip: "^Test(EndToEnd|BackpressureLive)$", Limit: 4 * limit, Env: required, Confirm: true}}
	}
	own, judge := unit(), kernel()
	own.Last, judge.Last = true, true
	return []Method{properties("2000"), own, judge}
}

// Packages has the further packages of which every mutation can be run: those that carry
// packets or judge them. Each is run against its own tests; those of packages in beside are
// asked about survivors. A test that needs a program which may be missing, or that compiles,
// is skipped.
var Packages = []struct {
	Dir    string
	beside []string
	skip   string
}{
	{Dir: "offload/tun"}, {Dir: "corpus/pkts"}, {Dir: "fuzz/scenario"}, {Dir: "fuzz/record"}, {Dir: "fuzz/packet"},
	{Dir: "fuzz/capture/pcap", skip: "^TestTcpdump$"}, {Dir: "fuzz/capture/hexdump"}, {Dir: "fuzz/capture/check", beside: []string{"fuzz/capture/trial"}},
	{Dir: "fuzz/capture/compare"}, {Dir: "fuzz/capture/anonymise"}, {Dir: "fuzz/capture/trial"},
	{Dir: "fuzz/engine/campaign", skip: "^Test(Planted|TwoReal|Victim)$"}, {Dir: "fuzz/conform"},
}

// ownTests returns the methods for mutations of one of Packages; nil if dir is none of them.
func ownTests(dir string) []Method {
	for _, p := range Packages {
		if p.Dir != dir {
			continue
		}
		if dir == "offload/tun" {
			return Planted(dir + "/")
		}
		list := []Method{{Name: "unit", Package: "./" + dir, Run: ".", Skip: p.skip, Args: []string{"-test.short"}, Limit: 6 * limit, Env: append([]string{"RAPID_CHECKS=100"}, seeded...)}}
		for _, b := range p.beside {
			list = append(list, Method{Name: "tests", Package: "./" + b, Run: ".", Args: []string{"-test.short"}, Limit: 6 * limit, Env: seeded, Last: true})
		}
		return list
	}
	return nil
}

// Model returns the methods for mutations of the model. First the kernel judges the model
// alone, and package kernel checks the order of packets. Survivors are run against the
// outcomes that the corpus states, then against production, which can only show that the
// two differ, and then against the model's own tests.
func Model() []Method {
	states := Method{Name: "corpus", Package: "./fuzz/law", Run: "^TestModelStates$", Limit: limit, Last: true}
	production := properties("2000")
	production.Last = true
	own := Method{Name: "unit", Package: "./model", Run: ".", Limit: limit, Last: true}
	return []Method{{Name: "kernel", Package: "./fuzz/kernel", Run: modelByKernel, Limit: limit, Env: required, Confirm: true}, states, production, own}
}

// modelByKernel names the tests that judge the model alone, by the first oracle of each kind.
const modelByKernel = "^Test(Random|Stated)$/^K[123]_(random|corpus|superpackets_alone|whole_batches),_(tun|toggle)$/^model$|^Test(Random|Model)$/^(order|K3_flips,_toggle)$"

// Methods returns all values of Kill.Method, in the order in which they are shown.
func Methods() []string {
	var list []string
	for _, p := range record.Properties {
		if strings.HasPrefix(p.ID, "P") {
			list = append(list, p.ID)
		}
	}
	return append(list, "work", "unit", "device", "kernel", "properties", "tests", "captures", "corpus")
}
