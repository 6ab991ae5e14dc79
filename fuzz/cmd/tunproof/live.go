package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tunproof/fuzz/live"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
	"tunproof/tunlive"
)

// liveRun is one run of live.
type liveRun struct {
	results
	kernel *live.Kernel
	state  liveState
	file   string                 // of the state
	time   time.Duration          // of everything
	count  int                    // batches of K2 and of K3, instead of a time
	supers int                    // superpackets of K1, with count
	share  int                    // percent of K5's traffic
	met    map[string]*live.Tally // by property
	paths  []string               // what went end to end
}

// liveState is how far a run has come, to go on from.
type liveState struct {
	Seed  uint64                `json:"seed"`
	Of    string                `json:"of"` // the sources, the kernel and the user that it is of
	Parts map[string]*partState `json:"parts"`
}

type partState struct {
	Scenarios int        `json:"scenarios"`
	Seconds   float64    `json:"seconds"`
	Tally     live.Tally `json:"tally"`
}

var kernelProperties = []string{"K1", "K2", "K3", "K4", "K5"}

// chunk is how many scenarios are drawn from one seed.
const chunk = 500

func liveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("live", flag.ContinueOnError)
	r := &liveRun{met: map[string]*live.Tally{}}
	flags.DurationVar(&r.time, "time", time.Minute, "of everything, about")
	flags.IntVar(&r.count, "count", 0, "random batches for each of K2 and K3, however long it takes")
	flags.IntVar(&r.supers, "superpackets", 0, "with -count, random superpackets for K1, those refused among them; 0 is 5 times as many as batches")
	flags.IntVar(&r.share, "traffic", 100, "percent of what K5 sends")
	flags.StringVar(&r.file, "state", "", "file where -count keeps how far it is, to go on from")
	user := flags.Int("user", 0, "user ID to do it as, for root")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case r.time <= 0 || r.count < 0 || r.supers < 0 || *user < 0 || r.share < 1:
		return 0, fmt.Errorf("%w: -time and -traffic must be positive, -count, -superpackets and -user not negative", errUsage)
	case (r.file != "" || r.supers > 0) && r.count == 0:
		return 0, fmt.Errorf("%w: -state and -superpackets go with -count", errUsage)
	case r.supers == 0:
		r.supers = 5 * r.count
	}
	r.results = newResults(ctx, "live", s.err, rows.only)
	r.state.Seed = rows.seed
	if *user > 0 && os.Getuid() == 0 {
		if err := os.Setenv("TUNLIVE_USER", strconv.Itoa(*user)); err != nil {
			return 0, err
		}
	}
	var missing *tunlive.Missing
	if err := tunlive.Enter(); errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require" {
		r.nothing(err)
	} else if err != nil {
		return 0, err
	} else if err := r.run(); err != nil {
		return 0, err
	}
	return r.finish(s, rows.asJSON)
}

// nothing says of every property why it was not run.
func (r *liveRun) nothing(why error) {
	for _, row := range live.Rows() {
		if property, method, _ := strings.Cut(row, " "); r.only.MatchString(row) {
			r.rows = append(r.rows, record.Result{Property: property, Method: method, Judge: "kernel", Result: record.NotRun, Detail: why.Error()})
		}
	}
}

func (r *liveRun) finish(s streams, asJSON bool) (int, error) {
	r.stamp()
	if r.kernel != nil {
		for i := range r.rows {
			r.rows[i].Features = r.kernel.Features
		}
	}
	code, verdict := r.verdict()
	if asJSON {
		if err := record.Write(s.out, r.rows); err != nil {
			return 0, err
		}
		return code, nil
	}
	r.table(s.out)
	for _, property := range slices.Sorted(maps.Keys(r.met)) {
		fmt.Fprintf(s.out, "\n%s met\n", property)
		for _, l := range r.met[property].Lines() {
			fmt.Fprintf(s.out, "  %s\n", l)
		}
	}
	if len(r.paths) > 0 {
		fmt.Fprintf(s.out, "\nK5 carried\n  %s\n", strings.Join(r.paths, "\n  "))
	}
	fmt.Fprintf(s.out, "\n%s\n", verdict)
	return code, nil
}

func (r *liveRun) run() (err error) {
	if err := r.load(); err != nil {
		return err
	}
	if r.kernel, err = live.Open(); err != nil {
		return err
	}
	defer r.kernel.Close()
	if missing := r.kernel.Unexpected(); len(missing) > 0 && os.Getenv("TUNLIVE") == "require" {
		return fmt.Errorf("TUNLIVE=require, and there is not all that this machine should have: %s", strings.Join(missing, "; "))
	}
	start := time.Now()
	r.say("Linux %s, seed %d", record.Here().Kernel, r.state.Seed)
	r.say("features: %s", features(r.kernel.Features))
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
	case r.ctx.Err() != nil:
		r.notRun("all", "the rest", "", "interrupted")
	case r.violated():
		r.notRun("all", "the rest", "", "stopped at the first difference")
	}
	return nil
}

// allRandom runs the parts on generated input, each for its share of the time.
func (r *liveRun) allRandom(start time.Time) error {
	all := r.kernel.Parts()
	index := map[string]uint64{} // in all, so that a seed means the same with -run
	for i, p := range all {
		index[p.Property+p.Method()] = uint64(i)
	}
	parts := slices.DeleteFunc(all, func(p live.Part) bool {
		if p.Oracle.Missing != nil {
			r.notRun(p.Property, p.Method(), "kernel", p.Oracle.Missing.Error())
		}
		return p.Oracle.Missing != nil || !r.wanted(p.Property, p.Method())
	})
	weights, of := 0, map[string]int{}
	for _, p := range parts {
		weights += p.Weight
		of[p.Property]++
	}
	for _, p := range parts {
		left := max(r.time-time.Since(start), time.Second)
		count := r.count // shared by the parts of a property
		if p.Supers {
			count = r.supers
		}
		count = (count + of[p.Property] - 1) / of[p.Property]
		if err := r.random(p, index[p.Property+p.Method()], left*time.Duration(p.Weight)/time.Duration(weights), count); err != nil {
			return err
		}
		weights -= p.Weight
	}
	return nil
}

// violated says whether there was a difference, at which a run stops.
func (r *liveRun) violated() bool {
	return slices.ContainsFunc(r.rows, func(row record.Result) bool { return row.Result == record.Violated })
}

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

// load reads the state file, if there is one.
func (r *liveRun) load() error {
	r.state.Parts = map[string]*partState{}
	tree, env := here()
	r.state.Of = fmt.Sprintf("tree %s, Linux %s, user %d", tree, env.Kernel, os.Getuid())
	return r.resume(r.file, &r.state, &r.state.Of)
}

// save writes the state file.
func (r *liveRun) save() error { return writeState(r.file, r.state) }

// stated runs a part over the repository's own input.
func (r *liveRun) stated(p live.Part) error {
	if p.Oracle.Missing != nil {
		r.notRun(p.Property, p.Method(), "kernel", p.Oracle.Missing.Error())
	}
	if p.Oracle.Missing != nil || !r.wanted(p.Property, p.Method()) || r.ctx.Err() != nil || r.violated() {
		return nil
	}
	r.say("%s %s", p.Property, p.Method())
	start := time.Now()
	var t live.Tally
	err := p.Check(nil, &t)
	if !isViolation(err) {
		return err
	}
	r.judged(p, t, 0, start, err)
	return nil
}

// isViolation says whether an error, nil too, is about what is judged, and not
// about the harness.
func isViolation(err error) bool {
	var v *target.Violation
	return err == nil || errors.As(err, &v)
}

// judged adds the rows of a part: K1 has one of K4, of what was refused, dropped
// or known to diverge.
func (r *liveRun) judged(p live.Part, t live.Tally, seed uint64, start time.Time, err error) {
	if t.Rounds == 0 && err == nil {
		r.notRun(p.Property, p.Method(), "kernel", "nothing was asked")
		return
	}
	row := record.Result{Property: p.Property, Method: p.Method(), Judge: "kernel", Count: t.Rounds, Unit: p.Unit, Seed: seed}
	if p.Property == "K1" {
		k4 := row
		k4.Property, k4.Count, k4.Unit = "K4", t.Refusals(), "refusals"
		row.Count -= k4.Count
		var v *target.Violation
		if errors.As(err, &v) && v.Property == "K4" {
			r.add(k4, start, err)
			err = nil
		} else {
			r.add(k4, start, nil)
		}
	}
	r.add(row, start, err)
	if r.met[p.Property] == nil {
		r.met[p.Property] = &live.Tally{}
	}
	r.met[p.Property].Add(t)
}

// random runs a part on generated scenarios, for a time or a count.
func (r *liveRun) random(p live.Part, index uint64, limit time.Duration, count int) error {
	if r.violated() || r.ctx.Err() != nil {
		return nil
	}
	name := p.Property + " " + p.Method()
	done := r.state.Parts[name]
	if done == nil {
		done = &partState{}
		r.state.Parts[name] = done
	}
	start := time.Now()
	before, rounds, told := done.Seconds, done.Tally.Rounds, start
	more := func() bool {
		if count > 0 {
			return done.Tally.Rounds < count
		}
		return time.Since(start) < limit
	}
	var found *finding
	for more() && found == nil && r.ctx.Err() == nil {
		seed := r.state.Seed + index<<32 + uint64(done.Scenarios/chunk)
		var tally live.Tally // of this chunk
		violated := false
		n, f, err := rapidCheck(r.ctx, target.Property{ID: p.Property, Name: name, Batches: !p.Supers, Supers: p.Supers,
			Check: func(s *scenario.Scenario, _ *target.Tally) error {
				err := p.Check(s, &tally)
				if violated && !isViolation(err) {
					return nil // minimising: the harness failed, which is not what was found
				}
				violated = violated || err != nil && isViolation(err)
				return err
			}}, chunk, seed, nil)
		if err != nil {
			return err
		}
		if found = f; f != nil && !isViolation(f.err) {
			return f.err
		}
		if r.ctx.Err() == nil {
			done.Scenarios += n
			done.Tally.Add(tally)
		}
		done.Seconds = before + time.Since(start).Seconds()
		if time.Since(told) > 2*time.Second || !more() || found != nil {
			r.say("%s: %d %s, %.0f a second", name, done.Tally.Rounds, p.Unit, float64(done.Tally.Rounds-rounds)/time.Since(start).Seconds())
			told = time.Now()
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	var failed error
	if found != nil {
		failed = found.err
		r.sayCases(found, law(p.Property), fmt.Sprintf("live -seed %d, %s, Linux %s", r.state.Seed, name, record.Here().Kernel))
	}
	r.judged(p, done.Tally, r.state.Seed, time.Now().Add(-time.Duration(done.Seconds*float64(time.Second))), failed)
	return nil
}

// endToEnd is K5. In a short time not every path is taken.
func (r *liveRun) endToEnd() error {
	start := time.Now()
	for _, p := range live.Paths {
		switch {
		case !r.wanted("K5", p.Name) || r.ctx.Err() != nil || r.violated():
			continue
		case r.kernel.Cuts[0].Missing != nil:
			r.notRun("K5", p.Name, "kernel", r.kernel.Cuts[0].Missing.Error())
			continue
		case r.count == 0 && time.Since(start) > r.time*2/5 && os.Getenv("TUNLIVE") != "require":
			r.notRun("K5", p.Name, "kernel", "no time left; -time gives more")
			continue
		}
		r.say("K5 %s", p.Name)
		begin := time.Now()
		report, err := live.EndToEnd(r.ctx, p.Share(r.share), r.state.Seed, r.kernel.Features["uso"])
		if r.ctx.Err() != nil {
			return nil
		}
		if !isViolation(err) {
			return fmt.Errorf("K5 %s: %w", p.Name, err)
		}
		r.add(record.Result{Property: "K5", Method: p.Name, Judge: "sockets", Count: int(report.Packets), Unit: "packets", Seed: r.state.Seed}, begin, err)
		r.paths = append(r.paths, fmt.Sprintf("%s: %d bytes of TCP, %d of %d datagrams; %d superpackets in, %d out; %d lost, %d doubled, %d swapped on the way",
			p.Name, report.Bytes, report.Received, report.Sent, report.Superpackets, report.Written, report.Lost, report.Doubled, report.Swapped))
	}
	return nil
}
