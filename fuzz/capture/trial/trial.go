// SPDX-License-Identifier: MIT

package trial

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/record"
)

// Judge returns what check finds in traffic.
func Judge(t *Traffic) ([]check.Finding, error) {
	var list []check.Finding
	c := check.New(t.Config, func(f check.Finding) { list = append(list, f) })
	for _, p := range t.Packets {
		if err := c.Packet(p); err != nil {
			return nil, err
		}
	}
	c.Finish()
	return list, nil
}

// Bytes returns a source of numbers: those in b, 8 bytes each, and then others.
func Bytes(b []byte) *rand.Rand { return rand.New(&numbers{b, rand.NewPCG(0, 0)}) }

type numbers struct {
	b    []byte
	more rand.Source
}

// Uint64 returns the next number.
func (n *numbers) Uint64() uint64 {
	if len(n.b) < 8 {
		return n.more.Uint64()
	}
	v := binary.LittleEndian.Uint64(n.b)
	n.b = n.b[8:]
	return v
}

// Once draws traffic and plants a fault in it. It returns what check does wrong, "" if
// nothing: a certain finding in the right traffic, or a packet of the fault in which nothing
// is found. It does not look at suspect findings and at causes, because with numbers that
// are chosen, other mistakes can have the same effect.
func Once(f Fault, r *rand.Rand) (wrong string, err error) {
	t := Draw(r)
	found, err := Judge(t)
	if err != nil {
		return "", err
	}
	for _, g := range found {
		if !g.Suspect {
			return fmt.Sprintf("found in right traffic: %v", g), nil
		}
	}
	row := Row{Fault: f}
	if err := row.plant(r, t); err != nil || row.Packet == row.Drawn {
		return "", err
	}
	return row.Wrong, nil
}

// Row is the result of all trials with one fault.
type Row struct {
	Fault
	Drawn  int    // captures in which the fault was planted
	Packet int    // those in which the right packets were named
	Field  int    // and the right fields and kinds of findings
	Cause  int    // and the right causes
	False  int    // certain findings of anything else
	Doubt  int    // suspect findings of anything else
	Wrong  string // the first trial that did not go right
}

// Draw draws traffic from a seed, plants the fault in it, and counts the result. Traffic
// without a place for the fault changes nothing.
func (r *Row) Draw(seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 0))
	before := r.Wrong
	if err := r.plant(random, Draw(random)); err != nil || before != "" || r.Wrong == "" {
		return err
	}
	r.Wrong = fmt.Sprintf("seed %d: %s", seed, r.Wrong)
	return nil
}

// plant plants the fault in traffic and counts the result.
func (r *Row) plant(random *rand.Rand, t *Traffic) error {
	want := r.Plant(random, t)
	if want == nil {
		return nil
	}
	found, err := Judge(t)
	if err != nil {
		return err
	}
	r.Drawn++
	packets, fields, causes := true, true, true
	left := slices.Clone(found)
	for _, w := range want {
		at := slices.IndexFunc(left, func(f check.Finding) bool { return f.Packet == w.Packet && f.Field == w.Field })
		if at < 0 {
			at = slices.IndexFunc(left, func(f check.Finding) bool { return f.Packet == w.Packet })
		}
		if at < 0 {
			packets, fields, causes = false, false, false
			continue
		}
		f := left[at]
		left = slices.Delete(left, at, at+1)
		// What a network card may have written by chance too is only suspect.
		suspected := w.Kind.Name == check.L4Checksum.Name && (f.Name == check.L4ChecksumPrefix.Name || f.Name == check.L4PartialSender.Name)
		fields = fields && f.Field == w.Field && (f.Name == w.Kind.Name || suspected)
		causes = causes && (w.Dark || strings.Contains(f.Text, r.Fault.Cause))
	}
	r.Packet += one(packets)
	r.Field += one(fields)
	r.Cause += one(causes)
	for _, f := range left {
		if f.Suspect {
			r.Doubt++
		} else {
			r.False++
		}
	}
	if r.Wrong == "" && (!fields || !causes || len(left) > 0) {
		r.Wrong = fmt.Sprintf("want %v %q, found %v", want, r.Fault.Cause, found)
	}
	return nil
}

// err returns an error if check was not right: if it did not name every packet and field, or
// named others. In 1 % of the captures, and in three more, it may name another cause or
// suspect something else: seldom another mistake writes the same value and is simpler, and
// seldom random IDs count.
func (r *Row) err() error {
	chance := 3 + r.Drawn/100
	if r.Packet < r.Drawn || r.Field < r.Drawn || r.False > 0 || r.Doubt > chance || r.Drawn-r.Cause > chance {
		return fmt.Errorf("of %d captures the packet is right in %d, the field in %d, the cause in %d; %d other certain findings, %d suspect; %s", r.Drawn, r.Packet, r.Field, r.Cause, r.False, r.Doubt, r.Wrong)
	}
	return nil
}

// one returns 1 for true.
func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Trial is the trial of check and compare.
type Trial struct {
	record.Collector
	Seed  uint64
	Draws int // captures for each fault, and as many right ones in all as with a fault; of compare, pairs, a fifth of that
}

// right and rightPairs are the names of the rows of right traffic, and between begins the names
// of compare's rows.
const right, rightPairs, between = "right traffic", "right pairs of captures", "between captures: "

// job makes a row of a Trial. It returns why the row fails.
type job struct {
	name string
	run  func(t *Trial) (r record.Result, failed, err error)
}

// Run draws captures with each fault, and right ones. Each fault has a row of its own. Several
// run at the same time; what each draws depends on its name only.
func (t *Trial) Run() error {
	var jobs []job
	for _, f := range Faults() {
		jobs = append(jobs, job{f.Name, func(t *Trial) (record.Result, error, error) {
			return t.row(Row{Fault: f}, f.Name, t.Draws, (*Row).Draw)
		}})
	}
	jobs = append(jobs, job{right, func(t *Trial) (record.Result, error, error) {
		return t.right(right, t.Draws*len(Faults()), func(seed uint64) (any, int, error) {
			found, err := Judge(Draw(rand.New(rand.NewPCG(seed, 0))))
			return found, len(found), err
		})
	}})
	for _, f := range Betweens() {
		jobs = append(jobs, job{between + f.Name, func(t *Trial) (record.Result, error, error) {
			return t.row(Row{Fault: Fault{Cause: f.Cause}}, between+f.Name, t.pairs(), func(r *Row, seed uint64) error { return r.DrawBetween(f, seed) })
		}})
	}
	jobs = append(jobs, job{rightPairs, func(t *Trial) (record.Result, error, error) {
		return t.right(rightPairs, t.pairs()*len(Betweens()), func(seed uint64) (any, int, error) {
			p, err := DrawPair(rand.New(rand.NewPCG(seed, 1)))
			if err != nil {
				return nil, 0, err
			}
			found, err := JudgePair(p)
			return found, len(found), err
		})
	}})
	jobs = slices.DeleteFunc(jobs, func(j job) bool { return !t.Wanted("faults", j.name) })
	return t.all(jobs)
}

// pairs returns how many pairs of captures are drawn for each fault.
func (t *Trial) pairs() int { return max(1, t.Draws/5) }

// all runs jobs, as many at the same time as there are processors, and adds their rows in order.
func (t *Trial) all(jobs []job) error {
	type done struct {
		r           record.Result
		failed, err error
		took        time.Duration
	}
	results := make([]chan done, len(jobs))
	free := make(chan bool, runtime.GOMAXPROCS(0))
	for i := range jobs {
		results[i] = make(chan done, 1)
	}
	go func() {
		for i, j := range jobs {
			free <- true
			go func() {
				start := time.Now()
				var d done
				if t.Ctx.Err() == nil {
					d.r, d.failed, d.err = j.run(t)
				}
				d.took = time.Since(start)
				<-free
				results[i] <- d
			}()
		}
	}()
	var failed error
	for i, c := range results {
		d := <-c
		if failed = cmp.Or(failed, d.err); failed != nil || t.Ctx.Err() != nil {
			continue // the others end too
		}
		if i%10 == 0 {
			t.Say("row %d of %d", i+1, len(jobs))
		}
		t.Add(d.r, time.Now().Add(-d.took), d.failed)
	}
	return failed
}

// row draws until a fault was planted in draws captures.
func (t *Trial) row(row Row, name string, draws int, draw func(r *Row, seed uint64) error) (r record.Result, failed, err error) {
	for n := 0; row.Drawn < draws && n < 1000*draws && t.Ctx.Err() == nil; n++ {
		if err := draw(&row, record.Seed(t.Seed, "faults "+name, n)); err != nil {
			return r, nil, err
		}
	}
	r = record.Result{Property: "faults", Method: name, Judge: "the fault planted", Count: row.Drawn, Unit: "captures", Seed: t.Seed,
		Counts: map[string]int{"packet": row.Packet, "field": row.Field, "missed": row.Drawn - row.Packet, "false": row.False, "suspect": row.Doubt}}
	if row.Fault.Cause != "" {
		r.Counts["cause"] = row.Cause
	}
	return r, row.err(), nil
}

// right judges n right captures, or pairs, until something is found.
func (t *Trial) right(name string, n int, judge func(seed uint64) (found any, count int, err error)) (r record.Result, failed, err error) {
	drawn := 0
	for ; drawn < n && failed == nil && t.Ctx.Err() == nil; drawn++ {
		seed := record.Seed(t.Seed, "faults "+name, drawn)
		found, count, err := judge(seed)
		if err != nil {
			return r, nil, err
		}
		if count > 0 {
			failed = fmt.Errorf("seed %d: found %v", seed, found)
		}
	}
	r = record.Result{Property: "faults", Method: name, Judge: "nothing is wrong", Count: drawn, Unit: "captures", Seed: t.Seed,
		Counts: map[string]int{"false": one(failed != nil)}}
	return r, failed, nil
}

// Table writes the rows of a Trial as two tables, in Markdown: of check and of compare.
func Table(w io.Writer, rows []record.Result) error {
	why := map[string]string{}
	for _, f := range Faults() {
		why[f.Name] = f.Why
	}
	for _, f := range Betweens() {
		why[between+f.Name] = f.Why
	}
	var b strings.Builder
	var of [2][]record.Result
	for _, r := range rows {
		i := one(strings.HasPrefix(r.Method, between) || r.Method == rightPairs)
		of[i] = append(of[i], r)
	}
	table(&b, of[0], why)
	if len(of[1]) > 0 {
		b.WriteString("\nOf `compare`, with the fault between two captures:\n\n")
		table(&b, of[1], why)
	}
	if len(rows) > 0 {
		fmt.Fprintf(&b, "\nSeed %d, tree %s.\n", rows[0].Seed, rows[0].Tree)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes rows as a table.
func table(b *strings.Builder, rows []record.Result, why map[string]string) {
	b.WriteString("| fault | drawn | packet right | field right | cause right | missed | false |\n|---|---:|---:|---:|---:|---:|---:|\n")
	var sum record.Result
	sum.Counts = map[string]int{}
	known := 0
	for _, r := range rows {
		if r.Method == right || r.Method == rightPairs || r.Result == record.NotRun {
			continue
		}
		cause := "none: " + why[r.Method]
		if n, is := r.Counts["cause"]; is {
			cause = fmt.Sprint(n)
			known += r.Count
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %s | %d | %d |\n", strings.TrimPrefix(r.Method, between), r.Count, r.Counts["packet"], r.Counts["field"], cause, r.Counts["missed"], r.Counts["false"]+r.Counts["suspect"])
		sum.Count += r.Count
		for name, n := range r.Counts {
			sum.Counts[name] += n
		}
	}
	percent := ""
	if known > 0 {
		percent = fmt.Sprintf(" of %d: %.3f %%", known, 100*float64(sum.Counts["cause"])/float64(known))
	}
	fmt.Fprintf(b, "| all | %d | %d | %d | %d%s | %d | %d |\n", sum.Count, sum.Counts["packet"], sum.Counts["field"], sum.Counts["cause"], percent, sum.Counts["missed"], sum.Counts["false"]+sum.Counts["suspect"])
	for _, r := range rows {
		if r.Method == right || r.Method == rightPairs {
			fmt.Fprintf(b, "| none: %s | %d | | | | | %d |\n", r.Method, r.Count, r.Counts["false"])
		}
	}
}
