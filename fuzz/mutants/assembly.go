// SPDX-License-Identifier: MIT

package mutants

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// assemblies has the assembly files of offload, by the architecture that builds them.
var assemblies = map[string]string{"amd64": "offload/checksum_amd64.s", "arm64": "offload/checksum_arm64.s"}

// assemblyMutations returns every mutation of the instructions and constants of an assembly
// file. Arguments and results are left out: go vet compares their places with the declaration.
// So are instructions that this processor does not have. An ID has the label before the
// instruction in place of a function.
func assemblyMutations(root, file string) ([]Mutant, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	return assemblyMutationsOf(file, text)
}

func assemblyMutationsOf(file string, text []byte) ([]Mutant, error) {
	var list []Mutant
	seen := map[string]int{}
	all := instructions(text)
	for k, in := range all {
		for _, s := range in.sites(text, all[k+1:]) {
			m, err := newMutant("", strings.Join(strings.Fields(fmt.Sprintf("%s -> %s", text[s.at:s.end], s.by)), " "), file, text, s.at, s.end-s.at, s.by)
			if err != nil {
				return nil, err
			}
			key := in.label + " " + s.operator + " " + m.Source + " " + m.About
			seen[key]++
			hash := sha256.Sum256(fmt.Appendf(nil, "%s %d", key, seen[key]))
			m.ID = fmt.Sprintf("%s:%s:%s:%s", path.Base(file), in.label, s.operator, hex.EncodeToString(hash[:4]))
			list = append(list, m)
		}
	}
	return list, nil
}

// instruction is one line of assembly that is an instruction or data.
type instruction struct {
	label    string // before it
	at, end  int    // of its text
	op       string
	operands []operand
	next     bool // the next instruction follows in the same block
}

// operand is one operand, with its place in the text.
type operand struct {
	text string
	at   int
}

var asmLine = regexp.MustCompile(`^\s*([A-Z][A-Z0-9.]*)(?:\s+([^\\]*?))?\s*\\?$`)

// instructions returns those of a file that can be mutated, in order.
func instructions(text []byte) (list []instruction) {
	label, at := "-", 0
	ends := func() { // a block
		if len(list) > 0 {
			list[len(list)-1].next = false
		}
	}
	for line := range strings.Lines(string(text)) {
		start := at
		at += len(line)
		code, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "//")
		code = strings.TrimRight(code, " \t")
		word, _, _ := strings.Cut(strings.TrimSpace(code), " ")
		if name := labelOf(code); name != "" {
			label = name
			ends()
			continue
		}
		switch {
		case word == "" || word == "GLOBL" || word == "RET" || word == "VZEROUPPER" || strings.HasPrefix(word, "#"):
			ends()
			continue
		}
		m := asmLine.FindStringSubmatchIndex(code)
		if strings.Contains(code, "(FP)") {
			ends()
			continue
		}
		if m == nil {
			if trimmed := strings.TrimSpace(code); macroArg.MatchString(trimmed) {
				from := start + strings.Index(line, trimmed)
				list = append(list, instruction{label: label, at: from, end: from + len(trimmed), op: word})
			}
			continue
		}
		in := instruction{label: label, at: start + m[2], end: start + len(strings.TrimRight(strings.TrimSuffix(code, "\\"), " \t")), op: code[m[2]:m[3]], next: true}
		if m[4] >= 0 {
			off := start + m[4]
			for _, o := range splitOperands(code[m[4]:m[5]]) {
				trimmed := strings.TrimLeft(o, " \t")
				in.operands = append(in.operands, operand{strings.TrimSpace(trimmed), off + len(o) - len(trimmed)})
				off += len(o) + 1
			}
		}
		list = append(list, in)
	}
	return list
}

// needsVNNI reports whether a mutant is in assembly that only runs with AVX-512 VNNI, as the
// label before it says.
func needsVNNI(m Mutant) bool {
	if !strings.HasSuffix(m.File, "_amd64.s") {
		return false
	}
	label := ""
	for _, line := range strings.Split(string(m.Text), "\n")[:m.Line] {
		if name := labelOf(line); name != "" {
			label = name
		}
	}
	return strings.Contains(label, "VNNI")
}

// labelOf returns the name of the label, macro or function that begins with a line of
// assembly, "" if none does.
func labelOf(line string) string {
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
	case strings.HasSuffix(words[0], ":"):
		return strings.TrimSuffix(words[0], ":")
	case len(words) > 1 && words[0] == "#define":
		return words[1]
	case len(words) > 1 && words[0] == "TEXT":
		return strings.Trim(words[1], "·<>(SB),")
	}
	return ""
}

// splitOperands splits at the commas that are in no brackets.
func splitOperands(s string) (list []string) {
	depth, from := 0, 0
	for i, c := range s {
		switch {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == ',' && depth == 0:
			list, from = append(list, s[from:i]), i+1
		}
	}
	return append(list, s[from:])
}

// otherOps has instructions to put in place of another: the opposite, the neighbour in a
// comparison, the same in another width, or one of the same form.
var otherOps = map[string][]site{
	"JB": {{operator: "condition", by: "JAE"}, {operator: "boundary", by: "JLS"}}, "JAE": {{operator: "condition", by: "JB"}, {operator: "boundary", by: "JHI"}},
	"JA": {{operator: "condition", by: "JLS"}, {operator: "boundary", by: "JAE"}}, "JZ": {{operator: "condition", by: "JNZ"}}, "JNZ": {{operator: "condition", by: "JZ"}},
	"JEQ": {{operator: "condition", by: "JNE"}}, "JC": {{operator: "condition", by: "JNC"}}, "JNC": {{operator: "condition", by: "JC"}},
	"BLT": {{operator: "condition", by: "BGE"}, {operator: "boundary", by: "BLE"}}, "BGE": {{operator: "condition", by: "BLT"}, {operator: "boundary", by: "BGT"}},
	"ADDQ": {{operator: "opcode", by: "SUBQ"}, {operator: "width", by: "ADDL"}}, "ADCQ": {{operator: "opcode", by: "ADDQ"}, {operator: "width", by: "ADCL"}},
	"ADDL": {{operator: "opcode", by: "SUBL"}, {operator: "width", by: "ADDW"}}, "ADCL": {{operator: "opcode", by: "ADDL"}, {operator: "width", by: "ADCW"}},
	"ADDW": {{operator: "opcode", by: "SUBW"}, {operator: "width", by: "ADDB"}}, "ADCW": {{operator: "opcode", by: "ADDW"}},
	"SUBQ": {{operator: "opcode", by: "ADDQ"}, {operator: "width", by: "SUBL"}}, "SHRQ": {{operator: "opcode", by: "SHLQ"}, {operator: "width", by: "SHRL"}},
	"SHLQ": {{operator: "opcode", by: "SHRQ"}, {operator: "width", by: "SHLL"}}, "SHRL": {{operator: "opcode", by: "SHLL"}, {operator: "width", by: "SHRW"}},
	"ROLW": {{operator: "opcode", by: "SHLW"}}, "ANDQ": {{operator: "opcode", by: "ORQ"}}, "TESTQ": {{operator: "width", by: "TESTB"}},
	"MOVQ": {{operator: "width", by: "MOVL"}}, "MOVL": {{operator: "width", by: "MOVWLZX"}}, "MOVWLZX": {{operator: "width", by: "MOVBLZX"}, {operator: "opcode", by: "MOVWLSX"}},
	"MOVBLZX": {{operator: "width", by: "MOVWLZX"}, {operator: "opcode", by: "MOVBLSX"}}, "MOVLQSX": {{operator: "opcode", by: "MOVLQZX"}}, "MOVB": {{operator: "width", by: "MOVW"}},
	"CMPQ": {{operator: "width", by: "CMPB"}}, "DECQ": {{operator: "opcode", by: "INCQ"}}, "NEGQ": {{operator: "opcode", by: "NOTQ"}}, "LEAQ": {{operator: "width", by: "LEAL"}},
	"VPADDD": {{operator: "opcode", by: "VPSUBD"}, {operator: "width", by: "VPADDW"}}, "VPXOR": {{operator: "opcode", by: "VPOR"}}, "VPXORD": {{operator: "opcode", by: "VPORD"}},
	"VPAND": {{operator: "opcode", by: "VPOR"}}, "VPMADDWD": {{operator: "opcode", by: "VPMULLW"}}, "VPDPWSSD": {{operator: "opcode", by: "VPDPWSSDS"}, {operator: "opcode", by: "VPDPBUSD"}},
	"VMOVDQU": {{operator: "opcode", by: "VMOVDQA"}}, "VPBROADCASTD": {{operator: "width", by: "VPBROADCASTW"}},
	"ADDS": {{operator: "opcode", by: "SUBS"}, {operator: "width", by: "ADDSW"}}, "SUBS": {{operator: "opcode", by: "ADDS"}, {operator: "width", by: "SUBSW"}},
	"VADD": {{operator: "opcode", by: "VSUB"}}, "VEOR": {{operator: "opcode", by: "VORR"}}, "MOVD": {{operator: "width", by: "MOVW"}}, "VUADDLV": {{operator: "opcode", by: "VADDV"}},
}

// otherRegister has the register to put in place of another. For vectors it is the neighbour.
var otherRegister = map[string]string{
	"AX": "DX", "CX": "DX", "DX": "CX", "SI": "DI", "DI": "SI", "R8": "R9", "R9": "R8", "K1": "K2",
	"R0": "R3", "R1": "R2", "R2": "R1", "R3": "R0",
}

var (
	register  = regexp.MustCompile(`\b(AX|CX|DX|SI|DI|K1|R\d+|[XYZ]\d+|V\d+)\b`)
	constant  = regexp.MustCompile(`\$(-?(?:0x[0-9A-Fa-f]+|\d+))(<<(\d+))?`)
	memoryOff = regexp.MustCompile(`^(-?\d+)\(`)
	macroArg  = regexp.MustCompile(`^[A-Z]+\((\d), (\d)\)$`)
)

// sites returns the mutations of an instruction. after has those that follow it.
func (in instruction) sites(text []byte, after []instruction) (list []site) {
	add := func(operator string, at, end int, by string) { list = append(list, site{operator, at, end, by}) }
	if in.op == "DATA" {
		in.constants(add)
		return list
	}
	add("delete", in.at, in.end, "")
	if m := macroArg.FindSubmatchIndex(text[in.at:in.end]); m != nil {
		for i := 2; i < len(m); i += 2 {
			n := text[in.at+m[i]] - '0'
			add("register", in.at+m[i], in.at+m[i+1], strconv.Itoa(int(n^1)))
		}
		return list
	}
	for _, o := range otherOps[in.op] {
		add(o.operator, in.at, in.at+len(in.op), o.by)
	}
	in.constants(add)
	for _, o := range in.operands {
		for _, m := range register.FindAllStringIndex(o.text, -1) {
			name := o.text[m[0]:m[1]]
			other := otherRegister[name]
			if n, err := strconv.Atoi(name[1:]); err == nil && strings.Contains("XYZV", name[:1]) {
				other = name[:1] + strconv.Itoa(n^1)
			}
			if other != "" {
				add("register", o.at+m[0], o.at+m[1], other)
			}
		}
		if m := memoryOff.FindStringSubmatch(o.text); m != nil {
			n, _ := strconv.Atoi(m[1])
			add("offset", o.at, o.at+len(m[1]), strconv.Itoa(n+1))
		}
	}
	if in.next && len(after) > 0 && in.before(after[0]) {
		next := after[0]
		between := string(text[in.end:next.at])
		add("order", in.at, next.end, string(text[next.at:next.end])+between+string(text[in.at:in.end]))
	}
	return list
}

// constants adds a site for each constant: the next number, or one more bit of shift.
func (in instruction) constants(add func(operator string, at, end int, by string)) {
	for _, o := range in.operands {
		m := constant.FindStringSubmatchIndex(o.text)
		if m == nil {
			continue
		}
		if m[6] >= 0 {
			n, _ := strconv.Atoi(o.text[m[6]:m[7]])
			add("constant", o.at+m[6], o.at+m[7], strconv.Itoa(n+1))
			continue
		}
		n, err := strconv.ParseInt(o.text[m[2]:m[3]], 0, 64)
		if err == nil {
			add("constant", o.at+m[2], o.at+m[3], strconv.FormatInt(n+1, 10))
		}
	}
}

// before reports whether it matters that in comes before next: one of them writes what the
// other reads or writes, or next reads the flags that in sets. Both stay in their block.
func (in instruction) before(next instruction) bool {
	jumps := func(i instruction) bool { return i.op[0] == 'J' || i.op[0] == 'B' && len(i.op) == 3 }
	if jumps(in) || jumps(next) || len(in.operands) == 0 || len(next.operands) == 0 {
		return false
	}
	names := func(o operand) []string {
		list := register.FindAllString(o.text, -1)
		for i, n := range list {
			if strings.ContainsRune("XYZ", rune(n[0])) {
				list[i] = "V" + n[1:]
			}
		}
		return list
	}
	written := func(i instruction) []string { return names(i.operands[len(i.operands)-1]) }
	uses := func(i instruction, regs []string) bool {
		return slices.ContainsFunc(i.operands, func(o operand) bool {
			return slices.ContainsFunc(names(o), func(n string) bool { return slices.Contains(regs, n) })
		})
	}
	reads := strings.HasPrefix(next.op, "ADC")
	return reads || uses(next, written(in)) || uses(in, written(next))
}

// assembled returns the architectures whose assembly can be run here: this one, and arm64 if
// qemu-user is there.
func assembled() []string {
	list := []string{runtime.GOARCH}
	if runtime.GOARCH != "arm64" && emulator() != "" {
		list = append(list, "arm64")
	}
	return slices.DeleteFunc(list, func(arch string) bool { return assemblies[arch] == "" })
}

// emulator returns the program that runs those of arm64, "" if there is none: qemu-user, which
// .ci/qemu also puts into .cache.
func emulator() string {
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64", ".cache/qemu/qemu-aarch64"} {
		if found, err := exec.LookPath(name); err == nil {
			if abs, err := filepath.Abs(found); err == nil {
				return abs
			}
		}
	}
	return ""
}

// assemblyParts groups the mutations by architecture. Each is run against the tests of every
// implementation of the sum (P8).
func assemblyParts(all []Mutant) (parts []methodsOf) {
	for _, arch := range assembled() {
		m := unit()
		m.Run, m.Args, m.Arch = "^Test(Implementations|StampSum)$", []string{"-test.short"}, arch
		m.Names = map[string]string{"TestImplementations": "P8", "TestStampSum": "P8"}
		if arch != runtime.GOARCH {
			m.Exec, m.Limit = emulator(), 6*limit
		}
		p := methodsOf{methods: []Method{m}}
		for _, mutant := range all {
			if mutant.File == assemblies[arch] {
				p.list = append(p.list, mutant)
			}
		}
		if len(p.list) > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}
