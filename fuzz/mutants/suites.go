package mutants

import (
	"path"
	"strings"
	"time"
	"tunproof/fuzz/record"
)

// seeded makes generated input the same for every mutant.
var seeded = []string{"RAPID_SEED=20261121"}

// limit is the time that a test program may take, several times what it takes
// without a mutant.
const limit = 10 * time.Second

// properties is the test program about all inputs: by rapid, over small scopes, over
// the corpus and the captures.
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

// skipLarge leaves out a case of 1,023 packets, which takes as long as all others.
const skipLarge = "^TestCorpus$/^coalesce$/^max-segments-1022"

// unit is offload's own tests: sums by every implementation, allocations, the work
// that batches take.
func unit() Method {
	return Method{Name: "unit", Package: "./offload", Run: ".", Tags: "invariants", Limit: limit, Env: seeded,
		Names: map[string]string{"TestImplementations": "P8", "TestStampSum": "P8", "TestPseudoHeaderSum": "P8", "TestFold": "P8", "TestAllocations": "P9", "TestWork": "work"}}
}

// required makes a test program fail if it cannot ask the kernel.
var required = append([]string{"TUNLIVE=require", "RAPID_CHECKS=200"}, seeded...)

// kernel is the kernel as judge of production.
func kernel() Method {
	return Method{Name: "kernel", Package: "./fuzz/kernel", Run: "^Test(Random|Stated)$/^K/^production$", Limit: 2 * limit, Env: required, Confirm: true}
}

// Score is what the mutations of offload are run against, about 3 seconds for one
// that is not noticed; unit is for what the properties leave. rapid's checks are 400
// of each, a fifth of this.
func Score() []Method {
	last := unit()
	last.Last = true
	return []Method{properties("2000"), last}
}

// Deep is what a mutation is run against that is said to be equivalent: all small
// inputs that there are, as make test has them.
func Deep() []Method {
	all := properties("5000") // not short: all of them
	all.Args, all.Skip, all.Limit = nil, "", 12*limit
	last := unit()
	last.Last = true
	return []Method{all, last}
}

// Planted is what a planted bug is run against: of offload the properties, and for what
// those leave its own tests, of sums, allocations and work, and the kernel; of the
// device its tests, which are on a real one. A case of the corpus is said beside it, and
// does not count.
func Planted(file string) []Method {
	if path.Dir(file) == "offload/tun" {
		return []Method{{Name: "device", Package: "./offload/tun", Run: ".", Skip: "^TestEndToEnd$", Limit: 4 * limit, Env: required, Confirm: true}}
	}
	own, judge := unit(), kernel()
	own.Last, judge.Last = true, true
	return []Method{properties("2000"), own, judge}
}

// Model is what the mutations of the model are run against: the kernel as judge of
// the model alone (and, of order, the rule in words of its own), and for what that
// leaves what the corpus states, and then production, which can say only that the two
// differ, and the model's own tests.
func Model() []Method {
	states := Method{Name: "corpus", Package: "./fuzz/law", Run: "^TestModelStates$", Limit: limit, Last: true}
	production := properties("2000")
	production.Last = true
	own := Method{Name: "unit", Package: "./model", Run: ".", Limit: limit, Last: true}
	return []Method{{Name: "kernel", Package: "./fuzz/kernel", Run: modelByKernel, Limit: limit, Env: required, Confirm: true}, states, production, own}
}

// modelByKernel names the tests that judge the model alone, by the first oracle of each kind.
const modelByKernel = "^Test(Random|Stated)$/^K[123]_(random|corpus|superpackets_alone|whole_batches),_(tun|toggle)$/^model$|^Test(Random|Model)$/^(order|K3_flips,_toggle)$"

// Methods returns the names of Kill.Method, in the order in which they are shown.
func Methods() []string {
	var list []string
	for _, p := range record.Properties {
		if strings.HasPrefix(p.ID, "P") {
			list = append(list, p.ID)
		}
	}
	return append(list, "work", "unit", "device", "kernel", "properties", "captures", "corpus")
}
