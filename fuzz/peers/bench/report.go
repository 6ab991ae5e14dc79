// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tunproof/fuzz/peers"
	"tunproof/fuzz/record"
)

// what returns the first word of the row's name, such as "Coalesce".
func (r *row) what() string {
	what, _, _ := strings.Cut(r.name, "/")
	return what
}

// String returns one line with the medians, in nanoseconds for each packet.
func (r *row) String() string {
	s := fmt.Sprintf("%-56s", r.name)
	for _, e := range r.entries {
		s += fmt.Sprintf(" %s %.1f", strings.ReplaceAll(e.impl, " ", "-"), e.median()/float64(r.packets))
	}
	return s
}

// claimTable returns a Markdown table of the claims.
func claimTable(rows []*row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| claim | aim | measured | |\n|---|---|---|---|\n")
	for _, o := range outcomes(rows) {
		reached := "reached"
		if !o.holds {
			reached = "**not reached**"
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f | %s |\n", o.text, o.aim(), o.ratio, reached)
	}
	return b.String()
}

// columns returns the implementations and limits of the rows, in the order of the tables.
func columns(rows []*row) (list []string) {
	for _, name := range []string{"tunproof", "tunproof-next", "tunproof-add", "nebula", "tailscale", "wireguard-go", "gvisor", limitCopy, limitSum, limitOpen} {
		if slices.ContainsFunc(rows, func(r *row) bool { return r.find(name) != nil }) {
			list = append(list, name)
		}
	}
	return list
}

// table returns a Markdown table of the rows whose name is what up to the first slash. It
// returns "" if there are none. The cells are nanoseconds a packet; for a
// checksum, nanoseconds a call.
func table(rows []*row, what string) string {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.what() != what })
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	list := columns(rows)
	fmt.Fprintf(&b, "| %s | %s |\n|---|%s\n", what, strings.Join(list, " | "), strings.Repeat("---|", len(list)))
	for _, r := range rows {
		_, name, _ := strings.Cut(r.name, "/")
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(name, "/", " "))
		for _, c := range list {
			e := r.find(c)
			switch {
			case e == nil:
				b.WriteString(" |")
			case c == "tunproof":
				fmt.Fprintf(&b, " **%.1f** ± %.0f %% |", e.median()/float64(r.packets), 100*e.spread())
			default:
				fmt.Fprintf(&b, " %.1f (%.2f) |", e.median()/float64(r.packets), 1/r.ratio("tunproof", c))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// tables returns the text of bench.md between the marks.
func tables(rows []*row, rounds int) string {
	var b strings.Builder
	env := here()
	fmt.Fprintf(&b, "%s, %d cores, Linux %s, %s/%s, %s; medians of %d alternating rounds.\n\n", env.CPU, env.NCPU, env.Kernel, env.OS, env.Arch, env.Go, rounds)
	for _, impl := range peers.All() {
		if v := impl.Version(); v != "" {
			fmt.Fprintf(&b, "- %s: %s %s\n", impl.Name, impl.Module, v)
		}
	}
	fmt.Fprintf(&b, "\n%s\nNanoseconds a packet, or a call; in brackets, times tunproof's.\n\n", claimTable(rows))
	for _, what := range []string{"Sum", "SumAVX2", "Segment", "Coalesce", "Open"} {
		fmt.Fprintf(&b, "%s\n", table(rows, what))
	}
	return b.String()
}

// here returns the environment of the measurement, with only the version of the kernel, and
// with the processor's family and model, since machines hide the rest.
func here() record.Env {
	env := record.Here()
	env.Kernel, _, _ = strings.Cut(env.Kernel, "-")
	about, _ := os.ReadFile("/proc/cpuinfo")
	if m := cpuModel.FindSubmatch(about); m != nil {
		env.CPU += fmt.Sprintf(" (family %s, model %s)", m[1], m[2])
	}
	return env
}

var cpuModel = regexp.MustCompile(`cpu family\s*: (\d+)\nmodel\s*: (\d+)\n`)

const (
	beginMark = "<!-- measured: make bench writes from here -->\n"
	endMark   = "<!-- to here -->\n"
)

// write writes data and plots into one directory, and tables into bench.md of another,
// which must have the marks.
func write(dir, data string, rows []*row, rounds int) error {
	text, err := os.ReadFile(filepath.Join(dir, "bench.md"))
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s: the line %q or %q is missing", filepath.Join(dir, "bench.md"), strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	if err := os.MkdirAll(data, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "bench.txt"), benchmarks(rows), 0o666); err != nil {
		return err
	}
	if err := plots(data, rows); err != nil {
		return err
	}
	text = slices.Concat(before, []byte(beginMark), []byte(tables(rows, rounds)), []byte(endMark), after)
	return os.WriteFile(filepath.Join(dir, "bench.md"), text, 0o666)
}

// benchmarks returns the measurements in the Go benchmark format: benchstat -col /impl -row .name,/proto,... bench.txt
func benchmarks(rows []*row) []byte {
	var b bytes.Buffer
	env := here()
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\ncpu: %s\nkernel: %s\ngo: %s\n\n", env.OS, env.Arch, env.CPU, env.Kernel, env.Go)
	for _, r := range rows {
		for _, e := range r.entries {
			for _, ns := range e.ns {
				fmt.Fprintf(&b, "Benchmark%s/impl=%s 1 %.1f ns/op %.0f MB/s\n", r.name, strings.ReplaceAll(e.impl, " ", "-"), ns, float64(r.bytes)/ns*1000)
			}
		}
	}
	return b.Bytes()
}

// measurement matches a line of benchmarks.
var measurement = regexp.MustCompile(`^Benchmark(\S+)/impl=(\S+) 1 ([0-9.]+) ns/op `)

// read returns the rows of a file that benchmarks wrote.
func read(name string) ([]*row, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var rows []*row
	for line := range strings.Lines(string(b)) {
		m := measurement.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		impl := strings.ReplaceAll(m[2], "one-sum", limitSum)
		if len(rows) == 0 || rows[len(rows)-1].name != m[1] {
			r := &row{name: m[1], packets: max(1, number(m[1], "pkts"), number(m[1], "segs"))}
			if r.packets == 1 {
				r.bytes = number(m[1], "size")
			}
			rows = append(rows, r)
		}
		r := rows[len(rows)-1]
		e := r.find(impl)
		if e == nil {
			e = &entry{impl: impl}
			r.entries = append(r.entries, e)
		}
		ns, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		e.ns = append(e.ns, ns)
	}
	if rows == nil {
		return nil, fmt.Errorf("%s: no measurements", name)
	}
	return rows, nil
}

// number returns the value of a key in the name of a row, 0 if it has none.
func number(name, key string) int {
	_, rest, _ := strings.Cut(name, "/"+key+"=")
	digits, _, _ := strings.Cut(rest, "/")
	n, _ := strconv.Atoi(digits) // 0 if there are none
	return n
}

// writeResults writes a result record for each claim.
func writeResults(path string, rows []*row, rounds int) error {
	root, err := record.Root(".")
	if err != nil {
		return err
	}
	tree, err := record.Tree(root)
	if err != nil {
		return err
	}
	var list []record.Result
	for _, o := range outcomes(rows) {
		result := record.Holds
		if !o.holds {
			result = record.Violated
		}
		list = append(list, record.Result{
			Format: 1, Command: "bench", Property: o.id, Method: "alternating rounds", Judge: o.it, Count: rounds, Unit: "rounds",
			Result: result, Detail: fmt.Sprintf("%s: %.2f, aim %s", o.text, o.ratio, o.aim()), Tree: tree, Env: record.Here(),
		})
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := record.Write(f, list); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
