// SPDX-License-Identifier: MIT

package offload

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVnetHdr(t *testing.T) {
	// V1, for all values of each field.
	for v := range 1 << 16 {
		h := VnetHdr{Flags(v), GSOType(v >> 8), uint16(v), ^uint16(v), uint16(v) * 7, uint16(v) ^ 0x5555, 0, 0}
		got, err := ParseVnetHdr(append(h.AppendTo([]byte("x"))[1:], "more"...))
		if err != nil || got != h {
			t.Fatalf("%+v comes back as %+v, %v", h, got, err)
		}
		h.OuterTHOffset, h.InnerNHOffset = uint16(v)*5, uint16(v)^0xAAAA
		got, err = ParseTunnelVnetHdr(append(h.AppendTunnelTo([]byte("x"))[1:], "more"...))
		if err != nil || got != h {
			t.Fatalf("%+v comes back as %+v, %v", h, got, err)
		}
	}
	if _, err := ParseVnetHdr(make([]byte, 9)); !errors.Is(err, ErrVnetHdr) {
		t.Errorf("9 bytes: %v", err)
	}
	if _, err := ParseTunnelVnetHdr(make([]byte, 23)); !errors.Is(err, ErrVnetHdr) {
		t.Errorf("23 bytes: %v", err)
	}
}

// TestTunnelVnetHdr checks the bytes of a header of 24 bytes. Those of a superpacket in a
// tunnel are the same on every machine. Others are in the machine's byte order, but for
// the last two fields.
func TestTunnelVnetHdr(t *testing.T) {
	h := VnetHdr{9, 0x25, 78, 1400, 70, 6, 20, 50}
	want := []byte{9, 0x25, 78, 0, 0x78, 5, 70, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 50, 0}
	if diff := cmp.Diff(want, h.AppendTunnelTo(nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h.GSOType = GSOUDPL4
	want = append(h.AppendTo(nil), want[VnetHdrLen:]...)
	if diff := cmp.Diff(want, h.AppendTunnelTo(nil)); diff != "" {
		t.Errorf("without a tunnel (-want +got):\n%s", diff)
	}
	used := bytes.Repeat([]byte{0xA5}, 64)
	if diff := cmp.Diff(want, h.AppendTunnelTo(used[:0])); diff != "" {
		t.Errorf("over other bytes (-want +got):\n%s", diff)
	}
	for i := VnetHdrLen; i < 20; i++ {
		want[i] = byte(i) // num_buffers and the hash are not read
	}
	if got, err := ParseTunnelVnetHdr(want); err != nil || got != h {
		t.Errorf("%+v, %v, want %+v", got, err, h)
	}
}

func TestConfig(t *testing.T) {
	for field, c := range map[string]Config{
		"Order":          {Order: 2},
		"MaxSegments":    {MaxSegments: 1023},
		"MaxUDPSegments": {MaxUDPSegments: 129},
		"MaxOpen":        {MaxOpen: -1},
		"MaxPerFlow":     {MaxPerFlow: 65},
	} {
		if _, err := NewCoalescer(c); err == nil || !strings.Contains(err.Error(), "Config."+field+" ") {
			t.Errorf("%+v: %v, want an error that names %s", c, err, field)
		}
	}
	if _, err := NewCoalescer(Config{MaxSegments: 1022, MaxUDPSegments: 128, MaxOpen: 65535, MaxPerFlow: 64}); err != nil {
		t.Error(err)
	}
	if _, err := NewCoalescer(Config{MaxOpen: 65536}); err == nil {
		t.Error("MaxOpen 65,536 is taken")
	}
}

func TestDefaults(t *testing.T) {
	got, err := Config{}.withDefaults()
	want := Config{MaxSegments: 256, MaxUDPSegments: 64, MaxOpen: 1024, MaxPerFlow: 4}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestKeys checks that an IPv4 and an IPv6 packet never share a key, even if the
// bytes of their addresses are equal.
func TestKeys(t *testing.T) {
	v4, v6 := flow{port: 1}.packet(0, 20), flow{v6: true, port: 1}.packet(0, 20)
	clear(v6[8:40])
	copy(v6[8:16], v4[12:20])
	for _, cut := range []int{len(v6), 43, 40} { // with a flow and without
		var p, q parsed
		p.parse(v4[:min(cut-20, len(v4))])
		q.parse(v6[:cut])
		if p.key == q.key || p.key.pair() == q.key.pair() {
			t.Errorf("keys %+v and %+v", p.key, q.key)
		}
	}
}

// TestSegmentersApart cuts two superpackets alternately: the Segmenters share
// nothing.
func TestSegmentersApart(t *testing.T) {
	var want [2][][]byte
	var s [2]Segmenter
	for i, f := range []flow{{port: 1}, {v6: true, port: 2}} {
		h := VnetHdr{GSOType: []GSOType{GSOTCPv4, GSOTCPv6}[i], GSOSize: 100}
		if err := s[i].Reset(h, f.packet(0, 350)); err != nil {
			t.Fatal(err)
		}
		want[i] = segments(t, &s[i])
	}
	for i, f := range []flow{{port: 1}, {v6: true, port: 2}} {
		h := VnetHdr{GSOType: []GSOType{GSOTCPv4, GSOTCPv6}[i], GSOSize: 100}
		if err := s[i].Reset(h, f.packet(0, 350)); err != nil {
			t.Fatal(err)
		}
	}
	for k := range want[0] {
		for i := range s {
			b := make([]byte, s[i].NextLen())
			if _, err := s[i].Next(b); err != nil || !bytes.Equal(b, want[i][k]) {
				t.Errorf("Segmenter %d, segment %d: %v", i, k, err)
			}
		}
	}
}

// TestRelease checks that after a large batch and a small one no packet of the large
// one is still referenced.
func TestRelease(t *testing.T) {
	co, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	co.Coalesce(batch(64, 20, flow{udp: true, port: 1}, flow{port: 1}, flow{port: 2}))
	co.Coalesce(nil)
	if co.pkts != nil {
		t.Error("Coalesce(nil) keeps its batch")
	}
	co.Coalesce(batch(64, 20, flow{port: 1}))
	if supers := co.Flush(); len(supers) != 0 || co.pkts != nil || len(co.reasons) != 0 {
		t.Errorf("Flush without Add: %d superpackets, %d packets, %d Reasons", len(supers), len(co.pkts), len(co.reasons))
	}
	for _, pkt := range batch(64, 20, flow{port: 1}) {
		co.Add(pkt)
	}
	co.Flush()
	co.Add([]byte{0})
	for i, p := range co.added[:cap(co.added)] {
		if i > 0 && p != nil {
			t.Errorf("packet %d of the batch before is still referenced", i)
		}
	}
}

// TestMemory checks that repeated batches take no more memory (C7).
func TestMemory(t *testing.T) {
	co, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	pkts := batch(64, 20, flow{udp: true, port: 1}, flow{port: 1}, flow{port: 2})
	held := func() int {
		return cap(co.table.slots) + cap(co.table.lists) + cap(co.table.guesses) + cap(co.runs) + cap(co.reasons) + cap(co.next) + cap(co.supers) +
			cap(co.wholes) + cap(co.members) + cap(co.hdrs) + cap(co.numbers) + cap(co.added)
	}
	for _, p := range co.Coalesce(pkts) { // appending to one list must not change another
		if m := p.Packets(); len(m) != cap(m) {
			t.Errorf("a superpacket of %d packets has room for %d", len(m), cap(m))
		}
	}
	before := held()
	for range 1000 {
		co.Coalesce(pkts)
	}
	if after := held(); after != before || len(co.table.slots) != 3 || len(co.members) != 64 {
		t.Errorf("after 1,000 batches %d elements are held, before %d; %d keys, %d members", after, before, len(co.table.slots), len(co.members))
	}
}

func TestReasonString(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumReasons {
		seen[Reason(r).String()] = true
	}
	if len(seen) != NumReasons || seen[""] {
		t.Errorf("names of %d Reasons: %v", NumReasons, seen)
	}
	if got := Reason(200).String(); got != "Reason(?)" {
		t.Error(got)
	}
}

// TestZeroCoalescer checks that the zero Coalescer does what a Coalescer with the zero
// Config does, hash included, and keeps its memory from batch to batch.
func TestZeroCoalescer(t *testing.T) {
	var zero Coalescer
	made, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for i := range 100 {
		for port := range uint16(3) {
			list = append(list, flow{port: port}.packet(i, 100), flow{udp: true, port: port}.packet(i, 100))
		}
	}
	list = append(list, nil, []byte{0x45}, flow{port: 9}.packet(0, 0))
	outcome := func(c *Coalescer) (o []any) {
		for _, p := range c.Coalesce(list) {
			o = append(o, p.AppendTo(nil), slices.Clone(p.Packets()))
		}
		for i := range list {
			o = append(o, c.Reason(i))
		}
		return o
	}
	for range 2 {
		if diff := cmp.Diff(outcome(made), outcome(&zero)); diff != "" {
			t.Fatalf("(-made +zero) %s", diff)
		}
	}
	if zero.cfg != made.cfg || zero.table.multipliers == (flowTable{}).multipliers {
		t.Errorf("the zero Coalescer has %+v and multipliers %v", zero.cfg, zero.table.multipliers)
	}
	if n := testing.AllocsPerRun(10, func() { zero.Coalesce(list) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

// TestZeroSegmenter checks that there are no segments before the first Reset and
// after a refusal.
func TestZeroSegmenter(t *testing.T) {
	var s Segmenter
	check := func() {
		t.Helper()
		if _, err := s.Next(make([]byte, 100)); !errors.Is(err, io.EOF) || s.Len() != 0 || s.NextLen() != 0 {
			t.Errorf("Next: %v; %d left", err, s.Len())
		}
		for range s.InPlace() {
			t.Error("a segment")
		}
	}
	check()
	if err := s.Reset(VnetHdr{}, []byte("a packet")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(VnetHdr{Flags: RSCInfo}, []byte("a packet")); !errors.Is(err, ErrRSCInfo) {
		t.Fatal(err)
	}
	check()
}

// TestReuse checks that a Coalescer's result stays valid until its next call, and
// that it does not mix batches.
func TestReuse(t *testing.T) {
	co, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	large, small := batch(500, 100, flow{port: 1}, flow{port: 2}), batch(3, 100, flow{port: 1})
	for _, pkts := range [][][]byte{large, small, nil, large, small} {
		fresh, err := NewCoalescer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		want, got := wire(fresh.Coalesce(pkts)), wire(co.Coalesce(pkts))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d packets (-fresh +used):\n%s", len(pkts), diff)
		}
	}
}

func wire(supers []Superpacket) [][]byte {
	var list [][]byte
	for i := range supers {
		list = append(list, supers[i].AppendTo(nil))
	}
	return list
}

// TestManyFlows uses more flows than the table had room for before.
func TestManyFlows(t *testing.T) {
	var flows []flow
	for i := range 5000 {
		flows = append(flows, flow{port: uint16(i)})
	}
	co, err := NewCoalescer(Config{MaxOpen: 65535})
	if err != nil {
		t.Fatal(err)
	}
	pkts := batch(10000, 20, flows...)
	supers := co.Coalesce(pkts)
	if len(supers) != 5000 {
		t.Fatalf("%d superpackets, want 5000", len(supers))
	}
	for i, p := range supers {
		if !slices.Equal(p.Packets(), []int{i, i + 5000}) {
			t.Fatalf("superpacket %d has packets %v", i, p.Packets())
		}
	}
	co, err = NewCoalescer(Config{}) // MaxOpen 1,024
	if err != nil {
		t.Fatal(err)
	}
	if supers := co.Coalesce(pkts); len(supers) != 10000 || co.Reason(9999) != Closed {
		t.Errorf("%d superpackets, the last packet %v: want 10000, Closed", len(supers), co.Reason(9999))
	}
	// The number of superpackets that were opened since has no limit.
	pkts = [][]byte{flow{v6: true}.packet(0, 20)}
	for i := range 1<<16 + 10 {
		pkts = append(pkts, flow{udp: i>>16 == 1, port: uint16(i)}.packet(0, 20))
	}
	co, err = NewCoalescer(Config{MaxOpen: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if co.Coalesce(append(pkts, flow{v6: true}.packet(1, 20))); co.Reason(len(pkts)) != Closed {
		t.Errorf("%v behind %d superpackets, want Closed", co.Reason(len(pkts)), len(pkts)-1)
	}
}

// TestTable fills a table, also with all keys in one list: it must stay exact.
func TestTable(t *testing.T) {
	for _, table := range []flowTable{newFlowTable(), {recent: none}} { // with multipliers of zero all keys have one hash
		for i := range 8 {
			key := flowKey{srcHi: uint64(i)}
			s := table.find(&key)
			if s.last != none {
				t.Fatalf("key %d has packet %d", i, s.last)
			}
			s.last = int32(i)
		}
		for i := range 8 {
			key := flowKey{srcHi: uint64(i)}
			if got := table.last(key); got != int32(i) || table.find(&key).last != got {
				t.Errorf("key %d has packet %d", i, got)
			}
		}
		table.reset()
		if got := table.last(flowKey{srcHi: 1}); got != none {
			t.Errorf("in the next batch key 1 has packet %d", got)
		}
	}
}

// TestHash checks that every bit of a key changes its hash and is compared, and that
// no two tables hash alike.
func TestHash(t *testing.T) {
	a, b := newFlowTable(), newFlowTable()
	for _, version := range []uint64{4, 6} {
		var k flowKey
		words := []*uint64{&k.ports, &k.srcHi, &k.srcLo, &k.dstHi, &k.dstLo}
		k = flowKey{ports: 1, srcHi: 2, srcLo: 4, dstHi: 8, dstLo: 16}
		if version == 4 {
			words = words[:2]
		} else {
			k.ports |= ipv6Ports
		}
		same := k
		was := a.hash(&k)
		if b.hash(&k) == was {
			t.Errorf("version %d: two tables hash alike", version)
		}
		for i, w := range words {
			for bit := range 64 {
				if i == 0 && bit >= 40 {
					continue // the version
				}
				*w ^= 1 << bit
				if a.hash(&k) == was || k.equal(&same) {
					t.Errorf("version %d, word %d: bit %d is not in the hash or not compared", version, i, bit)
				}
				*w ^= 1 << bit
			}
		}
		if !k.equal(&same) {
			t.Errorf("version %d: a key does not equal itself", version)
		}
	}
}

// TestTableRoom counts the slots and lists that a batch takes: at most one slot a
// packet, and two lists a slot, so that lists stay short whatever the packets are.
func TestTableRoom(t *testing.T) {
	co, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	pkts := batch(1024, 20, flow{port: 1})
	for i, p := range pkts { // each with its own address pair; the first has no flow
		p[14], p[15] = byte(i>>8), byte(i)
		seal(p, 20, protoTCP)
	}
	pkts[0][9] = 1
	co.Coalesce(pkts)
	if used := len(co.table.slots); used > len(pkts) || 2*used > len(co.table.lists) {
		t.Errorf("%d packets take %d slots in %d lists", len(pkts), used, len(co.table.lists))
	}
}

// TestAppendAfterInPlace checks that appending to a segment, as a VPN appends its
// tag, does not reach the next segment's payload.
func TestAppendAfterInPlace(t *testing.T) {
	pkt := flow{port: 1}.packet(0, 300)
	h := VnetHdr{GSOType: GSOTCPv4, GSOSize: 100}
	var s Segmenter
	if err := s.Reset(h, bytes.Clone(pkt)); err != nil {
		t.Fatal(err)
	}
	want := segments(t, &s)
	if err := s.Reset(h, pkt); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for seg := range s.InPlace() {
		got = append(got, bytes.Clone(seg))
		_ = append(seg, "sixteen byte tag"...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Next +InPlace):\n%s", diff)
	}
}

func segments(t *testing.T, s *Segmenter) [][]byte {
	t.Helper()
	var list [][]byte
	for s.Len() > 0 {
		b := make([]byte, s.NextLen())
		if _, err := s.Next(b); err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// TestPortsThere checks that a packet has its flow, and no other, as soon as it
// reaches to its ports.
func TestPortsThere(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l4Off := ipv4HdrLen
		if v6 {
			l4Off = ipv6HdrLen
		}
		for _, c := range []struct {
			length int
			want   Reason // of a later packet of another flow
		}{{l4Off, Closed}, {l4Off + 3, Closed}, {l4Off + 4, Joined}, {l4Off + 5, Joined}} {
			one, other := flow{v6: v6, port: 1}, flow{v6: v6, port: 2}
			co, err := NewCoalescer(Config{})
			if err != nil {
				t.Fatal(err)
			}
			co.Coalesce([][]byte{one.packet(0, 100), other.packet(0, 100)[:c.length], one.packet(1, 100)})
			if got := co.Reason(2); got != c.want {
				t.Errorf("v6 %v, %d bytes in between: %v, want %v", v6, c.length, got, c.want)
			}
			if got := co.Reason(1); got != Truncated {
				t.Errorf("v6 %v, %d bytes: %v, want Truncated", v6, c.length, got)
			}
		}
	}
}

// TestConstants checks those values of virtio_net.h that no rule's test checks.
func TestConstants(t *testing.T) {
	if GSOUDP != 3 || GSOECN != 0x80 || VnetHdrLen != 10 {
		t.Errorf("GSOUDP %d, GSOECN %#x, VnetHdrLen %d", GSOUDP, GSOECN, VnetHdrLen)
	}
	if Reason(numReasons).String() != "Reason(?)" || (numReasons-1).String() != "Mismatch" {
		t.Errorf("%v, %v", Reason(numReasons), numReasons-1)
	}
}

// TestNoAddresses checks that a packet without addresses conflicts with nothing, not
// even with a packet whose addresses are zero.
func TestNoAddresses(t *testing.T) {
	co, err := NewCoalescer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var pkts [][]byte
	for i := range 2 {
		p := flow{port: 1}.packet(i, 100)
		clear(p[12:20])
		seal(p, ipv4HdrLen, protoTCP)
		pkts = append(pkts, p, []byte{0x10, 1, 2, 3}, nil)
	}
	co.Coalesce(pkts)
	if co.Reason(3) != Joined || co.Reason(1) != NoAddresses {
		t.Errorf("%v after %v", co.Reason(3), co.Reason(1))
	}
}

// TestFrontLonger checks that a packet does not join in front of two shorter ones:
// they would not be cut apart again.
func TestFrontLonger(t *testing.T) {
	for _, n := range []int{2, 3} {
		co, err := NewCoalescer(Config{Order: Reorder})
		if err != nil {
			t.Fatal(err)
		}
		var pkts [][]byte
		for i := range n {
			pkts = append(pkts, flow{port: 1}.packet(i+10, 50))
		}
		front := flow{port: 1}.packet(9, 50)
		front = append(front, 0)
		putBE32(front[24:], be32(front[24:])-1)
		seal(front, ipv4HdrLen, protoTCP)
		supers := co.Coalesce(append(pkts, front))
		if len(supers) != 2 || co.Reason(n) != Mismatch {
			t.Errorf("%d packets and a longer one in front: %d superpackets, %v", n, len(supers), co.Reason(n))
		}
	}
}

// TestFrontWraps checks that a packet joins in front wherever the sequence number and the ID
// wrap.
func TestFrontWraps(t *testing.T) {
	for _, seq := range []uint32{0, 1, 100, 1<<31 - 50, 1 << 31, 1<<32 - 100, 1<<32 - 50, 1<<32 - 1} {
		var pkts [][]byte
		for _, i := range []int{1, 0} {
			p := flow{port: 1}.packet(i, 50)
			putBE16(p[4:], uint16(seq)+uint16(i))
			putBE32(p[24:], seq+uint32(50*i))
			seal(p, ipv4HdrLen, protoTCP)
			pkts = append(pkts, p)
		}
		co, err := NewCoalescer(Config{Order: Reorder})
		if err != nil {
			t.Fatal(err)
		}
		if supers := co.Coalesce(pkts); len(supers) != 1 || !slices.Equal(supers[0].Packets(), []int{1, 0}) {
			t.Errorf("sequence number %#x: %d superpackets, %v", seq, len(supers), co.Reason(1))
		}
	}
}

// TestOtherZero checks the two forms of a checksum that is zero: only the one that
// Segment writes joins a packet that it would otherwise join.
func TestOtherZero(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, udp := range []bool{false, true} {
			f := flow{v6: v6, udp: udp, port: 1}
			l4Off, at, written, other := ipv4HdrLen, tcpCsumOffset, uint16(0), uint16(0xFFFF)
			if v6 {
				l4Off = ipv6HdrLen
			}
			if udp {
				at, written, other = udpCsumOffset, 0xFFFF, 0
			}
			zero := f.packet(1, 50)
			last := len(zero) - 2
			putBE16(zero[last:], 0)
			proto := byte(protoTCP)
			if udp {
				proto = protoUDP
			}
			seal(zero, l4Off, proto)
			putBE16(zero[last:], be16(zero[l4Off+at:])) // so that the checksum is zero
			for sum, want := range map[uint16]Reason{written: Joined, other: L4Checksum} {
				putBE16(zero[l4Off+at:], sum)
				co, err := NewCoalescer(Config{})
				if err != nil {
					t.Fatal(err)
				}
				co.Coalesce([][]byte{f.packet(0, 50), zero})
				if got := co.Reason(1); got != want {
					t.Errorf("v6 %v, udp %v, checksum %#04x: %v, want %v", v6, udp, sum, got, want)
				}
			}
		}
	}
}
