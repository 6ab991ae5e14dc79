package campaign

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tunproof/fuzz/execute"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/seeds"
	"tunproof/fuzz/target"
)

// TestKept checks that an input is stored so that it reads the same: each seed, and some
// changes of it, more with LONG=1.
func TestKept(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	cases, raw := 0, 0
	var scenarios [][]byte // the seeds of all targets that read them
	for _, tg := range target.Targets() {
		list, changes := scenarios, 1
		if !Scenarios(tg.Name) || scenarios == nil {
			var err error
			if list, err = seeds.Of(tg.Name); err != nil {
				t.Fatal(err)
			}
		}
		if Scenarios(tg.Name) {
			scenarios = slices.Clip(list)
		}
		if !Scenarios(tg.Name) || os.Getenv("LONG") != "" {
			changes = 4
		}
		list = append(list, []byte{}, []byte{1}, []byte("\x01\x00\x06\x06"), []byte("\x01\x00\x00\xff\xff\xff\xff\x03"))
		for _, b := range list {
			for range 1 + changes {
				b = append([]byte{}, b...)
				text, ext := Kept(tg.Name, b)
				if text == nil {
					if s := scenario.Decode(b); !Scenarios(tg.Name) || len(s.Batches)+len(s.Supers) > 0 {
						t.Fatalf("%s: %x is not kept", tg.Name, b)
					}
				} else {
					got, err := Input("a"+ext, text)
					if err != nil {
						t.Fatalf("%s: %x: %v", tg.Name, b, err)
					}
					if ext == ".raw" {
						raw++
					} else {
						cases++
					}
					if !bytes.Equal(got, b) && (!Scenarios(tg.Name) || !scenario.Decode(got).Equal(scenario.Decode(b))) {
						t.Fatalf("%s: %x is kept as\n%s", tg.Name, b, text)
					}
				}
				if len(b) > 2 {
					b[2+r.IntN(len(b)-2)] = byte(r.Uint32())
				}
			}
		}
	}
	if cases < 10_000 || raw < 1000 {
		t.Errorf("%d cases, %d raw", cases, raw)
	}
}

// TestNativeForm checks that an input survives the form of Go's engine, and that text in
// another form is an error that names the line.
func TestNativeForm(t *testing.T) {
	for _, b := range []string{"", "a\n\"\\\x00\xff", "π"} {
		got, err := ParseNative(FormatNative([]byte(b)))
		if err != nil || string(got) != b {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
	for text, want := range map[string]string{"": "1: want", "go test fuzz v1\nint(3)\n": "2: want", "go test fuzz v1\n[]byte(\"": "2: want"} {
		if _, err := ParseNative([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestFindings checks that of findings with one key the smallest is stored, in whatever
// order and from whatever goroutine they come.
func TestFindings(t *testing.T) {
	s := Store{t.TempDir()}
	o := execute.Outcome{Property: "P4", Where: "tcp.flags [segment 2]/" + strings.Repeat("x", 200)}
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
		file, isNew, err := s.AddFinding("Agree", execute.Outcome{Property: "P4", Where: add.where}, []byte(add.text), add.ext, func(string) bool { return add.still })
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

// TestBuildScript checks that the builds of fuzzing farms are instrumented like those of
// campaigns.
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

// TestEntry checks that libFuzzer's program panics in another function for each property.
func TestEntry(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("..", "libfuzzer", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range target.Targets() {
		f := "violated" + strings.ToUpper(tg.ID[:1]) + tg.ID[1:]
		if !bytes.Contains(src, []byte(fmt.Sprintf("%q: %s,", tg.ID, f))) || !bytes.Contains(src, []byte("//go:noinline\nfunc "+f+"(err error) { panic(err) }")) {
			t.Errorf("%s has no function %s", tg.ID, f)
		}
	}
}
