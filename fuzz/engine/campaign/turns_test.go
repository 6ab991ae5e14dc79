// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tunproof/fuzz/engine/targets"
)

// TestTurns checks that all targets get the same time, up to one turn, that never more run
// at once than may, each only once, and that the record counts each execution.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		targets, atOnce int
		time            time.Duration
	}{{1, 1, 4 * time.Second}, {1, 4, time.Minute}, {3, 1, time.Minute}, {3, 2, 4 * time.Minute}, {5, 4, 5 * time.Minute}, {14, 14, 90 * time.Second}} {
		bubble(t, fmt.Sprintf("%d targets, %d at once, %v", c.targets, c.atOnce, c.time), func(t *testing.T) {
			conf, _ := settings(t, t.TempDir())
			conf.Targets, conf.AtOnce, conf.Time, conf.Workers = targets.All()[:c.targets], c.atOnce, c.time, 3
			start := time.Now()
			var mu sync.Mutex
			running := map[string]bool{}
			spent := map[string]time.Duration{}
			wantExecs := map[string]int64{}
			slice := time.Duration(0)
			s, err := fuzz(t.Context(), conf, with(func(r *run) error {
				mu.Lock()
				if running[r.target] {
					t.Errorf("%s has two turns", r.target)
				}
				running[r.target] = true
				if len(running) > c.atOnce || r.workers != 3 {
					t.Errorf("%d run, with %d workers", len(running), r.workers)
				}
				mu.Unlock()
				begun := time.Now()
				execs := int64(0)
				for r.sleep(time.Second) {
					execs += 1500
					r.report(execs)
				}
				mu.Lock()
				defer mu.Unlock()
				delete(running, r.target)
				took := time.Since(begun)
				if took != r.slice && time.Since(start) < c.time {
					t.Errorf("%s ran %v of %v", r.target, took, r.slice)
				}
				slice = r.slice
				spent[r.target] += took
				wantExecs[r.target] += execs
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != c.time || s.Seconds != c.time.Seconds() {
				t.Errorf("it took %v, %v s", took, s.Seconds)
			}
			each := c.time * time.Duration(min(c.atOnce, c.targets)) / time.Duration(c.targets)
			runs, err := Store{conf.Dir}.Runs()
			if err != nil || len(runs) != 1 {
				t.Fatalf("%v, %v", runs, err)
			}
			for _, r := range s.Results {
				name := r.Target.Name
				got, rec := r.Totals, runs[0].Targets[name]
				most := time.Microsecond
				if c.targets%c.atOnce > 0 && c.targets > c.atOnce { // the last turns are not one of each
					most = slice
				}
				if off := (spent[name] - each).Abs(); off > most || math.Abs(r.Seconds-spent[name].Seconds()) > 1e-6 {
					t.Errorf("%s: it had %v, %.6f s, want %v", name, spent[name], r.Seconds, each)
				}
				if got.Execs != wantExecs[name] || got.Execs == 0 || rec != got {
					t.Errorf("%s: %+v, the record has %+v, want %d executions", name, got, rec, wantExecs[name])
				}
			}
			tidy(t, conf.Dir)
		})
	}
}

// TestResume checks that a campaign begins with the targets that the ones before it did not
// reach, also if it has no time limit.
func TestResume(t *testing.T) {
	bubble(t, "interrupted", func(t *testing.T) {
		conf, said := settings(t, t.TempDir())
		conf.Targets, conf.AtOnce, conf.Workers = targets.All()[:4], 1, 1
		for i, want := range [][]string{{"0", "1"}, {"2", "3", "1"}, {"1", "0"}} {
			ctx, interrupt := context.WithCancel(t.Context())
			var got []string
			_, err := fuzz(ctx, conf, with(func(r *run) error {
				at := slices.IndexFunc(conf.Targets, func(g targets.Target) bool { return g.Name == r.target })
				got = append(got, fmt.Sprint(at))
				if len(got) == len(want) {
					defer interrupt()
					r.sleep(time.Second)
					r.report(1)
					return nil
				}
				for r.sleep(time.Second) {
					r.report(1)
				}
				return nil
			}))
			interrupt()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("campaign %d: turns of %v, want %v; %v", i, got, want, err)
			}
			if resumed := strings.Contains(strings.Join(said.lines, "\n"), "resuming after 1 campaign, with "+conf.Targets[2].Name); resumed != (i > 0) {
				t.Errorf("campaign %d said %q", i, said.lines)
			}
		}
	})
}

// TestProgress checks the lines that a user sees, to the letter, and that the record has
// what was executed until then.
func TestProgress(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		conf, said := settings(t, t.TempDir(), "Agree")
		conf.Time = 35 * time.Second
		var onDisk []int64
		_, err := fuzz(t.Context(), conf, with(func(r *run) error {
			for i := int64(1); r.sleep(6 * time.Second); i++ {
				r.report(i * i * 12_345)
				if i == 2 {
					return errors.Join(r.input("a"), r.input("b"), r.rest())
				}
				if runs, err := (Store{conf.Dir}).Runs(); err == nil && len(runs) > 0 {
					onDisk = append(onDisk, runs[0].Targets["Agree"].Execs)
				}
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"t=10s target=Agree execs=12.3k (1.2k/s) corpus=0 (+0) none new findings=0",
			"t=20s target=Agree execs=49.4k (3.7k/s) corpus=2 (+2) new 0s ago findings=0",
			"t=30s target=Agree execs=49.4k (0/s) corpus=2 (+2) new 10s ago findings=0",
		}
		if diff := cmp.Diff(want, said.lines); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestRestart checks that the engine starts again in the same turn after a failing input,
// without that input but with those that others stored since.
func TestRestart(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		conf, _ := settings(t, t.TempDir(), "Agree")
		conf.Time = time.Minute
		var slices []time.Duration
		var given [][]string
		s, err := fuzz(t.Context(), conf, with(func(r *run) error {
			slices = append(slices, r.slice)
			given = append(given, r.given(t, "others"))
			if _, err := os.Stat(filepath.Join(r.work, r.toy.inputs("Agree"), hash(input("Agree", "toy fails a")))); err == nil {
				t.Errorf("run %d starts from the failing input", r.n)
			}
			if r.n == 1 {
				if _, added, err := (Store{conf.Dir}).Add(named("Agree"), input("Agree", "others")); err != nil || !added {
					t.Error(added, err)
				}
			}
			r.report(10)
			if !r.sleep(19500 * time.Millisecond) {
				return nil
			}
			// Go's engine may start from the failing input, too.
			return errors.Join(errors.New("a failure"), r.input("toy fails a"), r.fails("toy fails a"))
		}))
		if err != nil || len(s.Results[0].Findings) != 1 || s.Results[0].Execs != 40 {
			t.Fatalf("%+v, %v", s, err)
		}
		// The fourth run is that of the next turn.
		if got, want := fmt.Sprint(slices, given), "[1m0s 40.5s 21s 1m0s] [[] [] [others] [others]]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := stored(t, conf.Dir, "Agree", "others"); len(got) != 1 {
			t.Errorf("stored: %q", got)
		}
	})
}

// TestRest checks which rest of a turn is too short for a run.
func TestRest(t *testing.T) {
	for after, want := range map[time.Duration]int{57 * time.Second: 1, 57*time.Second + 1: 0} {
		bubble(t, after.String(), func(t *testing.T) {
			conf, _ := settings(t, t.TempDir(), "Agree")
			conf.Time = time.Minute
			short := 0
			_, err := fuzz(t.Context(), conf, with(func(r *run) error {
				if r.n == 0 {
					r.sleep(after)
					return r.fails("toy fails a")
				}
				if r.slice < time.Minute {
					short++
				}
				return r.rest()
			}))
			if err != nil || short != want {
				t.Errorf("%d runs, want %d, %v", short, want, err)
			}
		})
	}
}

// TestErrors checks which errors of an engine end a campaign.
func TestErrors(t *testing.T) {
	broken := errors.New("it broke")
	full := errors.New("write x: no space left on device")
	for _, c := range []struct {
		name string
		runs []any // error, or the text of an input that fails
		want string
		said int // lines about errors that are survived
	}{
		{"three in a row", []any{broken, broken, broken}, "Agree: the engine stopped 3 times without a finding: it broke", 2},
		{"a finding between", []any{broken, broken, "toy fails a", broken, broken, nil}, "", 4},
		{"a flaky input between", []any{broken, "toy once FILE", broken}, "Agree: the engine stopped 3 times without a finding: it broke", 2},
		{"a success between", []any{broken, broken, nil, broken, broken, nil}, "", 4},
		{"a full disk", []any{full}, "Agree: the engine stopped: write x: no space left on device", 0},
		{"a full disk, then", []any{broken, full}, "Agree: the engine stopped: write x: no space left on device", 1},
	} {
		bubble(t, c.name, func(t *testing.T) {
			conf, said := settings(t, t.TempDir(), "Agree", "Pkts")
			conf.AtOnce = 2
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			s, err := fuzz(ctx, conf, with(func(r *run) error {
				if r.target == "Pkts" {
					return errors.Join(r.input("x"), r.rest())
				}
				r.sleep(time.Second)
				if r.n >= len(c.runs) {
					stop()
					return nil
				}
				switch e := c.runs[r.n].(type) {
				case error:
					return e
				case string:
					return errors.Join(broken, r.fails(strings.ReplaceAll(e, "FILE", filepath.Join(conf.Dir, "once"))))
				}
				return nil
			}))
			if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := said.has("the engine stopped without a finding: it broke"); len(got) != c.said {
				t.Errorf("%q, want %d", got, c.said)
			}
			if got := stored(t, conf.Dir, "Pkts", "x"); len(got) != 1 {
				t.Error("the other target's input is lost")
			}
			if left := files(t, filepath.Join(conf.Dir, "work"), "engine"); (len(left) == 1) != (c.want != "") {
				t.Errorf("work directories: %q", left)
			}
			if s == nil || len(s.Results) != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestEnds checks that the end of the time, of the context and the first finding stop all
// targets, and are no errors.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(conf *Config, stop func())
		want time.Duration
	}{
		{"time", func(conf *Config, _ func()) { conf.Time = 7 * time.Second }, 7 * time.Second},
		{"context", func(_ *Config, stop func()) { time.AfterFunc(8*time.Second, stop) }, 8 * time.Second},
		{"first", func(conf *Config, _ func()) { conf.First = true }, 5 * time.Second},
	} {
		bubble(t, c.name, func(t *testing.T) {
			conf, said := settings(t, t.TempDir(), "Agree", "Pkts", "Order")
			conf.AtOnce = 2
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			c.end(&conf, stop)
			s, err := fuzz(ctx, conf, with(func(r *run) error {
				if err := r.input("from " + r.target); err != nil {
					return err
				}
				if r.target == "Pkts" && conf.First && r.sleep(5*time.Second) {
					return r.fails("toy fails a")
				}
				return r.rest()
			}))
			if err != nil || s.Seconds != c.want.Seconds() {
				t.Fatalf("%v, %+v", err, s)
			}
			if got := stored(t, conf.Dir, "Agree", "from Agree"); len(got) != 1 {
				t.Error("an input is lost")
			}
			if n := len(said.has("FINDING")); (n == 1) != conf.First {
				t.Errorf("%d findings", n)
			}
			tidy(t, conf.Dir)
		})
	}
}

// TestTaken checks when an input of the engine is stored: with the progress when it is a
// second old, at the end of a run in any case, and never when it is not complete.
func TestTaken(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		conf, _ := settings(t, t.TempDir(), "Agree")
		conf.Time = 29 * time.Second
		texts := []string{"early", "late", "last"}
		var seen [][]string
		look := func() { seen = append(seen, stored(t, conf.Dir, "Agree", texts...)) }
		_, err := fuzz(t.Context(), conf, with(func(r *run) error {
			if r.n > 0 {
				return r.rest()
			}
			err := r.put(r.toy.inputs(r.target), "cut", []byte("go test fuzz v1\n[]byte(\"\\x01"))
			err = errors.Join(err, r.put(r.toy.inputs(r.target), "x.new", r.toy.format(input("Agree", "new"))))
			r.sleep(9 * time.Second) // the progress is at 10
			err = errors.Join(err, r.input(texts[0]))
			r.sleep(1*time.Second - 1)
			err = errors.Join(err, r.input(texts[1])) // younger than a second then
			r.sleep(2 * time.Second)
			look() // 12
			r.sleep(9 * time.Second)
			look() // 21
			r.sleep(8*time.Second - 1)
			return errors.Join(err, r.input(texts[2]))
		}))
		if err != nil {
			t.Fatal(err)
		}
		look()
		want := [][]string{{"early"}, {"early", "late"}, {"early", "last", "late"}}
		if !slices.EqualFunc(seen, want, slices.Equal) {
			t.Errorf("stored: %q, want %q", seen, want)
		}
	})
}

// TestGiven checks that an engine gets the seeds and the stored inputs once, and that
// files that are no inputs are named once and stop nothing.
func TestGiven(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		conf, said := settings(t, t.TempDir(), "Agree", "Checksum")
		conf.Time, conf.AtOnce = 4*time.Minute, 2
		conf.Empty = false
		for _, name := range []string{"Agree", "Checksum"} {
			if _, _, err := (Store{conf.Dir}).Add(named(name), input(name, "stored")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(".", filepath.Join(conf.Dir, "corpus", name, "broken.raw")); err != nil {
				t.Skip(err)
			}
		}
		var mu sync.Mutex
		first := map[string]int{}
		_, err := fuzz(t.Context(), conf, with(func(r *run) error {
			list, err := os.ReadDir(filepath.Join(r.work, r.toy.inputs(r.target)))
			mu.Lock()
			defer mu.Unlock()
			switch n := len(list); {
			case r.n == 0:
				first[r.target] = n
				if n < 5 {
					t.Errorf("%s has %d inputs", r.target, n)
				}
			case n != first[r.target]:
				t.Errorf("%s: run %d has %d inputs, want %d", r.target, r.n, n, first[r.target])
			}
			mu.Unlock()
			defer mu.Lock()
			return errors.Join(err, r.rest())
		}))
		if err != nil {
			t.Fatal(err)
		}
		if len(first) != 2 {
			t.Errorf("%v", first)
		}
		for _, name := range []string{"Agree", "Checksum"} {
			if got := said.has(filepath.Join(name, "broken.raw")); len(got) != 1 {
				t.Errorf("%s: its broken file is reported %d times", name, len(got))
			}
		}
	})
}
