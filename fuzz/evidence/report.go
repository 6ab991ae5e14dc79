// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"

	"tunproof/fuzz/record"
)

//go:embed report.md.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"join": strings.Join, "short": Short, "total": total, "kernels": kernelNames, "bugs": bugs,
}).Parse(reportText))

// environment is the content of env.json.
type environment struct {
	record.Env
	Ran     []record.Env      `json:"ran"` // environments in which records were made
	Tools   map[string]string `json:"tools"`
	Kernels map[string]string `json:"kernels"` // releases of the kernels that were asked, by series
}

// add adds the environments of a source's records, except virtual machines.
func (e *environment) add(g *gathered) {
	var list []record.Env
	for _, r := range g.rows {
		if r.Command != "kernels" {
			list = append(list, r.Env)
		}
	}
	for _, o := range g.others {
		list = append(list, o.Env)
	}
	for _, one := range list {
		if !slices.Contains(e.Ran, one) {
			e.Ran = append(e.Ran, one)
		}
	}
}

// Options are the options of Gather.
type Options struct {
	Root, Out     string // checkout and output; if Out is "" it is a directory in docs/evidence of Root
	Version, Date string
	RunMissing    bool
	Progress      io.Writer
}

// ErrDirty means that the tree has uncommitted changes.
var ErrDirty = errors.New("the tree has uncommitted changes; commit or stash them first")

// Gather writes the evidence of the tree and returns the content of results.json. It writes
// everything or nothing.
func Gather(ctx context.Context, o Options) (*Results, error) {
	if changed, err := dirty(ctx, o.Root); err != nil {
		return nil, err
	} else if changed != "" {
		return nil, fmt.Errorf("%w:\n%s", ErrDirty, changed)
	}
	dir := o.Out
	if dir == "" {
		dir = filepath.Join(o.Root, "docs", "evidence", o.Version+"-"+o.Date)
	}
	if err := vacant(dir); err != nil {
		return nil, err // check this before hours of work
	}
	tree, err := record.Tree(o.Root)
	if err != nil {
		return nil, err
	}
	commit, err := git(ctx, o.Root, "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	list, missing, err := gather(ctx, o.Root, tree, o.RunMissing, o.Progress)
	for _, m := range missing {
		fmt.Fprintln(o.Progress, "evidence:", m)
	}
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", tree, err)
	}
	r, err := results(list)
	if err != nil {
		return nil, err
	}
	r.Version, r.Date, r.Tree, r.Commit = o.Version, o.Date, tree, strings.TrimSpace(commit)
	files, err := r.files(o.Root, list, drawn)
	if err != nil {
		return nil, err
	}
	return r, writeAll(dir, files)
}

// files returns the files of the directory, by name. drawn is the sample size of the
// picture of inputs.
func (r *Results) files(root string, list []*gathered, drawn int) (map[string][]byte, error) {
	files := map[string][]byte{"results.schema.json": schema}
	var err error
	if files["results.json"], err = r.encode(); err != nil {
		return nil, err
	}
	var rows []record.Result
	for _, g := range list {
		files[g.kept()] = g.raw
		if g.Name == "kernels" {
			rows = g.rows
		}
	}
	env := environment{Env: record.Here(), Tools: tools(), Kernels: map[string]string{}}
	for _, row := range rows {
		if row.Env.Kernel != "" {
			env.Kernels[row.Judge] = row.Env.Kernel
		}
	}
	for _, g := range list {
		env.add(g)
	}
	if files["env.json"], err = json.MarshalIndent(env, "", " "); err != nil {
		return nil, err
	}
	for name, picture := range map[string]func() ([]byte, error){
		"inputs.svg":   func() ([]byte, error) { return inputsPicture(drawn, 1) },
		"captures.svg": capturesPicture,
		"speed.svg":    func() ([]byte, error) { return speedPicture(root) },
		"kernels.svg":  func() ([]byte, error) { return kernelsPicture(rows) },
		"others.svg":   func() ([]byte, error) { return othersPicture(r.Others) },
	} {
		if files[name], err = picture(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var report bytes.Buffer
	if err := reportTemplate.Execute(&report, struct {
		*Results
		Env environment
	}{r, env}); err != nil {
		return nil, err
	}
	files["report.md"] = report.Bytes()
	files[Manifest] = manifest(files)
	return files, nil
}

// tools returns the versions of the tools that other programs used.
func tools() map[string]string {
	list := map[string]string{"go": runtime.Version()}
	for _, t := range [][]string{{"clang-19", "--version"}, {"qemu-s390x-static", "--version"}} {
		if out, err := exec.Command(t[0], t[1:]...).Output(); err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			list[t[0]] = first
		}
	}
	return list
}

// total returns as text how much was judged for a claim, by unit.
func total(c ClaimResult) string {
	sums, units := map[string]int{}, []string{}
	for _, row := range c.Rows {
		unit := row.Unit
		if row.Command == "mutants" { // "detected of 243"
			unit = "mutants " + unit
		}
		if row.Count > 0 && !slices.Contains(units, unit) {
			units = append(units, unit)
		}
		sums[unit] += row.Count
	}
	slices.SortStableFunc(units, func(a, b string) int { return sums[b] - sums[a] })
	var list []string
	for _, u := range units {
		list = append(list, Short(sums[u])+" "+u)
	}
	return strings.Join(list, ", ")
}

// bugs returns two cells: the number of planted bugs that a claim's properties detect, and
// the number that they alone detect.
func bugs(c ClaimResult) string {
	if (Claim{Properties: c.Properties}).methods() == nil {
		return "- | -"
	}
	return fmt.Sprintf("%d | %d", c.Noticed, c.Alone)
}

// kernelNames returns as text which kernels were asked.
func kernelNames(list []string) string {
	if len(list) <= 1 {
		return strings.Join(list, "")
	}
	return fmt.Sprintf("%d kernels", len(list))
}

// Block returns the table for README.md, between its two evidence lines.
func (r *Results) Block(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| claim | what was judged, by [the evidence of %s](%s/report.md), at commit %.7s | result |\n|---|---|---|\n", r.Date, dir, r.Commit)
	for _, c := range r.Claims {
		fmt.Fprintf(&b, "| %s %s | %s | %s |\n", c.ID, c.Title, total(c), c.Result)
	}
	fmt.Fprintf(&b, "\n**Cite** as *The tunproof authors: tunproof, packet offload for TUN devices, version %s, evidence of %s, claim C-01*, or the software by .github/CITATION.cff.\n", r.Version, r.Date)
	return b.String()
}
