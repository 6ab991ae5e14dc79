package mutants

import "time"

// seeded makes generated input the same for every mutant.
var seeded = []string{"RAPID_SEED=20261121"}

// limit is the time that a test program may take, many times what it takes without
// a mutant.
const limit = 10 * time.Second

// inProcess are the methods that need no kernel.
func inProcess(checks string) []Method {
	properties := Method{Name: "properties", Package: "./fuzz/properties", Tags: "invariants", Args: []string{"-test.short"}, Limit: limit, Env: append([]string{"RAPID_CHECKS=" + checks}, seeded...),
		Run: "^Test(Corpus|Captures|Total|Equation|Order|Agree|Repair|Interleave|Buffers|WellFormed|Checksum|Reuse|ExhaustiveBatches|ExhaustiveFlips|ExhaustiveSupers)$",
		Names: map[string]string{"TestCorpus": "corpus", "TestCaptures": "captures", "TestTotal": "P1", "TestEquation": "P2", "TestOrder": "P3", "TestAgree": "P4",
			"TestRepair": "P5", "TestInterleave": "P6", "TestBuffers": "P7", "TestReuse": "P7", "TestChecksum": "P8", "TestWellFormed": "P11",
			"TestExhaustiveBatches": "P10", "TestExhaustiveFlips": "P10", "TestExhaustiveSupers": "P10"}}
	unit := Method{Name: "unit", Package: "./offload", Run: ".", Tags: "invariants", Limit: limit, Env: seeded,
		Names: map[string]string{"TestImplementations": "P8", "TestStampSum": "P8", "TestAllocations": "P9", "TestWork": "work"}}
	return []Method{properties, unit}
}

// Score is what the mutations of offload are run against, about 3 seconds for one
// that is not noticed: what is about all inputs, and for what that leaves the tests
// of offload, of its sums, its allocations and its work. rapid's checks are 600, a
// fifth of this.
func Score() []Method {
	list := inProcess("3000")
	list[1].Last = true
	return list
}
