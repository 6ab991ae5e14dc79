// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/record"
)

// TestGroups checks that each command is in one group of the list, and no other is.
func TestGroups(t *testing.T) {
	var grouped []string
	for _, g := range groups {
		grouped = append(grouped, g.names...)
	}
	all := words(commands)
	slices.Sort(grouped)
	slices.Sort(all)
	if !slices.Equal(grouped, all) {
		t.Errorf("groups have %v, there are %v", grouped, all)
	}
}

// TestHelpOf checks that "help COMMAND" prints what "COMMAND -h" prints, for every command
// and part, and that it needs no other program.
func TestHelpOf(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, c := range slices.Concat(commands, corpusParts()) {
		args := strings.Fields(c.name)
		want, _, code := call(t, append(slices.Clone(args), "-h")...)
		got, stderr, code2 := call(t, append([]string{"help"}, args...)...)
		if code != record.ExitHolds || code2 != record.ExitHolds || got != want || stderr != "" || !strings.HasPrefix(got, "usage: tunproof "+c.name) {
			t.Errorf("%s: exit codes %d and %d\n%s%s", c.name, code, code2, got, stderr)
		}
		for _, strange := range []string{os.TempDir() + "/", "rapid.", "go: "} {
			if strings.Contains(got, strange) {
				t.Errorf("the help of %s has %q", c.name, strange)
			}
		}
	}
}

// TestUnknown checks that a wrong command, part or flag gets a short answer with the name
// that was meant.
func TestUnknown(t *testing.T) {
	for _, test := range []struct {
		args  []string
		want  string
		lines int
	}{
		{[]string{"chek"}, "did you mean check?", 2},
		{[]string{"help", "verfy"}, "did you mean verify?", 2},
		{[]string{"nonsense"}, `unknown command "nonsense"` + "\n", 2},
		{[]string{"corpus", "fmtt"}, "did you mean fmt?", 3},
		{[]string{"check", "-wir", "x"}, "did you mean -wire?", 3},
		{[]string{"evidence", "-run-missng"}, "did you mean -run-missing?", 4},
		{[]string{"conformance", "-time", "x"}, "want a time such as 90s", 4},
	} {
		_, stderr, code := call(t, test.args...)
		if code != record.ExitUsage || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != test.lines {
			t.Errorf("%v: exit code %d, want %d lines with %q in\n%s", test.args, code, test.lines, test.want, stderr)
		}
	}
}

// TestRunNothing checks that a -run that matches nothing lists what there is.
func TestRunNothing(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"verify"}, []string{"P1 rapid", "P4 fuzz", "P10 ", "K1 random", "K5 ", "P9 go test", "records planted bugs"}},
		{[]string{"exhaustive"}, []string{"P10 "}},
		{[]string{"trial"}, []string{"faults right traffic"}},
		{[]string{"detect"}, []string{"cwr-on-all native from nothing"}},
		{[]string{"fuzz"}, []string{"P4 Agree"}},
		{[]string{"mutants"}, []string{"id-not-compared"}},
	} {
		stdout, stderr, code := call(t, append(test.args, "-run", "matches no row")...)
		if code == record.ExitHolds || code == record.ExitViolation {
			t.Errorf("%v: exit code %d", test.args, code)
		}
		for _, want := range test.want {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v does not list %q:\n%s%s", test.args, want, stdout, stderr)
			}
		}
	}
}

// TestFlagsOfRows checks that verify has the flags that its rows name as the reason why
// they were not run.
func TestFlagsOfRows(t *testing.T) {
	out, _, _ := call(t, "verify", "-checks", "1", "-fuzz", "0", "-live", "0", "-run", "fuzz|live", "-json")
	verify, _ := named(commands, "verify")
	var flags []string
	for _, f := range flagsOf(context.Background(), verify) {
		flags = append(flags, f.name)
	}
	n := 0
	for _, r := range resultsOf(t, out) {
		for _, name := range regexp.MustCompile(`(?:^| )(-[a-z]+)`).FindAllStringSubmatch(r.Detail, -1) {
			if n++; !slices.Contains(flags, name[1]) {
				t.Errorf("%s %s: verify has no flag %s: %s", r.Property, r.Method, name[1], r.Detail)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d rows name a flag, want at least 10", n)
	}
}

func TestVersion(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := record.Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	out, _, code := call(t, "version")
	for _, want := range []string{"module    tunproof", "built of  ", "commit    ", "tree      " + tree, "go        " + runtime.Version(), "kernel    "} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
	t.Chdir(t.TempDir())
	if out, _, code := call(t, "version"); code != record.ExitHolds || !strings.Contains(out, "checkout  none: ") {
		t.Errorf("outside of a checkout: exit code %d\n%s", code, out)
	}
}

// TestPaint checks which words of an output are coloured, and that no byte is lost however
// the output is cut into writes.
func TestPaint(t *testing.T) {
	const in = "PROPERTY\n  rapid  3000 scenarios  model  1.0  holds\n  fuzz  -  model  -  not run: -fuzz 0\n{\"result\":\"holds\"}\nholds: 319 packets\nVIOLATED: P2 (rapid)\nno end"
	const want = "PROPERTY\n  rapid  3000 scenarios  model  1.0  \x1b[32mholds\x1b[0m\n  fuzz  -  model  -  \x1b[33mnot run\x1b[0m: -fuzz 0\n{\"result\":\"holds\"}\n\x1b[32mholds\x1b[0m: 319 packets\n\x1b[31mVIOLATED\x1b[0m: P2 (rapid)\nno end"
	for size := 1; size <= len(in); size++ {
		var out bytes.Buffer
		p := &painter{to: &out}
		for at := 0; at < len(in); at += size {
			io.WriteString(p, in[at:min(at+size, len(in))])
		}
		p.flush()
		if out.String() != want {
			t.Fatalf("writes of %d bytes: %q", size, out.String())
		}
	}
}

// TestCompletion completes command lines in a real bash.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	script, _, code := call(t, "completion", "bash")
	if code != record.ExitHolds {
		t.Fatalf("exit code %d", code)
	}
	name := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(name, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	parts := words(corpusParts())
	slices.Sort(parts)
	all := append(words(commands), "help")
	slices.Sort(all)
	for _, test := range []struct {
		line string // words, the last of which is completed
		want string
	}{
		{"tunproof ''", strings.Join(all, " ")},
		{"tunproof ver", "verify version"},
		{"tunproof help comp", "compare completion"},
		{"tunproof check -w", "-wire"},
		{"tunproof corpus ''", strings.Join(parts, " ")},
		{"tunproof corpus import -t", "-target"},
		{"tunproof fuzz -engine ''", "libfuzzer native"},
		{"tunproof fuzz -first -engine l", "libfuzzer"},
		{"tunproof replay -order ''", "inorder reorder"},
		{"tunproof mutants -of m", "model"},
		{"tunproof completion f", "fish"},
		{"tunproof evidence -r", "-run-missing"},
		{"tunproof check ''", ""}, // bash completes the names of files
	} {
		c := exec.Command(bash, "--norc", "-c", fmt.Sprintf(`. %q; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _tunproof; printf '%%s\n' "${COMPREPLY[@]}"`, name, test.line))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", test.line, err, out)
		}
		got := strings.Fields(string(out))
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: completed to %v, want %s", test.line, got, test.want)
		}
	}
	for shell, program := range map[string][]string{"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}} {
		if _, err := exec.LookPath(program[0]); err != nil {
			t.Logf("there is no %s: its script is not parsed", shell)
			continue
		}
		script, _, _ := call(t, "completion", shell)
		file := testFile(t, "script", script)
		if out, err := exec.CommandContext(context.Background(), program[0], program[1], file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
