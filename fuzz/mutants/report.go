// SPDX-License-Identifier: MIT

package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"tunproof/fuzz/record"
)

// Line is a verdict as a file of results stores it.
type Line struct {
	ID      string  `json:"id"`
	About   string  `json:"about"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Source  string  `json:"source,omitempty"` // only if the mutant was not detected
	Status  string  `json:"status"`
	By      string  `json:"by,omitempty"`      // the methods that detected it, separated by spaces
	Test    string  `json:"test,omitempty"`    // the failing test of the first method
	Seconds float64 `json:"seconds,omitempty"` // until the first failure
}

// NewLine returns the line for a verdict. If the mutant is listed as equivalent, the
// line leaves the argument out: the ID identifies it.
func NewLine(v Verdict, equivalent map[string]Equivalent) Line {
	l := Line{ID: v.ID, About: v.About, File: v.File, Line: v.Line, Status: v.Status}
	slices.SortStableFunc(v.Kills, func(a, b Kill) int { return rank(a.Method) - rank(b.Method) })
	var by []string
	for _, k := range v.Kills {
		name := k.Method
		if k.How == hangs {
			name += "!"
		}
		by = append(by, name)
	}
	l.By = strings.Join(by, " ")
	if len(v.Kills) > 0 {
		l.Test, l.Seconds = v.Kills[0].By, float64(int(v.Kills[0].Seconds*100))/100
	}
	if v.Status == Survived {
		l.Source = v.Source
		if e, listed := equivalent[v.ID]; listed && e.Source == v.Source {
			l.Status = Listed
		}
	}
	return l
}

// Unseen reports whether the mutant was detected, but not by the kernel.
func (l Line) Unseen() bool { return l.By != "" && !strings.HasPrefix(l.By, "kernel") }

// These are further values of Status. Listed is for mutants that survived and are
// listed as equivalent, CorpusOnly for planted bugs that only a corpus case detected.
const (
	Listed     = "equivalent"
	CorpusOnly = "corpus only"
)

// rank returns the place of a method in the order of Methods.
func rank(method string) int { return slices.Index(Methods(), method) }

// Results is the content of a file of results: what was run, and a line for each
// mutant.
type Results struct {
	record.Result
	Package string // if it is none of the suites
	Lines   []Line
}

// ReadResults reads a file of results. If the file does not exist, the results are
// empty.
func ReadResults(name string) (Results, error) {
	var r Results
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	if err := d.Decode(&r.Result); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	for {
		var l Line
		if err := d.Decode(&l); err == io.EOF {
			return r, nil
		} else if err != nil {
			return r, fmt.Errorf("%s, line %d: %w", name, len(r.Lines)+2, err)
		}
		r.Lines = append(r.Lines, l)
	}
}

// Bytes returns the content of the file.
func (r Results) Bytes() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(r.Result) // to memory
	for _, l := range r.Lines {
		_ = e.Encode(l)
	}
	return b.Bytes()
}

// Count returns the number of lines with a status.
func (r Results) Count(status string) int {
	n := 0
	for _, l := range r.Lines {
		if l.Status == status {
			n++
		}
	}
	return n
}

// Noticed returns the number of mutants that the tests detected.
func (r Results) Noticed() int { return r.Count(Killed) + r.Count(TimedOut) }

// Judged returns the number of mutants that could be detected: they compile, and to other
// machine code than the original.
func (r Results) Judged() int {
	return len(r.Lines) - r.Count(NotViable) - r.Count(Same)
}

// methodRow counts the mutants that one method detected.
type methodRow struct {
	Method       string
	Noticed      int
	Alone        int
	NoticedNames []string
}

// ByMethod returns the totals of the kill matrix, a row for each method.
func (r Results) ByMethod() []methodRow {
	var rows []methodRow
	for _, m := range Methods() {
		row := methodRow{Method: m}
		for _, l := range r.Lines {
			by := strings.Fields(strings.ReplaceAll(l.By, "!", ""))
			if slices.Contains(by, m) {
				row.Noticed++
				if len(by) == 1 {
					row.Alone++
					row.NoticedNames = append(row.NoticedNames, l.ID)
				}
			}
		}
		if row.Noticed > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// groupRow counts the mutants of a file or of an operator.
type groupRow struct {
	Name                                       string
	Mutants, Noticed, TimedOut, Equal, Escaped int
	NotViable                                  int
}

// By groups the lines: by "file" or by "operator".
func (r Results) By(what string) []groupRow {
	rows := map[string]*groupRow{}
	for _, l := range r.Lines {
		name := strings.TrimPrefix(l.File, "offload/")
		if what == "operator" {
			name = strings.Split(l.ID, ":")[2]
		}
		row := rows[name]
		if row == nil {
			row = &groupRow{Name: name}
			rows[name] = row
		}
		row.Mutants++
		switch l.Status {
		case Killed:
			row.Noticed++
		case TimedOut:
			row.Noticed++
			row.TimedOut++
		case Same, Listed:
			row.Equal++
		case NotViable:
			row.NotViable++
		default:
			row.Escaped++
		}
	}
	var list []groupRow
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, *rows[name])
	}
	return list
}

// Alike returns the number of lines that are equivalent or compile to the same.
func (r Results) Alike() int { return r.Count(Same) + r.Count(Listed) }

// With returns the lines with a status.
func (r Results) With(status string) []Line {
	return slices.DeleteFunc(slices.Clone(r.Lines), func(l Line) bool { return l.Status != status })
}

// Only returns the lines of mutants that one method alone detected.
func (r Results) Only(method string) []Line {
	return slices.DeleteFunc(slices.Clone(r.Lines), func(l Line) bool { return strings.TrimSuffix(l.By, "!") != method })
}

// Has returns the number of mutants that a method detected.
func (r Results) Has(method string) int {
	n := 0
	for _, l := range r.Lines {
		if slices.Contains(strings.Fields(strings.ReplaceAll(l.By, "!", "")), method) {
			n++
		}
	}
	return n
}

// files names the files of results, by what the pages call them.
var files = map[string]string{"planted": "planted-bugs.jsonl", "harness": "harness.jsonl", "offload": "offload.jsonl", "deep": "deep.jsonl", "model": "model.jsonl", "assembly": "assembly.jsonl"}

// ResultsFile returns the newest file of results of a suite: planted, harness, offload,
// model, or deep.
func ResultsFile(root, suite string) string { return record.DataFile(root, files[suite]) }

// Report writes docs/mutation.md from the newest results of a checkout. With rows it writes
// the page next to the data, which has a row for each mutant.
func Report(w io.Writer, root string, rows bool) error {
	data := map[string]any{"Arguments": argued(), "All": len(Equivalents)}
	for name := range files {
		r, err := ReadResults(ResultsFile(root, name))
		if err != nil {
			return err
		}
		if r.Lines != nil {
			data[name] = r
		}
	}
	var err error
	if data["exhaustive"], err = record.ReadFile(record.DataFile(root, "exhaustive.jsonl")); err != nil {
		return err
	}
	refuted, err := readRefuted(record.DataFile(root, "refuted.jsonl"))
	if err != nil {
		return err
	}
	data["refuted"] = refuted
	if data["packages"], err = readPackages(root); err != nil {
		return err
	}
	if rows {
		return rowsPage.Execute(w, data)
	}
	return page.Execute(w, data)
}

// Refutation is what the proofs say of a planted bug in a translated function. make prove
// PLANTED=1 writes them, one JSON object a line.
type Refutation struct {
	Bug  string `json:"bug"`
	By   string `json:"by"`   // the group of theorems that is false with it, "" if none is
	Case bool   `json:"case"` // the counterexample is a case that replay finds violated
}

// refutations has the bugs in functions that the proofs are about.
type refutations map[string]Refutation

// readRefuted reads the file that make prove PLANTED=1 writes. Without it there are none.
func readRefuted(name string) (refutations, error) {
	all := refutations{}
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	} else if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var r Refutation
		if err := d.Decode(&r); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[r.Bug] = r
	}
}

// Of returns the cell of a bug in the table.
func (rs refutations) Of(bug string) string {
	r, in := rs[bug]
	switch {
	case !in:
		return ""
	case r.By == "":
		return "none"
	case r.Case:
		return r.By + ", a case"
	}
	return r.By
}

// Refuted returns the number of bugs that a theorem refutes, Cases that of those with a case.
func (rs refutations) Refuted() (n int) {
	for _, r := range rs {
		if r.By != "" {
			n++
		}
	}
	return n
}

func (rs refutations) Cases() (n int) {
	for _, r := range rs {
		if r.Case {
			n++
		}
	}
	return n
}

// readPackages reads the results of mutations of other packages than offload and the model.
func readPackages(root string) (list []Results, err error) {
	names, err := filepath.Glob(record.DataFile(root, "*.jsonl"))
	for _, name := range names {
		pkg := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(name), ".jsonl"), "-", "/")
		if info, err := os.Stat(filepath.Join(root, pkg)); pkg == "offload" || pkg == "model" || err != nil || !info.IsDir() {
			continue
		}
		r, err := ReadResults(name)
		if err != nil {
			return nil, err
		}
		r.Package = pkg
		list = append(list, r)
	}
	return list, err
}

// argument is a reason for equivalence, with the mutations that it applies to.
type argument struct {
	Why  string
	List []Equivalent
}

// argued returns all arguments.
func argued() (list []argument) {
	for _, key := range slices.Sorted(maps.Keys(Arguments)) {
		a := argument{Why: Arguments[key]}
		for _, e := range Equivalents {
			if e.Why == key {
				a.List = append(a.List, e)
			}
		}
		list = append(list, a)
	}
	return list
}

// cell escapes text for a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "`", "'").Replace(s)
}

var funcs = template.FuncMap{"cell": cell, "minutes": func(s float64) string { return fmt.Sprintf("%.1f", s/60) },
	"percent": func(a, b int) string { return fmt.Sprintf("%.1f", 100*float64(a)/float64(max(1, b))) },
	"code":    func(s string) string { return "`" + strings.ReplaceAll(s, "|", "\\|") + "`" },
	"sub":     func(a, b int) int { return a - b }}

var (
	page     = template.Must(template.New("").Funcs(funcs).Parse(pageText))
	rowsPage = template.Must(template.New("").Funcs(funcs).Parse(rowsText))
)
