package trial

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
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

// Trial is the trial of check.
type Trial struct {
	record.Collector
	Seed  uint64
	Draws int // captures for each fault, and as many right ones in all as with a fault
}

// right is the name of the row of right traffic.
const right = "right traffic"

// Run draws captures with each fault, and right ones. Each fault has a row of its own.
func (t *Trial) Run() error {
	faults := Faults()
	for i, f := range faults {
		if t.Ctx.Err() != nil || !t.Wanted("faults", f.Name) {
			continue
		}
		if i%10 == 0 {
			t.Say("fault %d of %d", i+1, len(faults))
		}
		start := time.Now()
		row := Row{Fault: f}
		for n := 0; row.Drawn < t.Draws && n < 1000*t.Draws && t.Ctx.Err() == nil; n++ {
			if err := row.Draw(record.Seed(t.Seed, "faults "+f.Name, n)); err != nil {
				return err
			}
		}
		r := record.Result{Property: "faults", Method: f.Name, Judge: "the fault planted", Count: row.Drawn, Unit: "captures", Seed: t.Seed,
			Counts: map[string]int{"packet": row.Packet, "field": row.Field, "missed": row.Drawn - row.Packet, "false": row.False, "suspect": row.Doubt}}
		if f.Cause != "" {
			r.Counts["cause"] = row.Cause
		}
		t.Add(r, start, row.err())
	}
	if !t.Wanted("faults", right) {
		return nil
	}
	t.Say(right)
	start := time.Now()
	n := 0
	var failed error
	for ; n < t.Draws*len(faults) && failed == nil && t.Ctx.Err() == nil; n++ {
		seed := record.Seed(t.Seed, "faults "+right, n)
		found, err := Judge(Draw(rand.New(rand.NewPCG(seed, 0))))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			failed = fmt.Errorf("seed %d: found %v", seed, found)
		}
	}
	t.Add(record.Result{Property: "faults", Method: right, Judge: "nothing is wrong", Count: n, Unit: "captures", Seed: t.Seed,
		Counts: map[string]int{"false": one(failed != nil)}}, start, failed)
	return nil
}

// Table writes the rows of a Trial as a table, in Markdown.
func Table(w io.Writer, rows []record.Result) error {
	why := map[string]string{}
	for _, f := range Faults() {
		why[f.Name] = f.Why
	}
	var b strings.Builder
	b.WriteString("| fault | drawn | packet right | field right | cause right | missed | false |\n|---|---:|---:|---:|---:|---:|---:|\n")
	var sum record.Result
	sum.Counts = map[string]int{}
	known := 0
	for _, r := range rows {
		if r.Method == right || r.Result == record.NotRun {
			continue
		}
		cause := "none: " + why[r.Method]
		if n, is := r.Counts["cause"]; is {
			cause = fmt.Sprint(n)
			known += r.Count
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %d | %d |\n", r.Method, r.Count, r.Counts["packet"], r.Counts["field"], cause, r.Counts["missed"], r.Counts["false"]+r.Counts["suspect"])
		sum.Count += r.Count
		for name, n := range r.Counts {
			sum.Counts[name] += n
		}
	}
	percent := ""
	if known > 0 {
		percent = fmt.Sprintf(" of %d: %.3f %%", known, 100*float64(sum.Counts["cause"])/float64(known))
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d | %d%s | %d | %d |\n", sum.Count, sum.Counts["packet"], sum.Counts["field"], sum.Counts["cause"], percent, sum.Counts["missed"], sum.Counts["false"]+sum.Counts["suspect"])
	for _, r := range rows {
		if r.Method == right {
			fmt.Fprintf(&b, "| none: %s | %d | | | | | %d |\n", right, r.Count, r.Counts["false"])
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(&b, "\nSeed %d, tree %s.\n", rows[0].Seed, rows[0].Tree)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
