// SPDX-License-Identifier: MIT

package tun

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/offload"
)

func cases(t *testing.T) []corpus.Case {
	t.Helper()
	list, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// corpusPackets calls f with every packet of the corpus.
func corpusPackets(t *testing.T, f func(h offload.VnetHdr, b []byte)) {
	t.Helper()
	n := 0
	for _, c := range cases(t) {
		if c.Op == pkts.OpChecksum {
			continue
		}
		for _, batch := range c.Batches {
			for _, in := range batch.In {
				v := in.Vnet
				f(offload.VnetHdr{Flags: offload.Flags(v.Flags), GSOType: offload.GSOType(v.GSOType), HdrLen: v.HdrLen,
					GSOSize: v.GSOSize, CsumStart: v.CsumStart, CsumOffset: v.CsumOffset}, in.Data)
				n++
			}
		}
	}
	if n < 1000 {
		t.Fatalf("%d packets in the corpus", n)
	}
}

// TestRecordClasses records every packet of the corpus without its payload, and
// checks that its length, headers and checksum class are unchanged.
func TestRecordClasses(t *testing.T) {
	classes := map[string]int{}
	corpusPackets(t, func(h offload.VnetHdr, b []byte) {
		r := newRecorder(Record{Packets: 1})
		r.read(h, b)
		r.in.packets(func(k *kept, got []byte) {
			n, _ := headersOf(h, b)
			if len(got) != len(b) || !bytes.Equal(got[:n], b[:n]) || k.hdr != h || n > maxKept {
				t.Fatalf("%+v: got\n% x, want\n% x", h, got[:n], b[:n])
			}
			if n == maxKept {
				return // the headers are longer than the record
			}
			if packet.Checksum(got) != packet.Checksum(b) {
				t.Fatalf("%+v: checksum is %s, want %s:\n% x\n% x", h, packet.Checksum(got), packet.Checksum(b), b, got)
			}
			for i, c := range got[min(n+2, len(got)):] {
				if c != 0 {
					t.Fatalf("payload byte %d is recorded", i)
				}
			}
		})
		classes[packet.Checksum(b).String()]++
	})
	for _, c := range []string{"right", "partial", "wrong"} {
		if classes[c] < 10 {
			t.Errorf("%d packets whose checksum is %s", classes[c], c)
		}
	}
	t.Log(classes)
}

// TestRecordReasons joins every batch of the corpus and its record, and checks that
// the results are the same.
func TestRecordReasons(t *testing.T) {
	for _, c := range cases(t) {
		if c.Op != pkts.OpCoalesce {
			continue
		}
		cfg := offload.Config{AtomicIDs: c.Config.AtomicIDs, MaxSegments: c.Config.MaxSegments, MaxUDPSegments: c.Config.MaxUDPSegments,
			MaxOpen: c.Config.MaxOpen, MaxPerFlow: c.Config.MaxPerFlow, DisableTCPv4: c.Config.DisableTCPv4,
			DisableTCPv6: c.Config.DisableTCPv6, DisableUDP: c.Config.DisableUDP}
		if c.Config.Reorder {
			cfg.Order = offload.Reorder
		}
		co, err := offload.NewCoalescer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := newRecorder(Record{Packets: 5000})
		for _, batch := range c.Batches {
			r.wrote(data(batch), cfg)
		}
		var text bytes.Buffer
		if err := r.dump(&text, pkts.OpCoalesce, c.ID, "tun0"); err != nil {
			t.Fatal(err)
		}
		back, err := pkts.Parse(c.ID, text.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if back.Config != caseConfig(cfg) {
			t.Errorf("%s: %+v", c.ID, back.Config)
		}
		at := 0
		for _, batch := range c.Batches {
			if len(batch.In) == 0 {
				continue // nothing to record
			}
			if at == len(back.Batches) {
				t.Fatalf("%s: %d batches", c.ID, at)
			}
			if got, want := reasons(co, data(back.Batches[at])), reasons(co, data(batch)); got != want {
				t.Errorf("%s, batch %d: %s, want %s", c.ID, at, got, want)
			}
			at++
		}
	}
}

func data(b pkts.Batch) [][]byte {
	var list [][]byte
	for _, in := range b.In {
		list = append(list, in.Data)
	}
	return list
}

func reasons(co *offload.Coalescer, batch [][]byte) string {
	var s []string
	for _, p := range co.Coalesce(batch) {
		s = append(s, fmt.Sprint(p.Packets()))
	}
	for i := range batch {
		s = append(s, co.Reason(i).String())
	}
	return strings.Join(s, " ")
}

// TestRing checks which packets are kept, that their batches are kept apart, and that
// they are complete if Payload is set.
func TestRing(t *testing.T) {
	r := newRecorder(Record{Packets: 3, Payload: true})
	for i := range 3 {
		r.wrote([][]byte{{0x45, byte(2 * i)}, {0x45, byte(2*i + 1)}}, offload.Config{})
	}
	r.wrote([][]byte{nil}, offload.Config{MaxOpen: 7})
	r.read(offload.VnetHdr{Flags: 1, GSOSize: 5}, []byte{0x60})
	dump := func(op string) string {
		var b bytes.Buffer
		if err := r.dump(&b, op, "two\nlines", "tun7"); err != nil {
			t.Fatal(err)
		}
		if _, err := pkts.Parse("dump", b.Bytes()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := `# format: 1
# op: coalesce
# why: two lines
# source: the recorder of TUN tun7
# config: max_open=7
# batch:
# in:
0000  45 04
# in:
0000  45 05
# batch:
# in:
`
	if got := dump(pkts.OpCoalesce); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = `# format: 1
# op: segment
# why: two lines
# source: the recorder of TUN tun7
# batch:
# in: flags=1 gso_type=0 hdr_len=0 gso_size=5 csum_start=0 csum_offset=0
0000  60
`
	if got := dump(pkts.OpSegment); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := newRecorder(Record{}).dump(&bytes.Buffer{}, pkts.OpSegment, "", ""); !errors.Is(err, errNoRecord) {
		t.Error(err)
	}
}

// TestConfig checks which Configs are refused, and the defaults.
func TestConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Queues: -1}, {Queues: 257}, {Name: "sixteen-bytes-xx"}, {Name: "a/b"}, {Name: "a\x00"},
		{Record: Record{Packets: -1}}, {Record: Record{Packets: 1 << 30}}, {Record: Record{Dir: os.TempDir()}}, {Record: Record{Packets: 1, Dir: "/no/such"}},
		{Coalesce: offload.Config{MaxSegments: 2000}}, {ExactIDs: true, Coalesce: offload.Config{AtomicIDs: true}},
		{Coalesce: offload.Config{AtomicIDs: true}},
	} {
		if _, err := cfg.check(); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	for _, exact := range []bool{false, true} {
		cfg, err := Config{ExactIDs: exact}.check()
		if err != nil || cfg.Queues != 1 || cfg.Coalesce.AtomicIDs == exact || cfg.MultiQueue {
			t.Errorf("%+v, %v", cfg, err)
		}
	}
}
