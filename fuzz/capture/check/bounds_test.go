// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// kindsOf returns the names of the kinds of findings, in the order of the packets.
func kindsOf(found []Finding) (list []string) {
	for _, f := range found {
		list = append(list, f.Name)
	}
	return list
}

// TestSuspects lists the kinds that are only suspect: correct senders, or network cards, do
// these too (docs/design.md).
func TestSuspects(t *testing.T) {
	want := []string{"hdr-len", "id-descending", "id-swapped", "ip-checksum-zero", "ip-length-sender", "l4-checksum-prefix", "l4-partial-sender", "seq-lost", "seq-overlap",
		"tcp-cwr-suspect", "tcp-psh", "udp-absent", "udp-surplus", "udp-zero-computed"}
	var got []string
	for _, k := range Kinds() {
		if k.Suspect {
			got = append(got, k.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("suspect are %q, want %q", got, want)
	}
}

// TestSumOfCause checks that a cause's sum counts modulo 0xFFFF, also below 0.
func TestSumOfCause(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 1000 {
		n := 1 + r.IntN(0xFFFE) // neither form of zero
		for k := -3; k <= 3; k++ {
			var causes []Cause
			e := explainer{all: &causes}
			e.sum(n+k*0xFFFF, "x")
			if want := ^uint16(n); causes[0].Value != want {
				t.Fatalf("the sum %d: %04x, want %04x", n+k*0xFFFF, causes[0].Value, want)
			}
		}
	}
}

// TestPadding puts bytes after the end of packets: zeros, a frame check sequence, and any bytes
// up to the length of the shortest frame are the link's, all others are a wrong length. With a
// GSO type there is no link.
func TestPadding(t *testing.T) {
	for n := 1; n <= 30; n++ {
		for more := 1; more <= 30; more++ {
			for _, zero := range []bool{false, true} {
				b := scenario.UDP4(n).Bytes()
				rest := bytes.Repeat([]byte{7}, more)
				if zero {
					clear(rest)
				}
				b = append(b, rest...)
				want := []string(nil)
				if !zero && len(b) > 46 && more != 4 && len(b) != 50 {
					want = []string{"ip-length"}
				}
				c := New(Config{}, func(Finding) {})
				if got := kindsOf(findings(t, Config{}, b)); !slices.Equal(got, want) {
					t.Errorf("%d bytes after %d, zero %v: %q, want %q", more, n, zero, got, want)
				}
				if err := c.Packet(pcap.Packet{Number: 1, Data: b}); err != nil || c.Seen.Padded == 1 != (want == nil) {
					t.Errorf("%d bytes after %d, zero %v: %+v", more, n, zero, c.Seen)
				}
			}
		}
	}
	h, b := scenario.TCP4(300).Super(100)
	var found []Finding
	c := New(Config{}, func(f Finding) { found = append(found, f) })
	if err := c.Packet(pcap.Packet{Number: 1, Data: append(b, 0, 0, 0), Comment: pcap.VnetComment(h)}); err != nil || !slices.Contains(kindsOf(found), "ip-length") {
		t.Errorf("a superpacket with zeros after it: %v", found)
	}
}

// TestUDPLengths tries all values of the UDP length around its bounds.
func TestUDPLengths(t *testing.T) {
	const payload = 20
	for got := range payload + 30 {
		b := scenario.UDP4(payload).Bytes()
		binary.BigEndian.PutUint16(b[24:], uint16(got))
		b[26], b[27] = 0, 0 // no checksum
		want := []string{"udp-length"}
		switch {
		case got == 8+payload:
			want = nil
		case got >= 8 && got < 8+payload:
			want = []string{"udp-surplus"}
		}
		found := findings(t, Config{}, b)
		if !slices.Equal(kindsOf(found), want) {
			t.Errorf("length %d: %v, want %q", got, found, want)
		}
		if n := 8 + payload - got; len(found) == 1 && found[0].Suspect && !strings.Contains(found[0].Text, fmt.Sprintf("%d byte", n)) {
			t.Errorf("length %d: %v, want %d bytes after the end", got, found, n)
		}
	}
}

// TestUDPLengthPadded checks that padding does not hide why a UDP length is wrong: it is that
// of the whole packet.
func TestUDPLengthPadded(t *testing.T) {
	for _, padding := range []int{0, 2, 18} {
		b := scenario.UDP4(4).Bytes()
		binary.BigEndian.PutUint16(b[24:], uint16(len(b)))
		b[26], b[27] = 0, 0 // no checksum
		found := findings(t, Config{}, append(b, make([]byte, padding)...))
		if len(found) != 1 || !strings.Contains(found[0].Text, "the whole packet is counted") {
			t.Errorf("%d bytes of padding: %v", padding, found)
		}
	}
}

// TestFill compares gap.fill with sets of numbers, near the wrap and elsewhere.
func TestFill(t *testing.T) {
	for _, base := range []uint32{1000, 0xFFFFFFF8} {
		for from := range uint32(16) {
			for to := from + 1; to < 16; to++ {
				g := gap{from: base + 5, to: base + 11}
				g.fill(base+from, base+to)
				left := map[uint32]bool{}
				for n := uint32(5); n < 11; n++ {
					if n < from || n >= to {
						left[n] = true
					}
				}
				if from > 5 && to < 11 { // in the middle: the part after it is taken as covered
					for n := to; n < 11; n++ {
						delete(left, n)
					}
				}
				got := map[uint32]bool{}
				for n := uint32(0); n < 16; n++ {
					if int32(base+n-g.from) >= 0 && int32(base+n-g.to) < 0 {
						got[n] = true
					}
				}
				if fmt.Sprint(left) != fmt.Sprint(got) {
					t.Errorf("%d to %d: left %v, want %v", from, to, got, left)
				}
			}
		}
	}
}

// TestSeqGaps jumps ahead in the stream while the IDs count on. Only data that follows the
// latest data of the flow shows that the sender skipped bytes.
func TestSeqGaps(t *testing.T) {
	seg := func(id, at, n int) scenario.Packet {
		p := scenario.TCP4(n)
		p.ID += uint16(id)
		p.Seq += uint32(at)
		return p
	}
	v6 := func(p scenario.Packet) scenario.Packet { p.V6 = true; return p }
	partial := func(p scenario.Packet) []byte {
		b := p.Bytes()
		packet.Fix(b, packet.FixPartial)
		return b
	}
	for name, c := range map[string]struct {
		list [][]byte
		want []string
	}{
		"a gap":                      {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 200, 100).Bytes()}, []string{"seq-gap"}},
		"one byte":                   {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 101, 100).Bytes()}, []string{"seq-gap"}},
		"no gap":                     {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 100, 100).Bytes()}, nil},
		"back":                       {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 50, 100).Bytes()}, nil},
		"the ID skips":               {[][]byte{seg(0, 0, 100).Bytes(), seg(2, 200, 100).Bytes()}, nil},
		"an acknowledgement":         {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 200, 0).Bytes()}, nil},
		"after an acknowledgement":   {[][]byte{seg(0, 0, 0).Bytes(), seg(1, 200, 100).Bytes()}, nil},
		"after a retransmission":     {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 100, 100).Bytes(), seg(2, 0, 100).Bytes(), seg(3, 300, 100).Bytes()}, nil},
		"the first packet":           {[][]byte{seg(1, 200, 100).Bytes()}, nil},
		"IPv6":                       {[][]byte{v6(seg(0, 0, 100)).Bytes(), v6(seg(1, 200, 1)).Bytes()}, nil},
		"after a superpacket":        {[][]byte{partial(seg(0, 0, 300)), seg(1, 400, 100).Bytes()}, nil},
		"after a gap that was found": {[][]byte{seg(0, 0, 100).Bytes(), seg(1, 200, 100).Bytes(), seg(2, 300, 100).Bytes()}, []string{"seq-gap"}},
	} {
		if got := kindsOf(findings(t, Config{}, c.list...)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSameSeq sends other bytes at one place of the stream. That is found of full segments whose
// checksum is right, and once.
func TestSameSeq(t *testing.T) {
	seg := func(n int, fill byte) []byte {
		p := scenario.TCP4(n)
		p.Payload = bytes.Repeat([]byte{fill}, n)
		return p.Bytes()
	}
	damaged := seg(1000, 1)
	damaged[100] ^= 9
	for name, c := range map[string]struct {
		list [][]byte
		want []string
	}{
		"the same bytes":      {[][]byte{seg(1000, 1), seg(1000, 1)}, nil},
		"other bytes":         {[][]byte{seg(1000, 1), seg(1000, 2)}, []string{"seq-constant"}},
		"three":               {[][]byte{seg(1000, 1), seg(1000, 2), seg(1000, 2)}, []string{"seq-constant", "seq-constant"}},
		"512 bytes":           {[][]byte{seg(512, 1), seg(512, 2)}, []string{"seq-constant"}},
		"511 bytes":           {[][]byte{seg(511, 1), seg(511, 2)}, nil},
		"another length":      {[][]byte{seg(1000, 1), seg(1001, 2)}, nil},
		"damaged, then right": {[][]byte{damaged, seg(1000, 1)}, []string{"l4-checksum"}},
		"right, then damaged": {[][]byte{seg(1000, 1), damaged}, []string{"l4-checksum"}},
		"damaged between":     {[][]byte{seg(1000, 1), damaged, seg(1000, 1), seg(1000, 1)}, []string{"l4-checksum"}},
	} {
		got := slices.DeleteFunc(kindsOf(findings(t, Config{}, c.list...)), func(s string) bool { return strings.HasPrefix(s, "id-") })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestNoPacket0 checks that no cause of a flow's first packet names a packet before it: fields
// that are zero do not count as those of packet 0.
func TestNoPacket0(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(51), scenario.UDP4(51), scenario.TCP6(51), scenario.UDP6(51)} {
		b := p.Bytes()
		for _, f := range packet.Fields(b) {
			if f.Name == "payload" {
				continue
			}
			for _, fix := range []int{packet.FixIPCsum, packet.FixL4Csum, packet.FixIPCsum | packet.FixL4Csum, 0} {
				c := bytes.Clone(b)
				was := bytes.Clone(c[f.Off : f.Off+f.Len])
				clear(c[f.Off : f.Off+f.Len])
				sums := c
				packet.Fix(sums, fix)
				copy(c[f.Off:], was)
				for _, g := range findings(t, Config{}, c) {
					if strings.Contains(g.String(), "packet 0") {
						t.Errorf("%s cleared: %v", f.Name, g)
					}
				}
				clear(c[f.Off : f.Off+f.Len])
				for _, g := range findings(t, Config{}, c) {
					if strings.Contains(g.String(), "packet 0") {
						t.Errorf("%s cleared afterwards: %v", f.Name, g)
					}
				}
			}
		}
	}
}

// TestSeen counts packets of every kind.
func TestSeen(t *testing.T) {
	absent := scenario.UDP4(9).Bytes()
	absent[26], absent[27] = 0, 0
	fragment := scenario.UDP4(100)
	fragment.Frag = 0x2000
	icmp := scenario.UDP4(40).Bytes()
	icmp[9] = 1
	packet.Fix(icmp, packet.FixIPCsum)
	partial := scenario.TCP6(3000).Bytes()
	packet.Fix(partial, packet.FixPartial)
	h, super := scenario.TCP4(3000).Super(1000)
	long := scenario.TCP4(3000).Bytes()
	for name, c := range map[string]struct {
		p    pcap.Packet
		want Seen
	}{
		"TCP":             {pcap.Packet{Data: scenario.TCP4(9).Bytes()}, Seen{TCP: 1}},
		"UDP":             {pcap.Packet{Data: scenario.UDP6(9).Bytes()}, Seen{UDP: 1}},
		"ICMP":            {pcap.Packet{Data: icmp}, Seen{Other: 1}},
		"a fragment":      {pcap.Packet{Data: fragment.Bytes()}, Seen{Other: 1}},
		"nothing":         {pcap.Packet{}, Seen{Other: 1, Findings: 1}},
		"no checksum":     {pcap.Packet{Data: absent}, Seen{UDP: 1, Absent: 1}},
		"partial":         {pcap.Packet{Data: partial}, Seen{TCP: 1, Partial: 1}},
		"with a VnetHdr":  {pcap.Packet{Data: super, Comment: pcap.VnetComment(h)}, Seen{TCP: 1, Partial: 1, Vnet: 1}},
		"long":            {pcap.Packet{Data: long}, Seen{TCP: 1, Long: 1}},
		"with padding":    {pcap.Packet{Data: append(scenario.TCP4(2).Bytes(), 0, 0)}, Seen{TCP: 1, Padded: 1}},
		"a suspect":       {pcap.Packet{Data: udp6WithoutSum()}, Seen{UDP: 1, Absent: 1, Findings: 1, Suspects: 1}},
		"a wrong length":  {pcap.Packet{Data: scenario.TCP4(90).Bytes()[:100]}, Seen{TCP: 1, Findings: 2}},
		"of 1500 bytes":   {pcap.Packet{Data: scenario.TCP4(1460).Bytes()}, Seen{TCP: 1}},
		"of 1501 bytes":   {pcap.Packet{Data: scenario.TCP4(1461).Bytes()}, Seen{TCP: 1, Long: 1}},
		"of 65,535 bytes": {pcap.Packet{Data: scenario.TCP4(65495).Bytes()}, Seen{TCP: 1, Long: 1}},
	} {
		k := New(Config{}, func(Finding) {})
		for n := 1; n <= 2; n++ {
			c.p.Number = n
			if err := k.Packet(c.p); err != nil {
				t.Fatal(err)
			}
			if n == 1 {
				if c.want.Packets = 1; k.Seen != c.want {
					t.Errorf("%s: %+v, want %+v", name, k.Seen, c.want)
				}
			}
		}
		if k.Seen.Packets != 2 || k.Seen.TCP != 2*c.want.TCP || k.Seen.Other != 2*c.want.Other || k.Seen.Long != 2*c.want.Long {
			t.Errorf("%s, twice: %+v", name, k.Seen)
		}
		if c.want.Long > 0 && (k.longest != 1 || k.longestLen != len(c.p.Data)) {
			t.Errorf("%s: the longest is packet %d, of %d bytes", name, k.longest, k.longestLen)
		}
	}
}

func udp6WithoutSum() []byte {
	b := scenario.UDP6(30).Bytes()
	b[46], b[47] = 0, 0
	return b
}

// TestZeroPartial writes the two forms of zero as a partial checksum: both are right if the sum
// of the pseudo-header is a zero, and wrong if it is not.
func TestZeroPartial(t *testing.T) {
	p := scenario.TCP4(300)
	for _, zero := range []bool{false, true} {
		h, b := p.Super(100)
		if zero {
			sum := model.Sum(b[12:18], []byte{0, 6}, []byte{byte((len(b) - 20) >> 8), byte(len(b) - 20)})
			binary.BigEndian.PutUint16(b[18:], ^uint16(sum)) // the last word of the destination
			packet.Fix(b, packet.FixIPCsum)
		}
		for _, v := range []uint16{0, 0xFFFF} {
			binary.BigEndian.PutUint16(b[36:], v)
			var found []Finding
			c := New(Config{}, func(f Finding) { found = append(found, f) })
			if err := c.Packet(pcap.Packet{Number: 1, Data: b, Comment: pcap.VnetComment(h)}); err != nil {
				t.Fatal(err)
			}
			if got := kindsOf(found); zero && got != nil || !zero && !slices.Equal(got, []string{"not-partial"}) {
				t.Errorf("zero %v, %04x: %v", zero, v, found)
			}
		}
	}
}

// TestOffByOnePartial makes the pseudo-header's sum too large or too small by one. That is named
// of a superpacket: it has a GSO type, or is longer than Ethernet's packets.
func TestOffByOnePartial(t *testing.T) {
	for _, n := range []int{100, 1460, 1461, 3000} {
		for _, gso := range []bool{false, true} {
			for by, text := range map[int]string{1: "it is only the pseudo-header's sum, one too large", -1: "it is only the pseudo-header's sum, one too small"} {
				h, b := scenario.TCP4(n).Super(max(1, n/3))
				binary.BigEndian.PutUint16(b[36:], uint16(int(binary.BigEndian.Uint16(b[36:]))+by))
				in := pcap.Packet{Number: 1, Data: b}
				if gso {
					h.Flags = 0
					in.Comment = pcap.VnetComment(h)
				}
				var found []Finding
				c := New(Config{}, func(f Finding) { found = append(found, f) })
				if err := c.Packet(in); err != nil {
					t.Fatal(err)
				}
				named := slices.ContainsFunc(found, func(f Finding) bool { return strings.Contains(f.Text, text) })
				if named != (gso || n > 1460) {
					t.Errorf("%d bytes, GSO %v, off by %d: %v", n, gso, by, found)
				}
			}
		}
	}
}

// TestMTU tries lengths around the MTU.
func TestMTU(t *testing.T) {
	for n := 98; n <= 102; n++ {
		found := findings(t, Config{MTU: 100}, scenario.UDP4(n-28).Bytes())
		if n > 100 != slices.Equal(kindsOf(found), []string{"overlong"}) || n <= 100 && len(found) > 0 {
			t.Errorf("%d bytes: %v", n, found)
		}
	}
}

// TestPSH sets PSH on full segments in a row. From the third one on it is found once, with the
// first packet's number. Segments that differ in anything that a superpacket's share, and those
// with a pause between them in the stream, begin a new run.
func TestPSH(t *testing.T) {
	p := scenario.TCP4(1000)
	p.Flags |= scenario.PSH
	run := func(n int, change func(i int, p *scenario.Packet)) (list [][]byte) {
		q := p
		for i := range n {
			r := q
			if change != nil {
				change(i, &r)
			}
			list = append(list, r.Bytes())
			q.Payload = r.Payload // Next goes on where it ends
			q = q.Next(len(r.Payload))
			q.Flags |= scenario.PSH
		}
		return list
	}
	for name, c := range map[string]struct {
		list  [][]byte
		first int // the packet found, or 0
	}{
		"two":           {run(2, nil), 0},
		"three":         {run(3, nil), 1},
		"many":          {run(9, nil), 1},
		"after others":  {append(run(2, func(i int, p *scenario.Packet) { p.Flags &^= scenario.PSH }), run(5, nil)[2:]...), 3},
		"one without":   {run(5, func(i int, p *scenario.Packet) { p.Flags &^= scenario.PSH * byte(i%3/2) }), 0},
		"another ack":   {run(5, func(i int, p *scenario.Packet) { p.Ack += uint32(i / 2) }), 0},
		"windows":       {run(5, func(i int, p *scenario.Packet) { p.Window += uint16(i / 2) }), 0},
		"IDs":           {run(5, func(i int, p *scenario.Packet) { p.ID += uint16(i / 2 * 3) }), 0},
		"512 bytes":     {run(3, func(i int, p *scenario.Packet) { p.Payload = p.Payload[:512] }), 1},
		"511 bytes":     {run(3, func(i int, p *scenario.Packet) { p.Payload = p.Payload[:511] }), 0},
		"other lengths": {run(5, func(i int, p *scenario.Packet) { p.Payload = p.Payload[:1000-i/2] }), 0},
	} {
		var got []Finding
		for _, f := range findings(t, Config{}, c.list...) {
			if f.Name == "tcp-psh" {
				got = append(got, f)
			}
		}
		if len(got) > 1 || (len(got) == 1) != (c.first > 0) || len(got) == 1 && got[0].Packet != c.first {
			t.Errorf("%s: %v, want it of packet %d", name, got, c.first)
		}
	}
}

// TestIDs judges the IDs of two or three segments in a row.
func TestIDs(t *testing.T) {
	seg := func(id, at, n int, df bool) []byte {
		p := scenario.TCP4(n)
		p.ID, p.Seq, p.Frag = uint16(id), p.Seq+uint32(at), 0
		if df {
			p.Frag = 0x4000
		}
		return p.Bytes()
	}
	udp := func(id, n int, fill byte) []byte {
		p := scenario.UDP4(n)
		p.ID, p.Frag, p.Payload = uint16(id), 0, bytes.Repeat([]byte{fill}, n)
		return p.Bytes()
	}
	for name, c := range map[string]struct {
		list  [][]byte
		pause time.Duration
		want  []string
	}{
		"counted":                      {[][]byte{seg(7, 0, 1000, false), seg(8, 1000, 1000, false)}, 0, nil},
		"the same":                     {[][]byte{seg(7, 0, 1000, false), seg(7, 1000, 1000, false)}, 0, []string{"id-constant"}},
		"the same, small":              {[][]byte{seg(7, 0, 10, false), seg(7, 10, 10, false)}, 0, []string{"id-constant"}},
		"the same with DF":             {[][]byte{seg(7, 0, 1000, true), seg(7, 1000, 1000, true)}, 0, nil},
		"the same, DF on one":          {[][]byte{seg(7, 0, 1000, true), seg(7, 1000, 1000, false)}, 0, nil},
		"the same, not in a row":       {[][]byte{seg(7, 0, 1000, false), seg(7, 5000, 1000, false)}, 0, nil},
		"down":                         {[][]byte{seg(7, 0, 1000, false), seg(6, 1000, 1000, false)}, 0, []string{"id-descending"}},
		"down with DF":                 {[][]byte{seg(7, 0, 1000, true), seg(6, 1000, 1000, true)}, 0, nil},
		"up, then down with DF":        {[][]byte{seg(7, 0, 1000, true), seg(8, 1000, 1000, true), seg(7, 2000, 1000, true)}, 0, []string{"id-descending"}},
		"again after a batch":          {[][]byte{seg(7, 0, 1000, false), seg(8, 1000, 1000, false), seg(7, 2000, 1000, false)}, 0, []string{"id-repeated"}},
		"again, with DF":               {[][]byte{seg(7, 0, 1000, true), seg(8, 1000, 1000, true), seg(9, 2000, 1000, true), seg(7, 3000, 1000, true)}, 0, nil},
		"datagrams":                    {[][]byte{udp(7, 1000, 1), udp(7, 1000, 2)}, 0, []string{"id-constant"}},
		"datagrams, 1 ms apart":        {[][]byte{udp(7, 1000, 1), udp(7, 1000, 2)}, time.Millisecond, []string{"id-constant"}},
		"datagrams, far apart":         {[][]byte{udp(7, 1000, 1), udp(7, 1000, 2)}, time.Millisecond + 1, nil},
		"datagrams, small":             {[][]byte{udp(7, 511, 1), udp(7, 511, 2)}, 0, nil},
		"datagrams of 512 bytes":       {[][]byte{udp(7, 512, 1), udp(7, 512, 2)}, 0, []string{"id-constant"}},
		"datagrams of two lengths":     {[][]byte{udp(7, 1000, 1), udp(7, 1001, 2)}, 0, nil},
		"a datagram twice":             {[][]byte{udp(7, 1000, 1), udp(7, 1000, 1)}, 0, nil},
		"swapped, three":               {[][]byte{seg(0x0107, 0, 1000, false), seg(0x0207, 1000, 1000, false), seg(0x0307, 2000, 1000, false)}, 0, nil},
		"swapped, four":                {[][]byte{seg(0x0107, 0, 1000, false), seg(0x0207, 1000, 1000, false), seg(0x0307, 2000, 1000, false), seg(0x0407, 3000, 1000, false)}, 0, []string{"id-swapped"}},
		"swapped, five":                {[][]byte{seg(0x0107, 0, 1000, false), seg(0x0207, 1000, 1000, false), seg(0x0307, 2000, 1000, false), seg(0x0407, 3000, 1000, false), seg(0x0507, 4000, 1000, false)}, 0, []string{"id-swapped"}},
		"an acknowledgement":           {[][]byte{seg(7, 0, 1000, false), seg(7, 1000, 0, false)}, 0, nil},
		"data after acknowledgement":   {[][]byte{seg(7, 0, 0, false), seg(7, 0, 1000, false)}, 0, nil},
		"the same after 64 other ones": {idsAgain(seg, 64), 0, nil},
		"the same after 63 other ones": {idsAgain(seg, 63), 0, []string{"id-repeated"}},
	} {
		var got []string
		k := New(Config{}, func(f Finding) {
			if strings.HasPrefix(f.Name, "id-") {
				got = append(got, f.Name)
			}
		})
		for i, b := range c.list {
			if err := k.Packet(pcap.Packet{Number: i + 1, Data: b, Time: time.Unix(1_700_000_000, 0).Add(time.Duration(i) * c.pause)}); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// idsAgain returns a segment with the ID 100, n others, and one with the ID 100 again.
func idsAgain(seg func(id, at, n int, df bool) []byte, n int) (list [][]byte) {
	for i := range n + 1 {
		list = append(list, seg(100+i, 1000*i, 1000, false))
	}
	return append(list, seg(100, 1000*(n+1), 1000, false))
}

// TestVnetOfPlain checks that a VnetHdr without a GSO type says nothing of cutting.
func TestVnetOfPlain(t *testing.T) {
	b := scenario.TCP4(300).Bytes()
	k := New(Config{Wire: true}, func(f Finding) { t.Error(f) })
	if err := k.Packet(pcap.Packet{Number: 1, Data: b, Comment: pcap.VnetComment(pkts.VnetHdr{HdrLen: 7})}); err != nil {
		t.Fatal(err)
	}
}
