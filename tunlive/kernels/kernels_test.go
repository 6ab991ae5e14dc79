// SPDX-License-Identifier: MIT

package kernels

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPackages checks that the newest complete kernel of a series is chosen.
func TestPackages(t *testing.T) {
	names := []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-56-amd64", "linux-image-6.1.0-57-rt-amd64",
		"linux-image-6.12-cloud-amd64", "linux-image-6.12.100+deb13-cloud-amd64", "linux-image-6.12.95+deb13-cloud-amd64", "linux-image-6.12.100+deb13-cloud-amd64-unsigned",
		"linux-image-7.1.13+deb13-cloud-amd64", "linux-binary-7.1.13+deb13-cloud-amd64", // without modules
		"linux-image-7.0.9+deb13-cloud-amd64", "linux-binary-7.0.9+deb13-cloud-amd64", "linux-modules-7.0.9+deb13-cloud-amd64"}
	for name, want := range map[string]string{"6.1": "linux-image-6.1.0-56-cloud-amd64", "6.12": "linux-image-6.12.100+deb13-cloud-amd64",
		"7": "linux-binary-7.0.9+deb13-cloud-amd64 linux-modules-7.0.9+deb13-cloud-amd64", "5.10": "", "6.18": "", "6.12-s390x": ""} {
		s, err := Named([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s[0].packages(names)
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Named([]string{"2.4"}); err == nil {
		t.Error("there is a series 2.4")
	}
}

// TestCpio reads an archive as the kernel does: headers of 110 bytes, names and data
// padded to 4 bytes.
func TestCpio(t *testing.T) {
	list := []entry{{"modules", directory | 0o755, nil}, {"modules/tun.ko", regular | 0o644, []byte("12345")}, {"init", regular | 0o755, []byte("1234")}}
	b := cpio(list)
	if len(b)%4 != 0 {
		t.Errorf("%d bytes", len(b))
	}
	var got []entry
	for at := 0; ; {
		field := func(n int) int {
			v, err := strconv.ParseUint(string(b[at+6+8*n:at+14+8*n]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("at %d: %q", at, b[at:at+6])
		}
		size, nameLen := field(6), field(11)
		e := entry{name: string(b[at+110 : at+110+nameLen-1]), mode: uint32(field(1))}
		data := (at + 110 + nameLen + 3) &^ 3
		e.data = b[data : data+size]
		at = (data + size + 3) &^ 3
		if e.name == "TRAILER!!!" {
			break
		}
		got = append(got, e)
	}
	if !slices.EqualFunc(got, list, func(a, b entry) bool { return a.name == b.name && a.mode == b.mode && bytes.Equal(a.data, b.data) }) {
		t.Errorf("%v", got)
	}
}

// TestGuest checks that the parts of a guest's output are told apart: the program,
// the kernel, the end.
func TestGuest(t *testing.T) {
	for _, c := range []struct {
		console  string
		out      string
		told     string
		code     int
		panicked bool
		last     string // last lines of the console
	}{
		{"[ 0.1] Linux\r\n" + Said + "=== RUN\r\n" + Said + "\r\n" + Said + "ok\r\n" + Told + "exit 3\r\n[ 9.9] reboot: Power down\r\n", "=== RUN\n\nok\n", "exit", 3, false, "[ 9.9] reboot: Power down"},
		{"[ 1.0] cut" + Said + "line\n" + Told + "timeout 0\n", "line\n", "timeout", 0, false, ""},
		{Said + "so far\n[ 2.0] Kernel panic - not syncing: sysrq\n[ 2.0] Call Trace", "so far\n", "", 0, true, "[ 2.0] Call Trace"},
		{"", "", "", 0, false, ""},
	} {
		var out bytes.Buffer
		done := 0
		g := guest{out: &out}
		if err := g.read(strings.NewReader(c.console), func() { done++ }); err != nil {
			t.Fatal(err)
		}
		last := ""
		if len(g.console) > 0 {
			last = g.console[len(g.console)-1]
		}
		if out.String() != c.out || g.told != c.told || g.code != c.code || g.panicked != c.panicked || last != c.last || (done == 1) != (c.told != "") {
			t.Errorf("%q: said %q, told %q %d, panicked %v, console ends with %q", c.console, out.String(), g.told, g.code, g.panicked, last)
		}
	}
}

// TestArch reads this test's own program, which is for this machine.
func TestArch(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("not on Linux: this program is no ELF file")
	}
	if arch, _, err := Arch(os.Args[0]); err != nil || machines[arch].program == "" && arch != "386" {
		t.Errorf("%s, %v", arch, err)
	}
	if _, _, err := Arch("kernels_test.go"); err == nil {
		t.Error("a text is a program")
	}
}
