// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/scenario"
)

// TestTcpdump checks that others open what is written here: tcpdump, and for the
// comments tshark. It is skipped where they are not installed.
func TestTcpdump(t *testing.T) {
	packets := []Packet{
		{Time: time.Unix(1700000000, 123456789), Data: scenario.TCP4(100).Bytes(), Comment: "vnet flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0"},
		{Time: time.Unix(1700000001, 0), Data: scenario.UDP6(10).Bytes()},
	}
	for _, f := range []Format{Classic, NG} {
		var b bytes.Buffer
		w, err := NewWriter(&b, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packets {
			if err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(t.TempDir(), "written")
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		out := tool(t, "tcpdump", "--nano", "-ttnnr", name)
		for _, want := range []string{"1700000000.123456789 IP 192.0.2.1.1500 > 192.0.2.2.8000: Flags [.], seq 1:101, ack 1, win 512, length 100",
			"1700000001.000000000 IP6 2001:db8::1.1500 > 2001:db8::2.8000: UDP, length 10"} {
			if !strings.Contains(out, want) {
				t.Errorf("format %d: tcpdump shows no %q in\n%s", f, want, out)
			}
		}
		if f == NG {
			if out := tool(t, "tshark", "-r", name, "-T", "fields", "-e", "frame.comment"); !strings.HasPrefix(out, packets[0].Comment+"\n") {
				t.Errorf("tshark shows the comment as %q", out)
			}
		}
	}
}

// tool runs a program on a file, or skips.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	var errs bytes.Buffer
	c := exec.Command(path, args...)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, errs.String())
	}
	return string(out)
}
