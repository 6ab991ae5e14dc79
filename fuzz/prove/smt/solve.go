// SPDX-License-Identifier: MIT

package smt

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Script returns an SMT-LIB script that asks whether all of the assertions can be true.
// With values it also asks for the values of the variables in them.
func Script(comment string, assertions []*Term, values bool) string {
	var out strings.Builder
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&out, "; %s\n", strings.TrimSpace(line))
	}
	out.WriteString("(set-logic QF_UFBV)\n")
	var vars []*Term
	seen := map[*Term]bool{}
	uses := map[*Term]int{}
	called := map[string]bool{}
	var order []*Term
	var visit func(t *Term)
	visit = func(t *Term) {
		uses[t]++
		if seen[t] {
			return
		}
		seen[t] = true
		for _, a := range t.args {
			visit(a)
		}
		switch t.op {
		case "var":
			vars = append(vars, t)
		case "const":
		case "apply":
			called[t.name] = true
			order = append(order, t)
		default:
			order = append(order, t)
		}
	}
	for _, a := range assertions {
		visit(a)
	}
	for _, name := range slices.Sorted(maps.Keys(called)) {
		mu.Lock()
		fmt.Fprintln(&out, functions[name])
		mu.Unlock()
	}
	slices.SortFunc(vars, func(a, b *Term) int { return strings.Compare(a.name, b.name) })
	for _, v := range vars {
		fmt.Fprintf(&out, "(declare-const |%s| %s)\n", v.name, v.sort())
	}
	// A term that is used more than once gets a name.
	names := map[*Term]string{}
	for _, t := range order {
		if uses[t] > 1 {
			name := fmt.Sprintf("t%d", len(names)+1)
			fmt.Fprintf(&out, "(define-fun %s () %s %s)\n", name, t.sort(), text(t, names))
			names[t] = name
		}
	}
	for _, a := range assertions {
		fmt.Fprintf(&out, "(assert %s)\n", text(a, names))
	}
	out.WriteString("(check-sat)\n")
	if values && len(vars) > 0 {
		out.WriteString("(get-value (")
		for _, v := range vars {
			fmt.Fprintf(&out, "|%s| ", v.name)
		}
		out.WriteString("))\n")
	}
	return out.String()
}

// text prints a term. names has the terms that have names.
func text(t *Term, names map[*Term]string) string {
	if n := names[t]; n != "" {
		return n
	}
	head := t.op
	switch t.op {
	case "const":
		switch {
		case t == True:
			return "true"
		case t == False:
			return "false"
		}
		return fmt.Sprintf("(_ bv%d %d)", t.value, t.Width)
	case "var":
		return "|" + t.name + "|"
	case "extract":
		head = fmt.Sprintf("(_ extract %d %d)", t.value>>16, t.value&0xFFFF)
	case "zero_extend", "sign_extend":
		head = fmt.Sprintf("(_ %s %d)", t.op, t.value)
	case "apply":
		head = "|" + t.name + "|"
	}
	parts := []string{head}
	for _, a := range t.args {
		parts = append(parts, text(a, names))
	}
	return "(" + strings.Join(parts, " ") + ")"
}

// Answer is z3's answer to a script.
type Answer struct {
	Result string            // sat, unsat, unknown, or the solver's error
	Values map[string]uint64 // of the variables, if the result is sat; of at most 64 bits
}

// Ask runs z3 on the script, for at most the given time.
func Ask(ctx context.Context, script string, limit time.Duration) Answer {
	ctx, cancel := context.WithTimeout(ctx, limit+5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "z3", "-in", "-smt2", fmt.Sprintf("-T:%d", int(limit.Seconds())))
	cmd.Stdin = strings.NewReader(script)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	err := cmd.Run()
	result, rest, _ := strings.Cut(stdout.String(), "\n")
	a := Answer{Result: strings.TrimSpace(result)}
	switch a.Result {
	case "sat":
		a.Values = parseValues(rest)
	case "unsat", "unknown":
	case "timeout":
		a.Result = "unknown"
	default:
		a.Result = fmt.Sprintf("error: %v: %s", err, stdout.String())
	}
	return a
}

var pair = regexp.MustCompile(`\(\|([^|]*)\|\s+([^()\s]+)\)`)

// parseValues reads ((|name| #x12) (|other| true)).
func parseValues(s string) map[string]uint64 {
	values := map[string]uint64{}
	for _, m := range pair.FindAllStringSubmatch(bare.ReplaceAllString(s, "(|$1| "), -1) {
		name, v := m[1], m[2]
		switch {
		case v == "true":
			values[name] = 1
		case v == "false":
			values[name] = 0
		case strings.HasPrefix(v, "#x"):
			values[name], _ = strconv.ParseUint(v[2:], 16, 64)
		case strings.HasPrefix(v, "#b"):
			values[name], _ = strconv.ParseUint(v[2:], 2, 64)
		}
	}
	return values
}

// bare is a name that z3 prints without bars.
var bare = regexp.MustCompile(`\(([A-Za-z][A-Za-z0-9_.]*)\s+`)
