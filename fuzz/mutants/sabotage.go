// SPDX-License-Identifier: MIT

package mutants

import (
	"errors"
	"fmt"
)

// Sabotage is a change of the harness itself: a check that no longer checks, a verdict that
// is always good, an error that production and its judge share. A test of the harness must
// fail.
type Sabotage struct {
	Name, About string
	Edits       []edit
	Package     string // its tests must notice
	Run         string // these of them
}

// edit replaces the text Old, which a file has once, by New.
type edit struct{ File, Old, New string }

// Plant returns the mutant.
func (s Sabotage) Plant(root string) (Mutant, error) {
	var all Mutant
	var failed error
	for i, e := range s.Edits {
		m, err := Bug{s.Name, s.About, e.File, e.Old, e.New}.Plant(root)
		if failed = errors.Join(failed, err); i == 0 {
			all = m
		} else {
			all.Others = append(all.Others, m)
		}
	}
	if len(s.Edits) == 0 {
		return all, fmt.Errorf("%s: no edit", s.Name)
	}
	return all, failed
}

// method returns the tests that must notice the sabotage.
func (s Sabotage) method() Method {
	return Method{Name: "tests", Package: s.Package, Run: s.Run, Tags: "invariants", Limit: 12 * limit, Env: append([]string{"TUNLIVE=require", "RAPID_CHECKS=200"}, seeded...)}
}

// always is a function's first statement that makes the rest of it dead.
func always(file, signature, result string) edit {
	return edit{file, signature + "\n", signature + "\n\tif true {\n\t\t" + result + "\n\t}\n"}
}

const (
	lawTests     = "^Test(Faults|FaultySums|AlikeValues|AdmissionReasons|Reach|Statements)$"
	recordTests  = "."
	verifyTests  = "^TestRows$"
	kernelTests  = "^Test(Faults.*|Reports|AllDoubled|Classes|Unexpected)$"
	trialTests   = "^Test(Faults|Right|Two|False)$"
	compareTests = "^Test(Faults|Legal|Alterations)$"
)

// Sabotages returns the list.
func Sabotages() []Sabotage {
	var list []Sabotage
	add := func(pkg, run, name, about string, edits ...edit) {
		list = append(list, Sabotage{name, about, edits, pkg, run})
	}
	body := func(id, function, file string) {
		add("./fuzz/law", lawTests, "no-"+id, "the body of "+id+" returns nil at once",
			always(file, "func "+function+"(u Subject, s *scenario.Scenario, t *Tally) error {", "return nil"))
	}
	body("P1", "contractCoalesce", "fuzz/law/buffers.go")
	body("P1-segment", "contractSegment", "fuzz/law/segment.go")
	body("P2", "equation", "fuzz/law/coalesce.go")
	body("P3", "order", "fuzz/law/coalesce.go")
	body("P4", "agreeCoalesce", "fuzz/law/coalesce.go")
	body("P4-segment", "agreeSegment", "fuzz/law/segment.go")
	body("P5", "repairCoalesce", "fuzz/law/coalesce.go")
	body("P5-segment", "repairSegment", "fuzz/law/segment.go")
	body("P6", "interleave", "fuzz/law/coalesce.go")
	body("P7", "memoryCoalesce", "fuzz/law/buffers.go")
	body("P7-segment", "memorySegment", "fuzz/law/segment.go")
	body("P11", "wellFormed", "fuzz/law/coalesce.go")
	body("P12", "alike", "fuzz/law/alike.go")
	body("P13", "tunnelled", "fuzz/law/tunnel.go")
	add("./fuzz/law", lawTests, "no-P8", "P8 returns nil at once",
		always("fuzz/law/buffers.go", "func (s sums) check(data []byte, align int, seed uint16) error {", "return nil"))
	add("./fuzz/law", lawTests, "five-bodies", "P2, P3, P5, P6 and P11 return nil at once",
		edit{"fuzz/law/law.go", "\t\tp := bodies[row.ID]\n", "\t\tp := bodies[row.ID]\n\t\tswitch row.ID {\n\t\tcase \"P2\", \"P3\", \"P5\", \"P6\", \"P11\":\n\t\t\tp.Body = func(Subject, *scenario.Scenario, *Tally) error { return nil }\n\t\t}\n"})
	add("./fuzz/law", lawTests, "udp-moves", "the judge of order lets UDP packets change places with Reorder",
		edit{"fuzz/law/coalesce.go", "return h.Proto == 6 && h.Extensions == 0", "return h.Extensions == 0"})
	add("./fuzz/law", lawTests, "order-without-fragments", "the judge of order forgets that packets without a flow conflict",
		edit{"fuzz/law/identity.go", `(p.flow == q.flow || p.flow == "" || q.flow == "")`, `p.flow == q.flow`})
	add("./fuzz/law", lawTests, "reasons-not-compared", "P4 does not compare Reasons",
		edit{"fuzz/law/coalesce.go", "if gotReasons[i] != wantReasons[i] {", "if false {"})
	add("./fuzz/law", lawTests, "statements-not-compared", "what cases state is not compared",
		always("fuzz/law/expect.go", "func expected(op string, i int, stated, model pkts.Batch) error {", "return nil"))
	add("./fuzz/law", lawTests, "ttl-77-in-both", "production and model never join packets with a TTL of 77",
		edit{"model/admission.go", "\tcase len(p.payload) == 0:\n", "\tcase len(p.payload) == 0, b[0] == 0x45 && b[8] == 77:\n"},
		edit{"offload/candidate.go", "case len(pkt) == p.hdrLen:", "case len(pkt) == p.hdrLen, v4 && pkt[8] == 77:"})
	add("./fuzz/law", lawTests, "window-in-both", "production and model never join TCP packets with a window over 32,767",
		edit{"model/admission.go", "\tcase len(p.payload) == 0:\n", "\tcase len(p.payload) == 0, p.proto == tcp && p.l4[14] > 127:\n"},
		edit{"offload/candidate.go", "case len(pkt) == p.hdrLen:", "case len(pkt) == p.hdrLen, !udp && l4[14] > 127:"})
	add("./fuzz/law", lawTests, "draws-without-reorder", "the random scenarios never have Reorder",
		edit{"fuzz/scenario/draw/rapid.go", "Draw(t, \"reorder\") == 1", "Draw(t, \"reorder\") == 9"})
	add("./fuzz/law/exhaustive", ".", "exhaustive-counts-only", "the small scopes are counted and not checked",
		always("fuzz/law/exhaustive/batches.go", "func (c *Checker) check() error {", "return nil"))
	for _, part := range []string{"cases", "captureFiles", "properties", "sums", "judges", "allocations", "exhaustive", "records"} {
		add("./fuzz/verify", verifyTests, "verify-without-"+part, "verify leaves out the part "+part, edit{"fuzz/verify/verify.go", "v." + part, "func() error { return nil }"})
	}
	add("./fuzz/record", recordTests, "never-violated", "a row with an error holds",
		edit{"fuzz/record/collect.go", "\tcase err != nil:\n\t\trow.Result, row.Detail = Violated, err.Error()", "\tcase err != nil:\n\t\trow.Result, row.Detail = Holds, err.Error()"})
	add("./fuzz/record", recordTests, "nothing-holds", "a row that checked nothing holds",
		edit{"fuzz/record/collect.go", "case row.Count == 0:", "case false:"})
	add("./fuzz/record", recordTests, "verdict-counts-control", "a run of nothing but a control holds",
		edit{"fuzz/record/collect.go", "if !row.Control {", "if true {"})
	add("./fuzz/record", recordTests, "exit-0", "the exit code for a violation is 0",
		edit{"fuzz/record/record.go", "\t\t\treturn ExitViolation\n\t\tcase r.Result == Holds:", "\t\t\treturn ExitHolds\n\t\tcase r.Result == Holds:"})
	add("./fuzz/record", recordTests, "findings-hold", "findings of a judge do not make a violation",
		edit{"fuzz/record/findings.go", "r.Result, r.Detail = Violated, Count(total, \"finding\")", "r.Detail = Count(total, \"finding\")"})
	add("./fuzz/kernel", kernelTests, "kernel-segments-not-compared", "K1 does not compare bytes with the kernel's",
		edit{"fuzz/kernel/segment.go", "if !bytes.Equal(want[i], g.Data) {", "if false {"})
	add("./fuzz/kernel", kernelTests, "counters-ignored", "K5 does not look at the error counters",
		edit{"fuzz/kernel/endtoend.go", "case len(r.Counters) > 0:", "case false:"})
	add("./fuzz/kernel", kernelTests, "datagrams-ignored", "K5 does not count datagrams",
		edit{"fuzz/kernel/endtoend.go", "case !p.Impaired && (r.Received != r.Sent || r.Distinct != r.Sent):", "case false:"})
	add("./fuzz/capture/trial", trialTests, "check-says-nothing", "check reports no finding",
		edit{"fuzz/capture/check/check.go", "\tc.emit(Finding{kind, p.n, field,", "\tfunc(Finding) {}(Finding{kind, p.n, field,"})
	add("./fuzz/capture/trial", trialTests, "check-names-neighbour", "check names the packet after the faulty one",
		edit{"fuzz/capture/check/check.go", "\tc.emit(Finding{kind, p.n, field,", "\tc.emit(Finding{kind, p.n + 1, field,"})
	add("./fuzz/capture/trial", trialTests, "trial-counts-nothing-false", "trial does not count findings of anything else",
		edit{"fuzz/capture/trial/trial.go", "\t\t\tr.False++\n", "\t\t\t_ = f\n"})
	add("./fuzz/capture/compare", compareTests, "compare-says-nothing", "compare reports no lost packet",
		edit{"fuzz/capture/compare/finish.go", "\t\tm.report(m.missing(u))\n", "\t\t_ = m.missing(u)\n"})
	add("./fuzz/engine/campaign", "^Test(Canary|Judged|Planted)$", "campaign-confirms-nothing", "a campaign takes every finding for flaky",
		edit{"fuzz/engine/campaign/finding.go", "\tif !ok {\n\t\tc.mu.Lock()\n\t\tc.flaky++", "\tif !ok || true {\n\t\tc.mu.Lock()\n\t\tc.flaky++"})
	add("./fuzz/conform", "^Test(Variants|Reorder)$", "conformance-says-nothing", "conformance finds no violation in another implementation",
		edit{"fuzz/conform/coalesce.go", "list = append(list, changed(batch[k], out[n], k))", "_ = changed(batch[k], out[n], k)"})
	add("./fuzz/mutants", "^Test(Noticed|Results)$", "mutants-always-detected", "every mutant counts as detected",
		edit{"fuzz/mutants/run.go", "return v.Status == Killed || v.Status == TimedOut", "return v.Status != NotViable"})
	return list
}
