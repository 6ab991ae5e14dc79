// SPDX-License-Identifier: MIT

package kernel

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/tunlive"
)

// Run checks K1 to K5 with this machine's kernel, in network namespaces of its own, and
// collects the result records.
type Run struct {
	record.Collector
	Seed   uint64
	Time   time.Duration // total time, roughly
	Count  int           // batches for K2 and for K3, instead of a time; 0 for a time
	Supers int           // superpackets for K1, if Count is set
	Share  int           // percentage of K5's traffic; 0 for what fits Time
	State  string        // file that keeps the progress of a run with Count; "" for none

	kernel *Kernel
	done   progress
	met    map[string]*Tally // counts by property
	paths  []string          // a line for each path of K5
}

// progress is the state of a run, kept to resume it.
type progress struct {
	Seed  uint64                `json:"seed"`
	Of    string                `json:"of"` // tree, kernel and user; a state of others is not resumed
	Parts map[string]*partState `json:"parts"`
}

// partState is the progress of one part.
type partState struct {
	Scenarios int     `json:"scenarios"`
	Seconds   float64 `json:"seconds"`
	Tally     Tally   `json:"tally"`
}

// chunk is the number of scenarios that are drawn from one seed.
const chunk = 500

// Ask runs all checks. The process enters namespaces of its own and stays in them. If
// the machine lacks something that a check needs, its record is "not run". With
// TUNLIVE=require that is an error instead.
func (r *Run) Ask() error {
	r.met = map[string]*Tally{}
	var missing *tunlive.Missing
	if err := tunlive.Enter(); errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require" {
		r.nothing(err)
	} else if err != nil {
		return err
	} else if err := r.run(); err != nil {
		return err
	}
	r.Stamp()
	if r.kernel != nil {
		for i := range r.Rows {
			r.Rows[i].Features = r.kernel.Features
		}
	}
	return nil
}

// Print writes the table of records and the counts of answers as text.
func (r *Run) Print(out io.Writer) {
	r.Table(out)
	for _, property := range slices.Sorted(maps.Keys(r.met)) {
		fmt.Fprintf(out, "\n%s met\n", property)
		for _, l := range r.met[property].Lines() {
			fmt.Fprintf(out, "  %s\n", l)
		}
	}
	if len(r.paths) > 0 {
		fmt.Fprintf(out, "\nK5 carried\n  %s\n", strings.Join(r.paths, "\n  "))
	}
}

// nothing adds a "not run" record with a reason for every row.
func (r *Run) nothing(why error) {
	for _, row := range Rows() {
		if property, method, _ := strings.Cut(row, " "); r.Only.MatchString(row) {
			r.Rows = append(r.Rows, record.Result{Property: property, Method: method, Judge: "kernel", Result: record.NotRun, Detail: why.Error()})
		}
	}
}

func (r *Run) run() (err error) {
	if err := r.load(); err != nil {
		return err
	}
	if r.kernel, err = Open(); err != nil {
		return err
	}
	defer r.kernel.Close()
	if missing := r.kernel.Unexpected(); len(missing) > 0 && os.Getenv("TUNLIVE") == "require" {
		return fmt.Errorf("TUNLIVE=require, but this machine lacks: %s", strings.Join(missing, "; "))
	}
	start := time.Now()
	r.Say("Linux %s, seed %d", record.Here().Kernel, r.done.Seed)
	r.Say("features: %s", features(r.kernel.Features))
	for _, p := range r.kernel.Stated() {
		if err := r.stated(p); err != nil {
			return err
		}
	}
	if err := r.endToEnd(); err != nil {
		return err
	}
	if err := r.allRandom(start); err != nil {
		return err
	}
	switch {
	case r.Ctx.Err() != nil:
		r.NotRun("all", "the rest", "", "interrupted")
	case r.violated():
		r.NotRun("all", "the rest", "", "stopped at the first difference")
	}
	return nil
}

// allRandom runs the parts on generated scenarios, each for its share of the time.
func (r *Run) allRandom(start time.Time) error {
	all := r.kernel.Parts()
	parts := slices.DeleteFunc(all, func(p Part) bool {
		if p.Oracle.Missing != nil {
			r.NotRun(p.Property, p.Method(), "kernel", p.Oracle.Missing.Error())
		}
		return p.Oracle.Missing != nil || !r.Wanted(p.Property, p.Method())
	})
	weights, of := 0, map[string]int{}
	for _, p := range parts {
		weights += p.Weight
		of[p.Property]++
	}
	for _, p := range parts {
		left := max(r.Time-time.Since(start), time.Second)
		count := r.Count // shared by the parts of a property
		if p.Supers {
			count = r.Supers
		}
		count = (count + of[p.Property] - 1) / of[p.Property]
		if err := r.random(p, left*time.Duration(p.Weight)/time.Duration(weights), count); err != nil {
			return err
		}
		weights -= p.Weight
	}
	return nil
}

// violated reports whether a property was violated. A run stops at the first violation.
func (r *Run) violated() bool {
	return slices.ContainsFunc(r.Rows, func(row record.Result) bool { return row.Result == record.Violated })
}

// features returns the features as text.
func features(f tunlive.Features) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		not := ""
		if !f[name] {
			not = "no "
		}
		list = append(list, not+name)
	}
	return strings.Join(list, ", ")
}

// load reads the state file, if it exists.
func (r *Run) load() error {
	r.done.Seed, r.done.Parts = r.Seed, map[string]*partState{}
	tree, env := record.Current()
	r.done.Of = fmt.Sprintf("tree %s, Linux %s, user %d", tree, env.Kernel, os.Getuid())
	resumed, err := file.Load(r.State, &r.done, &r.done.Of)
	if resumed {
		r.Say("resuming %s", r.State)
	}
	return err
}

// save writes the state file.
func (r *Run) save() error { return file.Save(r.State, r.done) }

// stated runs a part over the repository's own input.
func (r *Run) stated(p Part) error {
	if p.Oracle.Missing != nil {
		r.NotRun(p.Property, p.Method(), "kernel", p.Oracle.Missing.Error())
	}
	if p.Oracle.Missing != nil || !r.Wanted(p.Property, p.Method()) || r.Ctx.Err() != nil || r.violated() {
		return nil
	}
	r.Say("%s %s", p.Property, p.Method())
	start := time.Now()
	var t Tally
	err := p.Check(nil, &t)
	if err != nil && !law.IsViolation(err) {
		return err
	}
	r.judged(p, t, 0, start, err)
	return nil
}

// judged adds the result record of a part. A part of K1 has a second record for K4. K1
// counts the superpackets that were cut. K4 counts those that were refused or dropped, and
// known divergences.
func (r *Run) judged(p Part, t Tally, seed uint64, start time.Time, err error) {
	if t.Rounds == 0 && err == nil {
		r.NotRun(p.Property, p.Method(), "kernel", "the kernel was asked nothing")
		return
	}
	row := record.Result{Property: p.Property, Method: p.Method(), Judge: "kernel", Count: t.Rounds, Unit: p.Unit, Seed: seed}
	if p.Property == "K1" && !p.Reads {
		k4 := row
		k4.Property, k4.Count, k4.Unit = "K4", t.Refusals(), "refusals"
		row.Count -= k4.Count
		var v *law.Violation
		if errors.As(err, &v) && v.Property == "K4" {
			r.Add(k4, start, err)
			err = nil
		} else {
			r.Add(k4, start, nil)
		}
	}
	r.Add(row, start, err)
	if r.met[p.Property] == nil {
		r.met[p.Property] = &Tally{}
	}
	r.met[p.Property].Add(t)
}

// random runs a part on generated scenarios, for a time or up to a count.
func (r *Run) random(p Part, limit time.Duration, count int) error {
	if r.violated() || r.Ctx.Err() != nil {
		return nil
	}
	name := p.Property + " " + p.Method()
	done := r.done.Parts[name]
	if done == nil {
		done = &partState{}
		r.done.Parts[name] = done
	}
	start := time.Now()
	before, rounds, said := done.Seconds, done.Tally.Rounds, start
	more := func() bool {
		if count > 0 {
			return done.Tally.Rounds < count
		}
		return time.Since(start) < limit
	}
	var found *draw.Finding
	for more() && found == nil && r.Ctx.Err() == nil {
		source := draw.NewSource(draw.Kinds{Batches: !p.Supers, Supers: p.Supers && !p.Tunnels, Tunnels: p.Tunnels}, record.Seed(r.done.Seed, name, done.Scenarios/chunk))
		var tally Tally // of this chunk
		var broken error
		n, f := draw.Check(r.Ctx, source, chunk, func(s *scenario.Scenario, small bool) error {
			t := &tally
			if small {
				t = &Tally{}
			}
			err := p.Check(s, t)
			if law.IsViolation(err) {
				return err
			}
			if !small {
				broken = err // an error of the harness is not a violation
				return err
			}
			return nil
		})
		if broken != nil {
			return broken
		}
		found = f
		if r.Ctx.Err() == nil {
			done.Scenarios += n
			done.Tally.Add(tally)
		}
		done.Seconds = before + time.Since(start).Seconds()
		if time.Since(said) > 2*time.Second || !more() || found != nil {
			r.Say("%s: %d %s, %.0f a second", name, done.Tally.Rounds, p.Unit, float64(done.Tally.Rounds-rounds)/time.Since(start).Seconds())
			said = time.Now()
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	var failed error
	if found != nil {
		failed = found.Err
		law.PrintCases(r.Progress, found.Scenario, record.LawOf(p.Property), fmt.Sprintf("live -seed %d, %s, Linux %s", r.done.Seed, name, record.Here().Kernel))
	}
	r.judged(p, done.Tally, r.done.Seed, time.Now().Add(-time.Duration(done.Seconds*float64(time.Second))), failed)
	return nil
}

// share returns the percentage of K5's traffic to send: all of it in a run of a minute or
// more, less in a shorter one. So every path is run in any time.
func (r *Run) share() int {
	if r.Share > 0 {
		return r.Share
	}
	if r.Count > 0 {
		return 100
	}
	return int(min(100, max(5, 100*r.Time/time.Minute)))
}

// endToEnd checks K5 on every path.
func (r *Run) endToEnd() error {
	for _, p := range Paths {
		switch {
		case !r.Wanted("K5", p.Name) || r.Ctx.Err() != nil || r.violated():
			continue
		case r.kernel.Cuts[0].Missing != nil:
			r.NotRun("K5", p.Name, "kernel", r.kernel.Cuts[0].Missing.Error())
			continue
		}
		r.Say("K5 %s", p.Name)
		begin := time.Now()
		report, err := EndToEnd(r.Ctx, p.Share(r.share()), r.done.Seed, r.kernel.Features["uso"])
		if r.Ctx.Err() != nil {
			return nil
		}
		if err != nil && !law.IsViolation(err) {
			return fmt.Errorf("K5 %s: %w", p.Name, err)
		}
		r.Add(record.Result{Property: "K5", Method: p.Name, Judge: "sockets", Count: int(report.Packets), Unit: "packets", Seed: r.done.Seed}, begin, err)
		r.paths = append(r.paths, fmt.Sprintf("%s: %d bytes of TCP, %d of %d datagrams; %d superpackets in, %d out; %d lost, %d doubled, %d swapped on the way",
			p.Name, report.Bytes, report.Received, report.Sent, report.Superpackets, report.Written, report.Lost, report.Doubled, report.Swapped))
	}
	return nil
}
