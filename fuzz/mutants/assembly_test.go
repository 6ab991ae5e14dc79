// SPDX-License-Identifier: MIT

package mutants

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAssembly checks that the mutations of both assembly files change something, each
// something else, and that every operator has some.
func TestAssembly(t *testing.T) {
	for arch, want := range map[string][]string{
		"amd64": {"boundary", "condition", "constant", "delete", "offset", "opcode", "order", "register", "width"},
		"arm64": {"boundary", "condition", "constant", "delete", "offset", "opcode", "order", "register", "width"},
	} {
		list, err := assemblyMutations("../..", assemblies[arch])
		if err != nil {
			t.Fatal(err)
		}
		ids, texts := map[string]bool{}, map[string]bool{}
		var operators []string
		for _, m := range list {
			if ids[m.ID] || texts[string(m.Text)] {
				t.Errorf("%s: %s is there twice", m.ID, m.About)
			}
			ids[m.ID], texts[string(m.Text)] = true, true
			if op := strings.Split(m.ID, ":")[2]; !slices.Contains(operators, op) {
				operators = append(operators, op)
			}
		}
		if slices.Sort(operators); !slices.Equal(operators, want) || len(list) < 150 {
			t.Errorf("%s: %d mutations, by %q", arch, len(list), operators)
		}
	}
}

// TestAssemblySites checks the mutations of single instructions.
func TestAssemblySites(t *testing.T) {
	for code, want := range map[string][]string{
		"	ADDQ $1<<20, AX\n":                 {"ADDQ $1<<20, AX -> ", "ADDQ -> SUBQ", "ADDQ -> ADDL", "20 -> 21", "AX -> DX"},
		"	JB   few\n":                        {"JB few -> ", "JB -> JAE", "JB -> JLS"},
		"	VPAND 64(DX), Y4, Y4 \\\n":         {"VPAND 64(DX), Y4, Y4 -> ", "VPAND -> VPOR", "DX -> CX", "64 -> 65", "Y4 -> Y5", "Y4 -> Y5"},
		"DATA bias<>+0(SB)/4, $0x80008000\n": {"0x80008000 -> 2147516417"},
		"	MOVQ b_len+8(FP), CX\n":            nil,
		"	UADALP(4, 0)\n":                    {"UADALP(4, 0) -> ", "4 -> 5", "0 -> 1"},
		"	RET\n":                             nil,
		"	ADDQ DX, AX // text\n	ADCQ $0, AX\n": {"ADDQ DX, AX -> ", "ADDQ -> SUBQ", "ADDQ -> ADDL", "DX -> CX", "AX -> DX",
			"ADDQ DX, AX // text ADCQ $0, AX -> ADCQ $0, AX // text ADDQ DX, AX", "ADCQ $0, AX -> ", "ADCQ -> ADDQ", "ADCQ -> ADCL", "0 -> 1", "AX -> DX"},
		"	VPXOR Y1, Y1, Y1\n	VPXOR Y2, Y2, Y2\n": {"VPXOR Y1, Y1, Y1 -> ", "VPXOR -> VPOR", "Y1 -> Y0", "Y1 -> Y0", "Y1 -> Y0", "VPXOR Y2, Y2, Y2 -> ", "VPXOR -> VPOR", "Y2 -> Y3", "Y2 -> Y3", "Y2 -> Y3"},
	} {
		list, err := assemblyMutationsOf("offload/x.s", []byte(code))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.About)
		}
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		for i := range got {
			got[i] = strings.TrimSpace(got[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

// TestNeedsVNNI checks which planted bugs a processor without AVX-512 VNNI does not run.
func TestNeedsVNNI(t *testing.T) {
	var got []string
	for _, b := range Bugs() {
		m, err := b.Plant("../..")
		if err != nil {
			t.Fatal(err)
		}
		if needsVNNI(m) {
			got = append(got, b.Name)
		}
	}
	want := []string{"vnni-bias-of-the-head", "vnni-second-accumulator-lost", "vnni-words-torn", "copy-tail-not-copied", "copy-writes-past-the-end", "copysum-odd-destination-torn"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
