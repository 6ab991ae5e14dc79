// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
)

const docs = "../../../docs/evidence/current/"

// TestReport checks that the page of conformance is the table of its records.
func TestReport(t *testing.T) {
	results, err := read(record.DataFile("../../..", "conformance.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(docs + "conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	table(&want, results, true)
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/evidence/current/conformance.md is out of date: make docs writes it")
	}
	for _, r := range results {
		if r.Impl == "tunproof" && len(r.Found) > 0 {
			t.Errorf("tunproof: %v", r.Found)
		}
		if len(r.Found) != len(r.Cases) {
			t.Errorf("%s: %d cases of %d violations", r.Impl, len(r.Cases), len(r.Found))
		}
	}
}

// TestKnown checks that no two known ways share a key, and that the properties exist.
func TestKnown(t *testing.T) {
	seen := map[string]string{}
	for _, k := range known {
		for _, key := range k.keys {
			if property, _, _ := strings.Cut(key, ":"); !slices.Contains(conform.Properties(), property) {
				t.Errorf("%s: no property %s", k.id, property)
			}
			for other, id := range seen {
				if strings.HasPrefix(key, other) || strings.HasPrefix(other, key) {
					t.Errorf("%s and %s: %q, %q", k.id, id, key, other)
				}
			}
			seen[key] = k.id
		}
	}
}

// TestWithheld checks that a case that a remote sender could use is not written.
func TestWithheld(t *testing.T) {
	f := conform.Found{Violation: conform.Violation{Property: "P1", What: "Coalesce panics: x"}}
	if caseText(f) != "" {
		t.Error("the case is written")
	}
}
