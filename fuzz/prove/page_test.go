// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// TestPage checks that docs/proofs.md has the numbers of the records, and that the records of
// refuted bugs have each bug that is in a translated function now.
func TestPage(t *testing.T) {
	root, _, p, _, lines := fastTheorems(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "proofs.md"))
	if err != nil {
		t.Fatal(err)
	}
	has := func(format string, args ...any) {
		if want := fmt.Sprintf(format, args...); !strings.Contains(oneLine(string(page)), want) {
			t.Errorf("docs/proofs.md lacks %q, as the records have it", want)
		}
	}
	rows, err := record.ReadFile(record.DataFile(root, "proofs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range rows {
		if r.Result != record.Holds {
			t.Errorf("%s: %s", r.Method, r.Result)
		}
		of := "theories"
		if _, arch, is := strings.Cut(r.Method, ", "); is {
			of = arch[strings.LastIndex(arch, " ")+1:]
			count["code"] += r.Count
		} else {
			count["files"]++
		}
		count[of] += r.Count
	}
	has("%d theorems of %d theories", count["theories"], count["files"])
	has("%d of %d about the code", count["code"], count["code"])
	has("Of these, %d are about the code for amd64", count["amd64"])
	for _, arch := range []string{"arm64", "386", "s390x"} {
		if count[arch] != count["arm64"] {
			t.Errorf("%d theorems for %s, %d for arm64", count[arch], arch, count["arm64"])
		}
	}
	has("%d are about each of arm64, 386 and s390x", count["arm64"])

	bugs, err := bugsIn(p, lines, root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(record.DataFile(root, "refuted.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	refuted, cases := 0, 0
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var r mutants.Refutation
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		have = append(have, r.Bug)
		if r.By != "" {
			refuted++
		}
		if r.Case {
			cases++
		}
	}
	for _, b := range bugs {
		want = append(want, b.Name)
	}
	if !slices.Equal(want, have) {
		t.Errorf("refuted.jsonl has %d bugs, want %d: %q; make prove PLANTED=1 writes it", len(have), len(want), want)
	}
	has("Of %d such bugs, z3 refutes %d, %d of them with a case", len(bugs), refuted, cases)
}
