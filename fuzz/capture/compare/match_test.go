// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// compared compares two captures, reading the sides in turn.
func compared(t *testing.T, cfg Config, before, after []pcap.Packet) ([]Finding, Summary) {
	t.Helper()
	var found []Finding
	m := New(cfg, func(f Finding) { found = append(found, f) })
	sides := [2][]pcap.Packet{before, after}
	total := [2]int{len(before), len(after)}
	for len(sides[0])+len(sides[1]) > 0 {
		side := After
		if len(sides[Before])*max(1, total[After]) >= len(sides[After])*max(1, total[Before]) && len(sides[Before]) > 0 {
			side = Before
		}
		if len(sides[side]) == 0 {
			side = 1 - side
		}
		if err := m.Add(side, sides[side][0]); err != nil {
			t.Fatal(err)
		}
		sides[side] = sides[side][1:]
	}
	if err := m.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	sortFindings(found)
	return found, m.Summary
}

// numbered returns a capture of packets.
func numbered(list [][]byte) []pcap.Packet {
	var packets []pcap.Packet
	for i, b := range list {
		packets = append(packets, pcap.Packet{Number: i + 1, Data: b})
	}
	return packets
}

// joined returns a capture of the superpackets that Coalesce makes of packets, in batches
// of n, without VnetHdrs.
func joined(t *testing.T, packets []pcap.Packet, n int) []pcap.Packet {
	t.Helper()
	co, err := offload.NewCoalescer(offload.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for part := range slices.Chunk(packets, n) {
		var batch [][]byte
		for _, p := range part {
			batch = append(batch, p.Data)
		}
		for _, s := range co.Coalesce(batch) {
			list = append(list, s.AppendTo(nil)[offload.VnetHdrLen:])
		}
	}
	return numbered(list)
}

// TestCaptures compares each capture with itself, and with its superpackets on either
// side or on both: nothing is found.
func TestCaptures(t *testing.T) {
	list, err := corpus.Captures()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		packets, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil {
			t.Fatal(err)
		}
		supers, others := joined(t, packets, 64), joined(t, packets, 47)
		for _, test := range []struct {
			name          string
			before, after []pcap.Packet
		}{
			{"itself", packets, packets}, {"joined", packets, supers}, {"cut", supers, packets}, {"joined otherwise", supers, others},
			{"later", packets[20:], supers}, {"earlier", supers, packets[20:]}, {"shorter", packets[:len(packets)-30], packets[10:]},
		} {
			found, s := compared(t, Config{}, test.before, test.after)
			if len(found) > 0 || s.Segments+s.Unresolved < min(len(test.before), len(test.after))/2 {
				t.Errorf("%s, %s: %+v\n%v", c.Name, test.name, s, found[:min(len(found), 3)])
			}
			if supersCut := s.Cut[0] + s.Cut[1]; supersCut == 0 && (test.name == "joined" || test.name == "cut") && len(supers) < len(packets) {
				t.Errorf("%s, %s: nothing was cut", c.Name, test.name)
			}
		}
	}
}

// traffic returns n packets of twelve flows, in runs.
func traffic(r *rand.Rand, n int) []pcap.Packet {
	var flows []scenario.Packet
	for i := range 12 {
		p := []scenario.Packet{scenario.TCP4(0), scenario.TCP6(0), scenario.UDP4(0), scenario.UDP6(0)}[i%4]
		p.SrcPort, p.Src, p.ID = uint16(2000+i), byte(i/5), uint16(r.Uint32())
		if i%3 == 0 && !p.UDP {
			p.Options = scenario.Timestamps
		}
		flows = append(flows, p)
	}
	var list [][]byte
	for len(list) < n {
		p := &flows[r.IntN(len(flows))]
		size := 60 + r.IntN(300)
		p.Ack += uint32(r.IntN(3000))
		for k := 1 + r.IntN(20); k > 0; k-- {
			*p = p.Next(size)
			for i := range p.Payload {
				p.Payload[i] = byte(r.Uint32())
			}
			if k == 1 {
				p.Flags |= scenario.PSH
			}
			list = append(list, p.Bytes())
		}
	}
	return numbered(list[:n])
}

// alteration is a change to a capture, which must be found.
type alteration struct {
	what   string
	before int
}

// alter makes n random changes to packets, far from each other.
func alter(r *rand.Rand, packets []pcap.Packet, n int) ([]pcap.Packet, []alteration) {
	var list [][]byte
	var done []alteration
	every := len(packets) / (n + 2)
	var copies []struct {
		at int
		b  []byte
	}
	for i, p := range packets {
		b := p.Data
		if i > 0 && i%every == 0 && len(done) < n {
			switch r.IntN(4) {
			case 0, 1:
				b = bytes.Clone(b)
				bit := r.IntN(8 * len(b))
				if r.IntN(2) == 0 {
					bit = r.IntN(8 * 40)
				}
				b[bit/8] ^= 1 << (bit % 8)
				done = append(done, alteration{Changed, p.Number})
			case 2:
				done = append(done, alteration{Lost, p.Number})
				continue
			case 3:
				done = append(done, alteration{Duplicated, p.Number})
				copies = append(copies, struct {
					at int
					b  []byte
				}{len(list) + 3 + r.IntN(30), b})
			}
		}
		list = append(list, b)
	}
	for _, c := range slices.Backward(copies) {
		list = slices.Insert(list, c.at, c.b)
	}
	return numbered(list), done
}

// TestDefaults checks how many packets may wait by default.
func TestDefaults(t *testing.T) {
	if m := New(Config{}, nil); m.cfg.pending() != 65_536 || m.cfg.FarBehind() != 8_192 {
		t.Errorf("%d packets may wait; a side with %d waiting counts as early", m.cfg.pending(), m.cfg.FarBehind())
	}
}

// TestAlterations makes 20 random changes to 5,000 packets, and finds exactly these,
// whether the other side has packets or superpackets.
func TestAlterations(t *testing.T) {
	n, seeds := 5_000, uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 20))
		packets := traffic(r, n)
		altered, done := alter(r, packets, 20)
		for _, test := range []struct {
			name          string
			before, after []pcap.Packet
		}{{"packets", packets, altered}, {"joined", packets, joined(t, altered, 64)}} {
			found, s := compared(t, Config{}, test.before, test.after)
			var got []alteration
			for _, f := range found {
				got = append(got, alteration{f.What, f.Packets[Before]})
			}
			slices.SortFunc(got, func(a, b alteration) int { return a.before - b.before })
			if !slices.Equal(got, done) {
				t.Errorf("seed %d, %s: %+v\nfound %v\nwant  %v\n%v", seed, test.name, s, got, done, found)
			}
		}
	}
}

// TestSuperpackets changes superpackets in ways that cutting does not hide.
func TestSuperpackets(t *testing.T) {
	first := scenario.TCP4(1000)
	packets := [][]byte{scenario.UDP4(9).Bytes()}
	p := first
	for range 10 {
		packets = append(packets, p.Bytes())
		p = p.Next(1000)
	}
	last := scenario.UDP4(9)
	last.ID++
	packets = append(packets, last.Bytes())
	before := numbered(packets)
	for name, test := range map[string]struct {
		change func(b []byte)
		field  string
		rule   string
		count  int
	}{
		"window":       {func(b []byte) { b[34]++ }, "tcp.window", "E.window", 10},
		"tos":          {func(b []byte) { b[1]++; packet.Fix(b, packet.FixIPCsum) }, "ip.tos", "E.tos", 10},
		"payload":      {func(b []byte) { b[3000]++ }, "payload", "P2", 1},
		"fragment":     {func(b []byte) { b[6] |= 0x20 }, "ip.frag", "E.df", 1},
		"total length": {func(b []byte) { b[3]++ }, "ip.total_length", "C3.header", 1},
		"checksum":     {func(b []byte) { b[37]++ }, "tcp.checksum", "C1.l4_checksum", 10},
	} {
		after := joined(t, before, 64)
		test.change(after[1].Data)
		found, s := compared(t, Config{}, before, after)
		if len(found) != test.count || found[0].What != Changed || found[0].Packets[After] != 2 || found[0].Rule != test.rule ||
			!slices.ContainsFunc(found[0].Fields, func(d packet.Difference) bool { return d.Field == test.field }) {
			t.Errorf("%s: %+v\n%v", name, s, found)
		}
	}
}

// TestExtensions leaves the extension headers out of payload lengths: the rule is
// the one that check names.
func TestExtensions(t *testing.T) {
	p := scenario.TCP6(1000)
	p.ExtType, p.Extensions = 0, []byte{0, 0, 5, 2, 0, 0, 1, 0}
	var before, after [][]byte
	for range 5 {
		b := p.Bytes()
		wrong := bytes.Clone(b)
		binary.BigEndian.PutUint16(wrong[4:], uint16(len(b)-48))
		before, after, p = append(before, b), append(after, wrong), p.Next(1000)
	}
	found, s := compared(t, Config{}, numbered(before), numbered(after))
	for i, f := range found {
		if f.Packets != [2]int{i + 1, i + 1} || !slices.Equal(f.FieldNames(), []string{"ip.payload_length"}) || f.Rule != "S3.extension" {
			t.Error(f)
		}
	}
	if len(found) != 5 {
		t.Errorf("%+v: %v", s, found)
	}
}

// run returns n packets of a flow with size random payload bytes each.
func run(p scenario.Packet, n, size int) [][]byte {
	r := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	var list [][]byte
	for range n {
		for i := range p.Payload {
			p.Payload[i] = byte(r.Uint32())
		}
		list, p = append(list, p.Bytes()), p.Next(size)
	}
	return list
}

// TestShortened cuts bytes off the end of packets, with and without updating lengths
// and checksums: no packet is taken for a superpacket whose rest is lost. Superpackets
// with a complete checksum are still cut.
func TestShortened(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(1000), scenario.TCP6(1000), scenario.UDP4(1000), scenario.UDP6(1000)} {
		before := run(p, 20, 1000)
		for name, test := range map[string]struct {
			which func(i int) bool
			cut   int
			fix   int
			field string
		}{
			"one":             {func(i int) bool { return i == 7 }, 8, 0, "length"},
			"all":             {func(int) bool { return true }, 10, 0, "length"},
			"one with length": {func(i int) bool { return i == 7 }, 100, packet.FixAll, "length"},
			"all with length": {func(int) bool { return true }, 100, packet.FixAll, "length"},
			"one partial":     {func(i int) bool { return i == 7 }, 100, packet.FixAll | packet.FixPartial, "length"},
		} {
			var after [][]byte
			var want [][2]int
			for i, b := range before {
				if b = bytes.Clone(b); test.which(i) {
					b = b[:len(b)-test.cut]
					packet.Fix(b, test.fix)
					want = append(want, [2]int{i + 1, i + 1})
				}
				after = append(after, b)
			}
			found, s := compared(t, Config{}, numbered(before), numbered(after))
			var got [][2]int
			for _, f := range found {
				got = append(got, f.Packets)
				if f.What != Changed || f.FieldNames()[0] != test.field || f.Rule != "C1.length" || !strings.HasPrefix(f.Text, "missing at the end of the payload: "+record.Count(test.cut, "byte")) {
					t.Errorf("%s: %v", name, f)
				}
			}
			if !slices.Equal(got, want) || s.Cut != [2]int{} {
				t.Errorf("%s, %s: %v, want %v; %+v", packet.Line(before[0]), name, got, want, s)
			}
		}
		packets := numbered(before)
		supers := joined(t, packets, 7)
		for _, x := range supers {
			packet.Fix(x.Data, packet.FixL4Csum)
		}
		for _, sides := range [][2][]pcap.Packet{{packets, supers}, {supers, packets}} {
			found, s := compared(t, Config{}, sides[0], sides[1])
			if packet.Parse(before[0]).Proto == 17 { // each is a datagram of its own
				if s.Segments != 0 || s.Cut != [2]int{} {
					t.Errorf("%s: complete checksums: %+v %v", packet.Line(before[0]), s, found)
				}
				continue
			}
			if len(found) > 0 || s.Segments != 20 {
				t.Errorf("%s: complete checksums: %+v %v", packet.Line(before[0]), s, found)
			}
		}
	}
}

func TestIgnore(t *testing.T) {
	p := scenario.TCP4(100)
	q := p
	q.TTL--
	for _, ignore := range [][]string{nil, {"ip.ttl", "ip.checksum"}} {
		found, s := compared(t, Config{Ignore: ignore}, numbered([][]byte{p.Bytes()}), numbered([][]byte{q.Bytes()}))
		if ok := len(found) == 0 && s.Segments == 1; ok != (ignore != nil) {
			t.Errorf("%v: %v %+v", ignore, found, s)
		}
	}
	// The header of a superpacket is compared apart from its segments.
	var before [][]byte
	for q, k := p, 0; k < 2; q, k = q.Next(100), k+1 {
		before = append(before, q.Bytes())
	}
	_, super := scenario.TCP4(200).Super(100)
	super[11] ^= 1
	for _, ignore := range [][]string{nil, {"ip.checksum"}} {
		found, s := compared(t, Config{Ignore: ignore}, numbered(before), numbered([][]byte{super}))
		if ok := len(found) == 0 && s.Segments == 2; ok != (ignore != nil) {
			t.Errorf("a superpacket, %v: %v %+v", ignore, found, s)
		}
	}
}

// TestSaid checks the notes about a size that is not that of a superpacket, and about
// datagrams that are taken for a superpacket.
func TestSaid(t *testing.T) {
	p := scenario.UDP4(100)
	q := p.Next(100)
	h, super := scenario.UDP4(200).Super(100)
	for name, c := range map[string]struct {
		size  int
		after []pcap.Packet
		want  [2]int
		taken int
	}{
		"no size":      {0, []pcap.Packet{{Data: super}}, [2]int{0, 0}, 1},
		"its size":     {100, []pcap.Packet{{Data: super}}, [2]int{1, 0}, 1},
		"another size": {30, []pcap.Packet{{Data: super}}, [2]int{0, 1}, 1},
		"nothing cut":  {100, []pcap.Packet{{Data: p.Bytes()}, {Data: q.Bytes()}}, [2]int{0, 0}, 0},
		"a VnetHdr":    {30, []pcap.Packet{{Data: super, Comment: pcap.VnetComment(h)}}, [2]int{0, 0}, 0},
	} {
		m := New(Config{Size: c.size}, func(Finding) {})
		for _, x := range []pcap.Packet{{Data: p.Bytes()}, {Data: q.Bytes()}} {
			if err := m.Add(Before, x); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range c.after {
			if err := m.Add(After, x); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.sized != c.want || m.presumed != c.taken {
			t.Errorf("%s: %v with the size or not, want %v; %d taken for superpackets, want %d", name, m.sized, c.want, m.presumed, c.taken)
		}
	}
}
