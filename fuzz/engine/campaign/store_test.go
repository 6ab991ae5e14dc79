// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// orders returns all orders of n events of one and m of another campaign: true is one.
func orders(n, m int) [][]bool {
	if n+m == 0 {
		return [][]bool{nil}
	}
	var list [][]bool
	if n > 0 {
		for _, rest := range orders(n-1, m) {
			list = append(list, append([]bool{true}, rest...))
		}
	}
	if m > 0 {
		for _, rest := range orders(n, m-1) {
			list = append(list, append([]bool{false}, rest...))
		}
	}
	return list
}

// TestTwo checks that two campaigns on one directory store the inputs of both once, give
// each the other's, and leave each other's work alone, in all 70 orders in which they can
// begin, find an input that both find, find one of their own, and be interrupted.
func TestTwo(t *testing.T) {
	all := []string{"both", "of 0", "of 1"}
	for _, order := range orders(4, 4) {
		name := ""
		for _, first := range order {
			name += map[bool]string{true: "0", false: "1"}[first]
		}
		bubble(t, name, func(t *testing.T) {
			const apart = 12 * time.Second // so each event is stored before the next
			dir := t.TempDir()
			var when [2][]time.Duration
			for i, first := range order {
				who := map[bool]int{true: 0, false: 1}[first]
				when[who] = append(when[who], time.Duration(i)*apart)
			}
			start := time.Now()
			until := func(r *run, d time.Duration) bool { return r.sleep(d - time.Since(start)) }
			var mu sync.Mutex
			var known []string // what is stored
			type end struct {
				s   *Summary
				err error
			}
			ends := make(chan end, 2)
			for who := range 2 {
				go func() {
					conf, _ := settings(t, dir, "Order")
					conf.Engine = []string{"native", "libfuzzer"}[who]
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					time.Sleep(when[who][0])
					time.AfterFunc(when[who][3]-when[who][0], stop)
					found := 0
					s, err := fuzz(ctx, conf, with(func(r *run) error {
						mu.Lock()
						if got := r.given(t, all...); r.n == 0 && !slices.Equal(got, known) {
							t.Errorf("%d: it was given %q at its begin, stored were %q", who, got, known)
						}
						mu.Unlock()
						for ; found < 2; found++ {
							if !until(r, when[who][found+1]) {
								return nil
							}
							text := []string{"both", fmt.Sprint("of ", who)}[found]
							mu.Lock()
							if !slices.Contains(known, text) {
								known = append(known, text)
								slices.Sort(known)
							}
							mu.Unlock()
							if err := r.input(text); err != nil {
								return err
							}
							r.report(int64(found + 1))
						}
						return r.rest()
					}))
					ends <- end{s, err}
				}()
			}
			fresh := 0
			for range 2 {
				e := <-ends
				if e.err != nil || e.s.Results[0].Execs == 0 || e.s.Flaky > 0 {
					t.Fatalf("%v, %+v", e.err, e.s)
				}
				fresh += e.s.Results[0].New
			}
			if got := stored(t, dir, "Order", all...); !slices.Equal(got, all) || fresh != len(all) {
				t.Errorf("stored: %q, %d of them new", got, fresh)
			}
			if runs, err := (Store{dir}).Runs(); err != nil || len(runs) != 2 {
				t.Errorf("%v, %v", runs, err)
			}
			tidy(t, dir)
		})
	}
}

// TestTwoFindings checks that of two campaigns that find the same only the first finds it
// new, that the smaller input stays, and that campaigns that find it at the same instant
// lose none.
func TestTwoFindings(t *testing.T) {
	for _, c := range []struct {
		sizes  [2]int
		second time.Duration // when the second campaign finds it; the first does after 1 s
	}{{[2]int{20, 30}, 2 * time.Second}, {[2]int{30, 20}, 2 * time.Second}, {[2]int{30, 30}, 2 * time.Second}, {[2]int{20, 30}, time.Second}, {[2]int{30, 20}, time.Second}} {
		bubble(t, fmt.Sprint(c.sizes, c.second), func(t *testing.T) {
			dir := t.TempDir()
			ends := make(chan *Summary, 2)
			for who := range 2 {
				go func() {
					conf, _ := settings(t, dir, "Pkts")
					conf.Time = 20 * time.Second
					s, err := fuzz(t.Context(), conf, with(func(r *run) error {
						if r.n > 0 {
							return r.rest()
						}
						r.sleep([2]time.Duration{time.Second, c.second}[who])
						return r.fails(sized("fails s", c.sizes[who]))
					}))
					if err != nil || len(s.Results[0].Findings) != 1 {
						t.Errorf("%v, %+v", err, s)
					}
					ends <- s
				}()
			}
			fresh := 0
			for range 2 {
				if s := <-ends; s.Results[0].Findings[0].New {
					fresh++
				}
			}
			list := files(t, filepath.Join(dir, "findings"), "*")
			if fresh != 1 || len(list) != 1 {
				t.Fatalf("%d are new, %q", fresh, list)
			}
			checkFile(t, filepath.Join(dir, "findings", list[0]), judged{content: sized("fails s", min(c.sizes[0], c.sizes[1]))})
			tidy(t, dir)
		})
	}
}

// TestAdd checks that an input is stored once, whoever adds it, and that every reader sees
// complete files only.
func TestAdd(t *testing.T) {
	s := Store{t.TempDir()}
	list := texts("input ", 20)
	done := make(chan error)
	for range 4 {
		go func() {
			var errs []error
			for _, text := range list {
				_, _, err := s.Add(named("Agree"), input("Agree", text))
				_, e := s.Inputs("Agree", nil)
				errs = append(errs, err, e)
			}
			done <- errors.Join(errs...)
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := stored(t, s.Dir, "Agree", list...); !slices.Equal(got, list) {
		t.Errorf("stored: %q", got)
	}
	if left := files(t, s.Dir, "*.new"); len(left) > 0 {
		t.Errorf("files that are not complete: %v", left)
	}
	if _, added, err := s.Add(named("Agree"), input("Agree", list[0])); added || err != nil {
		t.Errorf("added again: %v, %v", added, err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "corpus", "Agree", "x.pkts"), []byte("no case"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Inputs("Agree", nil); len(got) != len(list) || err == nil {
		t.Errorf("with a file that is no input: %d, %v", len(got), err)
	}
}
