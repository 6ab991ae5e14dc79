// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// TestJudges runs check on inputs rebuilt from public bug reports, and on right traffic
// that looks wrong at first: what it says of each, and the exit code.
func TestJudges(t *testing.T) {
	for name, want := range map[string]struct {
		code int
		says []string // each is in the output
		not  []string // none is
	}{
		"needs-csum-over-complete.txt":        {1, []string{"want 841f", "a complete checksum where the partial one belongs"}, nil},
		"needs-csum-over-complete-tso.pcapng": {1, []string{"want 8427", "a complete checksum where the partial one belongs"}, nil},
		"needs-csum-field-zero.pcapng":        {1, []string{"want 8427", "never filled in"}, []string{"want eb95"}},
		"big-tcp6.pcap":                       {0, []string{"presumed BIG TCP", "holds: 1 packet"}, []string{"wireguard-go"}},
		"padding-in-checksum-raw.pcap":        {1, []string{"packets 1-4 (4 times): tcp.checksum is 04bb", "it covers 6 bytes past the end of the packet", "4 packets with padding"}, []string{"ip.total_length"}},
		"ip-checksum-without-options.pcap":    {1, []string{"packets 1-3 (3 times): ip.checksum is af74", "the options were left out"}, []string{"ECN", "like:"}},
		"checksum-over-itself.pcap":           {1, []string{"packets 1-3 (3 times): tcp.checksum is 0000", "never filled in, or summed over itself"}, []string{"packet 1's"}},
		"superpacket-ip-checksum-0.pcapng":    {1, []string{"ip.checksum is 0000, want a1ec", "never filled in"}, []string{"suspect", "like:"}},
		"null-ethertype.pcap":                 {0, []string{"holds: 1 packet"}, []string{"not IP"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, stderr, code := call(t, "check", "testdata/judges/"+name)
			if code != want.code {
				t.Errorf("exit code %d, want %d", code, want.code)
			}
			for _, text := range want.says {
				if !strings.Contains(out, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			for _, text := range want.not {
				if strings.Contains(out, text) {
					t.Errorf("it says %q", text)
				}
			}
			if t.Failed() {
				t.Logf("%s%s", out, stderr)
			}
		})
	}
	if record.ExitViolation != 1 || record.ExitHolds != 0 {
		t.Error("the exit codes are others")
	}
}

// TestJudgesCompare runs compare on both sides of such inputs.
func TestJudgesCompare(t *testing.T) {
	for name, want := range map[string]struct {
		after string
		code  int
		says  string
	}{
		"datagrams-glued":  {"datagrams-glued-after.pcap", 1, "udp.length (offset 24): 000a, was 0009"},
		"the same, by GRO": {"datagrams-glued-after-partial.pcap", 0, "holds: 2 segments"},
	} {
		out, stderr, code := call(t, "compare", "testdata/judges/datagrams-glued-before.pcap", "testdata/judges/"+want.after)
		if code != want.code || !strings.Contains(out, want.says) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, stderr)
		}
	}
}

// TestExcerpt writes the packets that show a finding, and judges these.
func TestExcerpt(t *testing.T) {
	dir := t.TempDir() + "/"
	const judges = "testdata/judges/"
	for _, c := range []struct {
		args  []string
		code  int
		says  string // on standard error
		again []string
	}{
		{[]string{"check", "-o", dir + "a", judges + "padding-in-checksum-raw.pcap"}, 1, "check: " + dir + "a: 1 packet\n", []string{"check", dir + "a"}},
		{[]string{"compare", "-o", dir + "b", judges + "datagrams-glued-before.pcap", judges + "datagrams-glued-after.pcap"}, 1, "b-after.pcapng: 1 packet\n", []string{"compare", dir + "b-before.pcapng", dir + "b-after.pcapng"}},
		{[]string{"check", "-o", dir + "c", judges + "big-tcp6.pcap"}, 0, "is not written: nothing was found", nil},
		{[]string{"compare", "-o", dir + "c", judges + "big-tcp6.pcap", judges + "big-tcp6.pcap"}, 0, "is not written: nothing was found", nil},
		{[]string{"check", "-o", dir + "c", "-"}, 2, "standard input", nil},
		{[]string{"check", "-o", "-", judges + "big-tcp6.pcap"}, 2, "-o writes to a file", nil},
		{[]string{"check", "-o", judges + "big-tcp6.pcap", judges + "big-tcp6.pcap"}, 2, "would be overwritten", nil},
		{[]string{"check", "-o", dir + "c", judges + "big-tcp6.pcap", judges + "big-tcp6.pcap"}, 2, "-o is for one capture", nil},
	} {
		out, stderr, code := call(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, out, stderr)
		}
		if c.again != nil {
			if out, stderr, code := call(t, c.again...); code != 1 {
				t.Errorf("%v: exit code %d\n%s%s", c.again, code, out, stderr)
			}
		}
	}
}

// TestCheckLive checks a capture that still goes on: a finding is printed before the next
// packet comes, and an interrupt ends it with the verdict.
func TestCheckLive(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		in, capture := io.Pipe()
		out, printed := io.Pipe()
		code := make(chan int)
		go func() {
			got := run(ctx, streams{in, printed, io.Discard}, []string{"check", "-"})
			printed.Close()
			code <- got
		}()
		p := scenario.TCP4(100)
		var file bytes.Buffer
		w, err := pcap.NewWriter(&file, pcap.NG)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i := 1; i <= 3; i++ {
			b := p.Bytes()
			b[len(b)-1]++
			if err := w.Write(pcap.Packet{Data: b}); err != nil {
				t.Fatal(err)
			}
			capture.Write(file.Bytes())
			file.Reset()
			if want := fmt.Sprintf("packet %d: tcp.checksum ", i); !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
				t.Fatalf("it prints %q, want %q", lines.Text(), want)
			}
			p = p.Next(100)
		}
		if interrupted {
			cancel()
		} else {
			capture.Close()
		}
		last := ""
		for lines.Scan() {
			last = lines.Text()
		}
		if got := <-code; got != record.ExitViolation || last != "VIOLATED: 3 findings in 3 packets" {
			t.Errorf("interrupted %t: exit code %d, last line %q", interrupted, got, last)
		}
		cancel()
	}
}
