// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"tunproof/fuzz/record"
)

// again has what runs a claim again, by the kind of its properties. The sources of the evidence run more commands.
var again = []struct {
	Source
	seeded bool // it has the flag -seed
	of     func(p record.Property) bool
}{
	{Source{Name: "verify", Command: []string{program, "verify", "-checks", "20000", "-fuzz", "100000", "-live", "0", "-json", "-run", properties}}, true,
		func(p record.Property) bool {
			return p.Kind != record.Kernel && p.Kind != record.Device && p.ID != "mutants" && p.ID != "proof"
		}},
	{Source{Name: "live", Command: []string{program, "live", "-count", "50000", "-json", "-run", properties}}, true,
		func(p record.Property) bool { return p.Kind == record.Kernel }},
	{Source{Name: "kernels", Command: []string{program, "kernels", "-json"}}, true,
		func(p record.Property) bool { return p.Kind == record.Device }},
	{Source{Name: planted, Command: []string{program, "mutants", "-state", ".cache/mutants.jsonl", "-json"}}, false,
		func(p record.Property) bool { return p.ID == "mutants" }},
	{Source{Name: "proofs", Command: []string{"make", "prove", "FRESH=1", "RECORDS=" + records}}, false,
		func(p record.Property) bool { return p.ID == "proof" }},
}

// These stand for the regular expression that selects rows, and for the file of records.
const (
	properties = "PROPERTIES"
	records    = "RECORDS"
)

// recorded as a seed means the seed of the evidence.
const recorded = "recorded"

// commands returns the sources that run a claim again, with a seed.
func (c Claim) commands(seed func(source string) (uint64, error)) (list []Source, err error) {
	for _, a := range again {
		var ids []string
		for _, id := range c.Properties {
			if a.of(record.PropertyOf(id)) {
				ids = append(ids, id)
			}
		}
		if ids == nil {
			continue
		}
		s := a.Source
		s.stdout, s.File = a.Name != "proofs", filepath.Join(".cache", "evidence", c.ID+"-"+strings.ReplaceAll(s.Name, " ", "-")+".jsonl")
		s.Command = slices.Clone(s.Command)
		for i, arg := range s.Command {
			if arg == properties {
				s.Command[i] = "^(" + strings.Join(ids, "|") + ")\\b"
			}
			if arg == "RECORDS="+records {
				s.Command[i] = "RECORDS=" + s.File
			}
		}
		if a.seeded {
			n, err := seed(s.Name)
			if err != nil {
				return nil, err
			}
			s.Command = append(s.Command, "-seed", fmt.Sprint(n))
		}
		list = append(list, s)
	}
	return list, nil
}

// latest returns the newest results.json of the evidence and the name of its directory.
func latest(root string) (*Results, string, error) {
	names, err := filepath.Glob(filepath.Join(root, "docs", "evidence", "*", "results.json"))
	if err != nil || len(names) == 0 {
		return nil, "", errors.Join(err, errors.New("docs/evidence has no results.json"))
	}
	var newest *Results
	var dir string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, "", err
		}
		r := new(Results)
		if err := json.Unmarshal(b, r); err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		if newest == nil || r.Date > newest.Date {
			newest, dir = r, "docs/evidence/"+filepath.Base(filepath.Dir(name))
		}
	}
	return newest, dir, nil
}

// claimOf returns the claim with an ID.
func claimOf(id string) (Claim, error) {
	var ids []string
	for _, c := range Claims {
		if strings.EqualFold(c.ID, id) {
			if c.Retired != "" {
				return c, fmt.Errorf("%s is no longer claimed: %s", c.ID, c.Retired)
			}
			return c, nil
		}
		ids = append(ids, c.ID)
	}
	return Claim{}, fmt.Errorf("there is no claim %q; the claims are %s", id, strings.Join(ids, ", "))
}

// runAgain runs the commands that check a claim, and compares their records with those of the
// newest evidence. seed is a number, "recorded", or "" for a random one. It returns the exit
// code.
func runAgain(ctx context.Context, root, id, seed string, out, progress io.Writer) (int, error) {
	c, err := claimOf(id)
	if err != nil {
		return record.ExitUsage, err
	}
	before, dir, err := latest(root)
	if err != nil {
		return record.ExitUsage, err
	}
	newest := c.newest(root)
	newer := !slices.ContainsFunc(before.Claims, func(r ClaimResult) bool { return r.ID == c.ID })
	if newer && len(newest.Claims[0].Rows) == 0 {
		return record.ExitUsage, fmt.Errorf("neither %s nor %s has records of %s", dir, record.Data, c.ID)
	}
	drawn := rand.Uint64()
	list, err := c.commands(func(source string) (uint64, error) {
		switch seed {
		case "":
			return drawn, nil
		case recorded:
			at := slices.IndexFunc(before.Sources, func(s SourceResult) bool { return s.Name == source })
			if at < 0 || before.Sources[at].Seed == 0 {
				return 0, fmt.Errorf("%s has no seed of %s", dir, source)
			}
			return before.Sources[at].Seed, nil
		}
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("-seed %s: it must be a number or %q", seed, recorded)
		}
		return n, nil
	})
	if err != nil {
		return record.ExitUsage, err
	}
	var rows []record.Result
	for _, s := range list {
		if err := s.run(ctx, root, progress); err != nil {
			return record.ExitUsage, err
		}
		more, err := record.ReadFile(filepath.Join(root, s.File))
		if err != nil {
			return record.ExitUsage, err
		}
		rows = append(rows, more...)
	}
	if newer {
		fmt.Fprintf(out, "%s has no claim %s, which is newer. It is compared with the newest records, in %s.\n", dir, c.ID, record.Data)
		before, dir = newest, record.Data
	} else if tree, err := record.Tree(root); err == nil && tree != before.Tree {
		fmt.Fprintf(out, "%s is of the tree %s. This tree is %s: a result may differ because the code does.\n", dir, before.Tree, tree)
	}
	return c.compare(before, dir, rows, list, out)
}

// newest returns what the newest records say of a claim.
func (c Claim) newest(root string) *Results {
	var rows []record.Result
	for _, s := range Sources {
		if strings.HasPrefix(s.File, record.Data+"/") {
			list, _ := record.ReadFile(filepath.Join(root, s.File)) // some have other lines, and some are not there
			rows = append(rows, list...)
		}
	}
	return &Results{Claims: []ClaimResult{c.result(rows, nil)}}
}

// quoted matches the arguments that a shell would change.
var quoted = regexp.MustCompile(`\S*[|()^]\S*`)

// compare prints the records of a claim beside those of the evidence. It returns the exit code.
func (c Claim) compare(before *Results, dir string, rows []record.Result, list []Source, out io.Writer) (int, error) {
	now := c.result(rows, nil)
	var then []Row
	if at := slices.IndexFunc(before.Claims, func(r ClaimResult) bool { return r.ID == c.ID }); at >= 0 {
		then = before.Claims[at].Rows
	}
	fmt.Fprintf(out, "%s: %s\n%s\n\n", c.ID, c.Title, c.Says())
	if at := slices.IndexFunc(before.Claims, func(r ClaimResult) bool { return r.ID == c.ID && r.Says != c.Says() }); at >= 0 {
		fmt.Fprintf(out, "In %s it says: %s\n\n", dir, before.Claims[at].Says)
	}
	for _, s := range list {
		fmt.Fprintf(out, "    %s\n", quoted.ReplaceAllString(s.command(), "'$0'"))
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "PROPERTY\tMETHOD\t%s\tNOW\n", strings.ToUpper(filepath.Base(dir)))
	text := func(r Row) string {
		if r.Result == record.NotRun {
			return r.Result
		}
		return fmt.Sprintf("%d %s: %s", r.Count, r.Unit, r.Result)
	}
	known := func(r Row) int {
		return slices.IndexFunc(then, func(o Row) bool {
			return o.Command == r.Command && o.Property == r.Property && o.Method == r.Method
		})
	}
	var other []string
	met := map[int]bool{}
	for _, r := range now.Rows {
		was := "no such row"
		if at := known(r); at >= 0 {
			met[at] = true
			if was = text(then[at]); then[at].Result != r.Result {
				other = append(other, fmt.Sprintf("%s %s was %s and is %s", r.Property, r.Method, then[at].Result, r.Result))
			}
		}
		fmt.Fprintf(w, "%s\t%s: %s\t%s\t%s\n", r.Property, r.Command, r.Method, was, text(r))
		if r.Result == record.Violated {
			fmt.Fprintf(w, "\t  %s\t\t\n", strings.SplitN(r.Detail, "\n", 2)[0])
		}
	}
	if err := w.Flush(); err != nil {
		return record.ExitUsage, err
	}
	left := map[string]int{}
	for i, r := range then {
		if !met[i] {
			left[r.Command]++
		}
	}
	for _, r := range slices.Sorted(maps.Keys(left)) {
		fmt.Fprintf(out, "not run again: %s of the command %s\n", record.Count(left[r], "row"), r)
	}
	switch {
	case len(met) == 0:
		fmt.Fprintf(out, "\n%s %s; %s has none of these rows\n", c.ID, now.Result, dir)
	case len(met) < len(now.Rows) && len(other) == 0:
		fmt.Fprintf(out, "\n%s %s, as in %s, which lacks %s\n", c.ID, now.Result, dir, record.Count(len(now.Rows)-len(met), "row"))
	case len(other) > 0:
		fmt.Fprintf(out, "\n%s is not as in %s: %s\n", c.ID, dir, strings.Join(other, "; "))
	default:
		fmt.Fprintf(out, "\n%s %s, as in %s\n", c.ID, now.Result, dir)
	}
	switch now.Result {
	case record.Violated:
		return record.ExitViolation, nil
	case record.NotRun:
		return record.ExitNothing, errors.New("a property of the claim was not run")
	}
	return record.ExitHolds, nil
}
