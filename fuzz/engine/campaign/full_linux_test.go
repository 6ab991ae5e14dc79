// SPDX-License-Identifier: MIT

package campaign

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// small mounts a file system of 400 pages.
func small(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "nr_blocks=400"); err != nil {
		if os.Getenv("TUNLIVE") == "require" {
			t.Fatal(err)
		}
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no more than some pages of a file system. It can be called again.
func fill(dir string, pages int64) error {
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, os.Getpagesize())
	for {
		if _, err := f.Write(page); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(max(0, info.Size()/int64(len(page))-pages) * int64(len(page)))
}

// fulls are the ways in which a campaign meets a full disk.
var fulls = []struct {
	name  string
	play  func(r *run, dir string) error // in its first run
	is    []string                       // what was found
	kept  int                            // of that, stored at once
	key   string
	says  string
	after time.Duration
	left  bool // something to recover
}{
	{"the engine", func(r *run, dir string) error {
		for i := range 1000 {
			if err := r.input(fmt.Sprintf("%03d", i)); err != nil {
				return fmt.Errorf("go test: %v", err) // text, as of an engine
			}
		}
		return nil
	}, nil, -1, "", "", 0, true},
	{"the store, at the end of a run", func(r *run, dir string) error {
		return errors.Join(r.input("a"), r.input("b"), r.input("c"), fill(dir, 2))
	}, []string{"a", "b", "c"}, 2, "", "", 0, true},
	{"the store, with the progress", func(r *run, dir string) error {
		err := errors.Join(r.input("a"), r.input("b"), r.input("c"), fill(dir, 1))
		r.sleep(time.Minute)
		return err
	}, []string{"a", "b", "c"}, 1, "", "", 10 * time.Second, true},
	{"the record", func(r *run, dir string) error {
		err := errors.Join(r.input("a"), r.input("b"), fill(dir, 2))
		r.sleep(time.Minute)
		return err
	}, []string{"a", "b"}, 2, "", "", 10 * time.Second, false},
	{"the finding", func(r *run, dir string) error {
		return errors.Join(r.fails(sized("fails s", 30)), fill(dir, 0))
	}, nil, 0, "P4 toy s", "a finding could not be stored; here it is:\ngo test fuzz v1\n[]byte(\"toy fails s-30 ", 0, true},
	{"what is flaky", func(r *run, dir string) error { return errors.Join(r.fails("holds"), fill(dir, 0)) }, nil, 0, "", "", 0, true},
}

// TestFull checks that a full disk ends a campaign with an error that says so, whoever
// meets it, that the stored files are complete, that the next campaign cannot begin as long
// as the disk is full, and that one that begins after that loses nothing.
func TestFull(t *testing.T) {
	for _, c := range fulls {
		t.Run(c.name, func(t *testing.T) {
			dir := small(t)
			bubble(t, "", func(t *testing.T) {
				conf, said := settings(t, filepath.Join(dir, "store"), "Pkts", "Judges")
				conf.AtOnce = 2
				start := time.Now()
				_, err := fuzz(t.Context(), conf, with(func(r *run) error {
					if r.target == "Judges" {
						return r.rest()
					}
					r.report(1)
					return c.play(r, dir)
				}))
				if !isFull(err) || !errors.Is(err, unix.ENOSPC) {
					t.Fatalf("it ended with: %v", err)
				}
				if took := time.Since(start); took != c.after {
					t.Errorf("it ended after %v, want %v", took, c.after)
				}
				if c.says != "" && len(said.has(c.says)) != 1 {
					t.Errorf("%q", said.lines)
				}
				want := c.is
				if want == nil {
					for i := range 1000 {
						want = append(want, fmt.Sprintf("%03d", i))
					}
				}
				if got := stored(t, conf.Dir, "Pkts", want...); c.kept >= 0 && len(got) != c.kept {
					t.Errorf("stored: %q, want %d", got, c.kept)
				}
				if left := files(t, conf.Dir, "*.new"); len(left) > 0 {
					t.Errorf("files that are not complete: %v", left)
				}
				s := recovered(t, dir, conf, c.left)
				got := stored(t, conf.Dir, "Pkts", want...)
				if c.is != nil && !slices.Equal(got, c.is) || c.is == nil && c.kept < 0 && len(got) < 100 {
					t.Errorf("stored at last: %d", len(got))
				}
				if key := keys(s); key != c.key {
					t.Errorf("findings: %q, want %q", key, c.key)
				}
				tidy(t, conf.Dir)
			})
		})
	}
}

// recovered runs campaigns on the directory: while the disk is full, with one page, which
// is enough to begin but not to recover what is left, and with enough. It returns what came
// of the last.
func recovered(t *testing.T, dir string, conf Config, left bool) *Summary {
	t.Helper()
	if err := fill(dir, 0); err != nil {
		t.Fatal(err)
	}
	conf.Time = time.Second
	begins := with(func(*run) error { t.Error("it begins on a full disk"); return nil })
	if _, err := fuzz(t.Context(), conf, begins); !isFull(err) {
		t.Errorf("the next one: %v", err)
	}
	if err := fill(dir, 1); err != nil { // enough to begin, not to recover
		t.Fatal(err)
	}
	if _, err := fuzz(t.Context(), conf, with((*run).rest)); isFull(err) != left {
		t.Errorf("one that recovers: %v", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "nr_blocks=1000"); err != nil {
		t.Fatal(err)
	}
	s, err := fuzz(t.Context(), conf, with((*run).rest))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keys returns the keys of all findings.
func keys(s *Summary) string {
	var list []string
	for _, r := range s.Results {
		for _, f := range r.Findings {
			list = append(list, f.Outcome.Key())
		}
	}
	return strings.Join(list, ", ")
}
