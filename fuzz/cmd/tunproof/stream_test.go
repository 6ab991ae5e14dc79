// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// streamLimit is the memory that a command may use whatever the size of a capture: 256 MB.
const streamLimit = 256 << 20

// writeStream writes a capture of about mb megabytes, with large and small TCP and UDP
// packets of 50 flows, and returns the number of packets.
func writeStream(t *testing.T, name string, mb int) (packets int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := bufio.NewWriterSize(f, 1<<20)
	w, err := pcap.NewWriter(b, pcap.Classic)
	if err != nil {
		t.Fatal(err)
	}
	var flows []scenario.Packet
	for i := range 50 {
		p := []scenario.Packet{scenario.TCP4(0), scenario.TCP6(0), scenario.UDP4(0), scenario.UDP6(0)}[i%4]
		p.SrcPort = uint16(2000 + i)
		flows = append(flows, p)
	}
	at := time.Unix(1_700_000_000, 0)
	for total, i := 0, 0; total < mb<<20; i++ {
		p := &flows[i%len(flows)]
		size := 1400
		if i%10 == 9 {
			size = 80
		}
		for k := 12; k > 0; k-- {
			*p = p.Next(size)
			binary.BigEndian.PutUint64(p.Payload, uint64(packets))
			if k == 1 {
				p.Flags |= scenario.PSH
			}
			packets++
			at = at.Add(10 * time.Microsecond)
			data := p.Bytes()
			total += len(data) + 16
			if err := w.Write(pcap.Packet{Time: at, Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	return packets
}

// TestStreams runs each command that reads captures on a long capture, in a process of its
// own, and checks that its memory stays below streamLimit. With LONG=1 the capture is
// larger than the limit. TUNPROOF_STREAM_MB sets the size.
func TestStreams(t *testing.T) {
	mb := 8
	switch {
	case os.Getenv("LONG") == "1":
		mb = 300
	case testing.Short():
		mb = 1
	default:
		t.Log("8 MB are too few to show a leak: LONG=1 reads 300 MB")
	}
	if s := os.Getenv("TUNPROOF_STREAM_MB"); s != "" {
		var err error
		if mb, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "stream.pcap")
	packets := writeStream(t, name, mb)
	out, supers := filepath.Join(dir, "out"), filepath.Join(dir, "supers.pcapng")
	for _, args := range [][]string{
		{"check", "-wire", name},
		{"compare", name, name},
		{"anonymise", "-o", out, name},
		{"check", "-wire", filepath.Join(out, "stream.pcap")},
		{"replay", "-q", name},
		{"replay", "-q", "-pcap", supers, name},
		{"compare", name, supers},
	} {
		start := time.Now()
		stdout, stderr, state := ownProcess(t, []string{"GOGC=100"}, args...) // as a user has it; make test sets another
		took := time.Since(start)
		memory := maxRSS(state)
		if state.ExitCode() != record.ExitHolds {
			t.Fatalf("%v: exit code %d\n%.2000s%.2000s", args, state.ExitCode(), stdout, stderr)
		}
		t.Logf("%s: %d MB, %d packets in %.1f s, %d MB of memory", args[0], mb, packets, took.Seconds(), memory>>20)
		if memory > streamLimit && !testing.Short() { // the race detector needs memory of its own, and its runs are short
			t.Errorf("%s uses %d MB of memory", args[0], memory>>20)
		}
	}
}
