// SPDX-License-Identifier: MIT

// Package native has the native fuzz functions that ask the kernel. They are apart from
// other tests because a fuzzing engine instruments everything that is linked.
package native

import (
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
)

// cannot is the reason why the kernel cannot be asked, or nil.
var cannot error

// TestMain puts the program into namespaces of its own. An engine's workers start in them.
func TestMain(m *testing.M) {
	cannot = tunlive.Enter()
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// FuzzKernelSegment fuzzes K1 and K4.
func FuzzKernelSegment(f *testing.F) { fuzz(f, true, "K1") }

// FuzzKernelCoalesce fuzzes K2 and K3.
func FuzzKernelCoalesce(f *testing.F) { fuzz(f, false, "K2", "K3") }

// fuzz checks each part of the properties with the first oracle that the machine has.
func fuzz(f *testing.F, supers bool, properties ...string) {
	if cannot != nil {
		missing(f, cannot)
	}
	k, err := kernel.Open()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { k.Close() })
	var checks []kernel.Part
	done := map[string]bool{} // kinds of check
	for _, p := range k.Parts() {
		if slices.Contains(properties, p.Property) && p.Oracle.Missing == nil && !done[p.Kind] {
			done[p.Kind] = true
			checks = append(checks, p)
		}
	}
	if len(checks) == 0 {
		missing(f, k.Parts()[0].Oracle.Missing)
	}
	cases, err := corpus.Cases()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		if b := scenario.Encode(scenario.FromCase(c.Case)); len(b) <= maxSeed && (len(c.Batches[0].In) > 0 && (c.Op == "segment") == supers) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scenario.Decode(b)
		var tally kernel.Tally
		for _, p := range checks {
			if err := p.Check(&s, &tally); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// maxSeed is the length of the longest seed. Longer ones slow an engine down.
const maxSeed = 512

// missing skips the fuzz function, or fails it if TUNLIVE=require.
func missing(f *testing.F, why error) {
	f.Helper()
	if os.Getenv("TUNLIVE") == "require" {
		f.Fatalf("TUNLIVE=require: %v", why)
	}
	f.Skip(why)
}
