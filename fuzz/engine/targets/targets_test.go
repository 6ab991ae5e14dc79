// SPDX-License-Identifier: MIT

package targets

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// TestComplete checks that each property with the name of a fuzz target has exactly one
// target, and that every field of each target is set.
func TestComplete(t *testing.T) {
	var want, got []string
	for _, p := range record.Properties {
		if p.Name != "" {
			want = append(want, p.ID)
		}
	}
	for _, tg := range All() {
		got = append(got, tg.ID)
		if v := reflect.ValueOf(tg); v.FieldByName("Form").IsZero() || v.FieldByName("Seed").IsZero() || v.FieldByName("Body").IsZero() || tg.Name == "" {
			t.Errorf("target %s lacks a field: %+v", tg.ID, tg)
		}
	}
	for _, id := range want {
		if n := strings.Count(" "+strings.Join(got, " ")+" ", " "+id+" "); n != 1 {
			t.Errorf("%d targets of property %s, want 1", n, id)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are targets of %v, want of %v", got, want)
	}
}

// TestSources checks that the generated files are up to date.
func TestSources(t *testing.T) {
	files, err := Sources()
	if err != nil {
		t.Fatal(err)
	}
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v; go generate ./fuzz/engine/targets writes it", name, err)
		}
	}
}

// TestKept checks that a stored input of each target means the same when it is read again:
// an equal scenario, or the same bytes for other forms.
func TestKept(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	cases, raw := 0, 0
	seen := map[Form]bool{}
	for _, tg := range All() {
		list, err := tg.Seeds()
		if err != nil {
			t.Fatal(err)
		}
		variants := 1 // of each input; more for one target of each form
		if !seen[tg.Form] {
			variants = 3
		}
		seen[tg.Form] = true
		list = append(list, []byte{}, []byte{1}, []byte("\x01\x00\x06\x06"), []byte("\x01\x00\x00\xff\xff\xff\xff\x03"))
		for _, b := range list {
			for range variants {
				b = append([]byte{}, b...)
				ext := roundTrip(t, tg, b)
				if ext == ".raw" {
					raw++
				} else if ext != "" {
					cases++
				}
				if len(b) > 2 {
					b[2+r.IntN(len(b)-2)] = byte(r.Uint32())
				}
			}
		}
	}
	if cases < 5_000 || raw < 300 {
		t.Errorf("%d cases, %d raw", cases, raw)
	}
}

// roundTrip stores an input, reads it again and compares. It returns the extension of the
// stored file.
func roundTrip(t *testing.T, tg Target, b []byte) (ext string) {
	t.Helper()
	text, ext := tg.Kept(b)
	if text == nil {
		if s := scenario.Decode(b); tg.Form != Scenario || len(s.Batches)+len(s.Supers) > 0 {
			t.Fatalf("%s: %x is not kept", tg.Name, b)
		}
		return ""
	}
	got, err := Input("a"+ext, text)
	if err != nil {
		t.Fatalf("%s: %x: %v", tg.Name, b, err)
	}
	if !bytes.Equal(got, b) && (tg.Form == Raw || !scenario.Decode(got).Equal(scenario.Decode(b))) {
		t.Fatalf("%s: %x is kept as\n%s", tg.Name, b, text)
	}
	return ext
}

// TestForms checks that the form alone decides how the inputs of a target are stored, and
// that a target without a form panics.
func TestForms(t *testing.T) {
	scene := scenario.Encode(scenario.Scenario{Batches: [][][]byte{{scenario.TCP4(3).Bytes()}}})
	for form, want := range map[Form]string{Raw: ".raw", Scenario: ".pkts", ScenarioAndRaw: ".pkts"} {
		snoop := Target{Form: form}
		snoop.Name = "Snoop"
		if ext := roundTrip(t, snoop, scene); ext != want {
			t.Errorf("form %d: kept as %q, want %q", form, ext, want)
		}
	}
	for form, want := range map[Form]string{Raw: ".raw", Scenario: "", ScenarioAndRaw: ".raw"} {
		if _, ext := (Target{Form: form}).Kept([]byte{}); ext != want {
			t.Errorf("form %d: no bytes are kept as %q, want %q", form, ext, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a target without a form stores inputs")
		}
	}()
	Target{}.Kept(scene)
}
