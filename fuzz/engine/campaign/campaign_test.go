package campaign

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/engine/crasher"
	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
)

// TestFindings checks that of findings with one key the smallest is kept, whatever the
// order, and whoever writes.
func TestFindings(t *testing.T) {
	s := Store{t.TempDir()}
	o := serve.Outcome{Property: "P4", Where: "tcp.flags [segment 2]/" + strings.Repeat("x", 200)}
	still := func(string) bool { return true }
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for k := range 20 {
				n := 1 + (k*37+i*11)%100
				if _, _, err := s.AddFinding("Agree", o, bytes.Repeat([]byte("x"), n), ".pkts", still); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	files, _ := filepath.Glob(filepath.Join(s.Dir, "findings", "*", "*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if b, err := os.ReadFile(files[0]); err != nil || len(b) != 1 {
		t.Errorf("%s: %d bytes, %v", files[0], len(b), err)
	}
	for _, add := range []struct {
		where, text, ext string
		still            bool
		isNew            bool
		kept             string // the file's end
		is               string // what is in it
	}{
		{o.Where, "larger", ".pkts", true, false, ".pkts", "x"},
		{o.Where, "", ".fuzz", true, false, ".pkts", "x"}, // no case
		{o.Where, "larger", ".pkts", false, false, ".pkts", "larger"},
		{"ip.id", "other", ".fuzz", true, true, ".fuzz", "other"},
		{"ip.id", "a case of it", ".pkts", true, false, ".pkts", "a case of it"},
	} {
		file, isNew, err := s.AddFinding("Agree", serve.Outcome{Property: "P4", Where: add.where}, []byte(add.text), add.ext, func(string) bool { return add.still })
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); isNew != add.isNew || !strings.HasSuffix(file, add.kept) || string(b) != add.is || err != nil {
			t.Errorf("%+v: %s has %q, new: %v, %v", add, file, b, isNew, err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(s.Dir, "findings", "*", "*")); len(files) != 2 {
		t.Error(files)
	}
}

// TestBuildScript checks that what farms build is instrumented as campaigns are.
func TestBuildScript(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, ".clusterfuzzlite", "build.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "instrument=(")
	list, _, _ = strings.Cut(list, ")")
	if got := strings.Fields(list); !slices.Equal(got, Instrument()) {
		t.Errorf("build.sh has %q, want %q", got, Instrument())
	}
}

// TestEntry checks that each property panics in a function of its own.
func TestEntry(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("..", "libfuzzer", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range targets.All() {
		f := "violated" + strings.ToUpper(tg.ID[:1]) + tg.ID[1:]
		if !bytes.Contains(src, []byte(fmt.Sprintf("%q: %s,", tg.ID, f))) || !bytes.Contains(src, []byte("//go:noinline\nfunc "+f+"(err error) { panic(err) }")) {
			t.Errorf("%s has no function %s", tg.ID, f)
		}
	}
}

// settings are those of a short campaign; what it says goes to the log.
func settings(t *testing.T, dir string, names ...string) Config {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Root: root, Dir: dir, Engine: "native", Time: 4 * time.Second, AtOnce: 1, Workers: 2, Blind: true,
		Limits: serve.Limits{Time: 10 * time.Second, Memory: 1024}, Say: func(f string, args ...any) { t.Logf(f, args...) }}
	for _, n := range names {
		tg, ok := targets.Named(n)
		if !ok {
			t.Fatalf("no target %s", n)
		}
		c.Targets = append(c.Targets, tg)
	}
	return c
}

// whole checks that every file that is kept reads, and counts the inputs.
func whole(t *testing.T, dir string) int {
	n := 0
	for _, tg := range targets.All() {
		inputs, err := Store{dir}.Inputs(tg.Name, nil)
		if err != nil {
			t.Error(err)
		}
		n += len(inputs)
	}
	return n
}

// TestPlanted checks that a campaign finds a bug, keeps a case of it, and says so once.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the fuzz targets")
	}
	c := settings(t, t.TempDir(), "Agree", "Equation")
	bugs := mutants.Bugs()
	c.Plant = &bugs[slices.IndexFunc(bugs, func(b mutants.Bug) bool { return b.Name == canaryBug })]
	c.Time, c.Empty = time.Minute, true
	c.First = true
	s, err := Fuzz(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	found := slices.Concat(s.Results[0].Findings, s.Results[1].Findings)
	if len(found) != 1 || !found[0].New {
		t.Fatalf("%+v", found)
	}
	text, err := os.ReadFile(found[0].File)
	if err != nil {
		t.Fatal(err)
	}
	k, err := pkts.Parse(found[0].File, text)
	if err != nil {
		t.Fatal(err)
	}
	in := scenario.FromCase(k)
	if n := scenario.Items(&in); n < 2 || n > 4 {
		t.Errorf("the case has %d packets:\n%s", n, text)
	}
	if err := law.Case(k, nil); err != nil {
		t.Errorf("without the bug: %v", err)
	}
	if again, err := Fuzz(t.Context(), c); err != nil || len(again.Results[0].Findings)+len(again.Results[1].Findings) != 1 {
		t.Errorf("again: %v, %+v", err, again)
	} else if f := slices.Concat(again.Results[0].Findings, again.Results[1].Findings)[0]; f.New && f.Outcome.Key() == found[0].Outcome.Key() && f.Target.Name == found[0].Target.Name {
		t.Errorf("it is new again: %+v", f)
	}
}

// TestRecovery checks that a campaign keeps what one that was killed left behind,
// with a file that was cut, and that one that runs is left alone.
func TestRecovery(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the fuzz targets")
	}
	dir := t.TempDir()
	left := func(name, engine string) string {
		work := filepath.Join(dir, "work", name)
		if err := write(filepath.Join(work, "engine"), []byte(engine)); err != nil {
			t.Fatal(err)
		}
		return work
	}
	put := func(b []byte, parts ...string) {
		if err := write(filepath.Join(parts...), b); err != nil {
			t.Fatal(err)
		}
	}
	list, err := orderSeeds()
	if err != nil {
		t.Fatal(err)
	}
	killed := left("killed", "native")
	for i, b := range list[:20] {
		put(crasher.Format(b), killed, "Order", "cache", "FuzzOrder", fmt.Sprint(i))
	}
	put([]byte("go test fuzz v1\n[]byte(\"\\x01"), killed, "Order", "cache", "FuzzOrder", "cut")
	put(crasher.Format(list[20]), killed, "Order", "cache", "FuzzOrder", givenPrefix+"x")
	put(crasher.Format(list[21]), killed, "Order", "testdata", "fuzz", "FuzzOrder", "fails-not")
	for i, b := range list[22:32] {
		put(b, left("killed2", "libfuzzer"), "Order", "inputs", fmt.Sprint(i))
	}
	running := left("running", "native")
	put(crasher.Format(list[40]), running, "Order", "cache", "FuzzOrder", "0")
	lock, err := os.Create(filepath.Join(running, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if ok, err := lockFile(lock, true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c := settings(t, dir, "Checksum")
	c.Time = 6 * time.Second
	s, err := Fuzz(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n := (Store{dir}).Len("Order"); n != 30 {
		t.Errorf("%d inputs are kept of 30", n)
	}
	whole(t, dir)
	if flaky, _ := filepath.Glob(filepath.Join(dir, "flaky", "FuzzOrder", "*")); len(flaky) != 1 {
		t.Errorf("what fails not: %v", flaky)
	}
	if rest, _ := os.ReadDir(filepath.Join(dir, "work")); len(rest) != 1 || rest[0].Name() != "running" {
		t.Errorf("left: %v", rest)
	}
	if s.Results[0].Execs == 0 {
		t.Errorf("%+v", s.Results[0])
	}
}

// TestTwo checks that two campaigns on one directory do no harm, also when one of them
// is interrupted.
func TestTwo(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the fuzz targets")
	}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wait sync.WaitGroup
	sums := make([]*Summary, 2)
	errs := make([]error, 2)
	for i := range 2 {
		c := settings(t, dir, "Order", "Pkts")
		c.Workers, c.Time = 1, 16*time.Second // for a machine that is busy
		wait.Go(func() {
			if i == 1 {
				c.Time = 0
				sums[1], errs[1] = Fuzz(ctx, c)
				return
			}
			defer stop()
			sums[0], errs[0] = Fuzz(t.Context(), c)
		})
	}
	wait.Wait()
	n := whole(t, dir)
	for i, s := range sums {
		if errs[i] != nil || s.Results[0].Execs == 0 {
			t.Fatalf("campaign %d: %v, %+v", i, errs[i], s)
		}
		for _, r := range s.Results {
			n -= r.New
		}
	}
	if n > 0 {
		t.Errorf("%d inputs more than both kept", n)
	}
	runs, err := Store{dir}.Runs()
	if err != nil || len(runs) != 2 {
		t.Errorf("%v, %v", runs, err)
	}
	if rest, _ := os.ReadDir(filepath.Join(dir, "work")); len(rest) != 0 {
		t.Errorf("left: %v", rest)
	}
}

// orderSeeds returns the seeds of the target Order.
func orderSeeds() ([][]byte, error) {
	t, _ := targets.Named("Order")
	return t.Seeds()
}
