// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// fileOf writes a classic capture of n packets and returns its bytes.
func fileOf(t *testing.T, name string, n int) []byte {
	t.Helper()
	p := scenario.TCP4(10)
	var list []pcap.Packet
	for range n {
		list = append(list, pcap.Packet{Time: time.Unix(1_700_000_000, 0), Data: p.Bytes()})
		p = p.Next(10)
	}
	return writeClassic(t, name, list)
}

// writeClassic writes packets as a classic capture and returns its bytes.
func writeClassic(t *testing.T, name string, list []pcap.Packet) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := pcap.Write(&file, list); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestNothingHalf checks that after an error no copy of any capture is left, that nothing
// was reported, and that the error names the file.
func TestNothingHalf(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	whole := fileOf(t, in("good.pcap"), 3)
	fileOf(t, in("long.pcap"), 1000)
	for name, text := range map[string]string{"damaged.pcap": string(whole[:32]) + "\xff\xff\xff\x7f" + string(whole[36:]), "empty.pcap": "", "text.txt": "what is this",
		"vnet.txt": "# vnet flags=x\n450000140000000040010000c0000201c0000202\n", "other.pcap": string(whole[:20]) + "\x07\x00\x00\x00" + string(whole[24:])} {
		if err := os.WriteFile(in(name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	few := anonymiser(t, 0)
	few.most = 1
	for _, test := range []struct {
		name string
		ctx  context.Context
		a    *Anonymiser
		in   []string
		want string
	}{
		{"damaged", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("damaged.pcap")}, "damaged.pcap: offset "},
		{"the first of two", t.Context(), anonymiser(t, 0), []string{in("damaged.pcap"), in("good.pcap")}, "damaged.pcap: offset "},
		{"missing", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("missing.pcap")}, "missing.pcap"},
		{"empty", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("empty.pcap")}, "empty.pcap: "},
		{"no packets", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("text.txt")}, "text.txt: "},
		{"link type", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("other.pcap")}, "other.pcap: offset 20: link type 7"},
		{"a directory", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), dir}, dir + ": is a directory"},
		{"VnetHdr", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("vnet.txt")}, "vnet.txt: packet 1: comment "},
		{"addresses", t.Context(), few, []string{in("good.pcap")}, "good.pcap: packet 1: more than 1 addresses"},
		{"interrupted at once", cancelled, anonymiser(t, 0), []string{in("good.pcap")}, "interrupted"},
		{"interrupted", cancelled, anonymiser(t, 0), []string{in("good.pcap"), in("long.pcap")}, "interrupted"},
		{"two of one name", t.Context(), anonymiser(t, 0), []string{in("good.pcap"), in("x/good.pcap")}, "would both be written to"},
	} {
		var out bytes.Buffer
		to := filepath.Join(t.TempDir(), "new", "copies")
		n, err := test.a.Files(test.ctx, strings.NewReader(""), &out, io.Discard, to, test.in)
		if err == nil || !strings.Contains(err.Error(), test.want) || n != 0 || out.Len() > 0 {
			t.Errorf("%s: %d packets, %v, want %q\n%s", test.name, n, err, test.want, &out)
		}
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			left, _ := os.ReadDir(to)
			t.Errorf("%s: %v is left: %v", test.name, left, err)
		}
	}
}

// TestNotOverwritten checks that no file is replaced, not even one that appears during the
// run, and that no other copy is left then.
func TestNotOverwritten(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	name, other := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	whole := fileOf(t, name, 3)
	fileOf(t, other, 3)
	check := func(what string, names ...string) {
		t.Helper()
		var exists NameError
		if _, err := anonymiser(t, 0).Files(t.Context(), &appearing{bytes.NewReader(whole), filepath.Join(to, "b.pcap")}, io.Discard, io.Discard, to, names); !errors.As(err, &exists) {
			t.Errorf("%s: %v", what, err)
		}
		left, err := os.ReadDir(to)
		if err != nil || len(left) != 1 {
			t.Errorf("%s: %v, %v", what, left, err)
		}
		if b, err := os.ReadFile(filepath.Join(to, "b.pcap")); err != nil || string(b) != "mine" {
			t.Errorf("%s: the file holds %q, %v", what, b, err)
		}
	}
	check("during the run", name, other, "-")
	check("before the run", name, other)
	if err := os.Remove(filepath.Join(to, "b.pcap")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(to, "b.pcap")); err != nil {
		t.Fatal(err)
	}
	if _, err := anonymiser(t, 0).Files(t.Context(), nil, io.Discard, io.Discard, to, []string{other}); err == nil {
		t.Error("a symbolic link was replaced")
	}
}

// appearing is a capture that writes a file when it is read.
type appearing struct {
	r    io.Reader
	name string
}

func (a *appearing) Read(b []byte) (int, error) {
	if err := os.WriteFile(a.name, []byte("mine"), 0o666); err != nil {
		return 0, err
	}
	return a.r.Read(b)
}

// TestNumbers checks that packets keep their numbers and times where records were left out.
func TestNumbers(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "in.pcap")
	b := fileOf(t, name, 5)
	size := (len(b) - 24) / 5
	for _, cut := range []int{0, 2, 4} { // their captured length is below that on the wire
		b[24+cut*size+12]++
	}
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := anonymiser(t, 0).Files(t.Context(), nil, &out, io.Discard, filepath.Join(dir, "out"), []string{name}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	copied, err := os.ReadFile(filepath.Join(dir, "out", "in.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	was, skipped, err := pcap.ReadAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	is, skippedNow, err := pcap.ReadAll(bytes.NewReader(copied))
	if err != nil || len(is) != len(was) || len(skippedNow) != len(skipped) {
		t.Fatalf("%d packets, %d left out, want %d, %d: %v", len(is), len(skippedNow), len(was), len(skipped), err)
	}
	if last := skippedNow[len(skippedNow)-1].Why; !strings.HasPrefix(last, "cut by the capture to 50 of ") {
		t.Errorf("a record that was cut is %q in the copy", last)
	}
	for i, p := range is {
		if p.Number != was[i].Number || !p.Time.Equal(was[i].Time) {
			t.Errorf("packet %d at %v was packet %d at %v", p.Number, p.Time, was[i].Number, was[i].Time)
		}
	}
	if want := "3 of the 5 records 1-5 left out"; !strings.Contains(out.String(), want) {
		t.Errorf("it does not say %q: %s", want, &out)
	}
}
