// SPDX-License-Identifier: MIT

package conform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// put returns a copy of b with the bytes from at on replaced.
func put(b []byte, at int, to ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], to)
	return b
}

// fixed returns a copy of b in which packet.Fix has put right what the flags select.
func fixed(b []byte, what int) []byte {
	b = bytes.Clone(b)
	packet.Fix(b, what)
	return b
}

// altered returns the bytes of p as change leaves it.
func altered(p scenario.Packet, change func(p *scenario.Packet)) []byte {
	change(&p)
	return p.Bytes()
}

// TestKind checks how each kind of packet is named.
func TestKind(t *testing.T) {
	tcp, udp, tcp6, udp6 := scenario.TCP4(9).Bytes(), scenario.UDP4(9).Bytes(), scenario.TCP6(9).Bytes(), scenario.UDP6(9).Bytes()
	flagged := func(n int, flags byte) []byte {
		return altered(scenario.TCP4(n), func(p *scenario.Packet) { p.Flags = flags })
	}
	ext := func(p *scenario.Packet) { p.ExtType, p.Extensions = 60, make([]byte, 8) }
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{tcp, "TCP data"}, {tcp6, "TCP data"}, {udp, "a datagram"}, {udp6, "a datagram"},
		{altered(scenario.TCP6(9), ext), "TCP data"}, {altered(scenario.UDP6(9), ext), "a datagram"}, {altered(scenario.UDP6(0), ext), "an empty datagram"}, {altered(scenario.TCP6(0), ext), "a pure ACK"},
		{nil, "no IP packet"}, {tcp[:19], "no IP packet"}, {put(tcp, 0, 0x55), "no IP packet"},
		{altered(scenario.TCP4(9), func(p *scenario.Packet) { p.Frag = 0x2000 }), "a fragment"}, {fixed(put(udp6, 6, 44), packet.FixAll), "a fragment"},
		{altered(scenario.TCP4(9), func(p *scenario.Packet) { p.IPOptions = make([]byte, 4) }), "a packet with IP options"},
		{put(tcp, 10, 0), "a packet with a wrong header checksum"},
		{fixed(put(tcp, 3, 48), packet.FixIPCsum), "a packet of another length"}, {put(tcp6, 5, 30), "a packet of another length"}, {append(bytes.Clone(tcp), 0), "a packet of another length"},
		{put(tcp, 36, 0), "damaged TCP"}, {put(tcp6, 56, 0), "damaged TCP"}, {put(udp, 26, 1), "a damaged datagram"}, {put(udp6, 46, 1), "a damaged datagram"},
		{put(udp, 26, 0, 0), "a datagram"}, {scenario.UDP4(0).Bytes(), "an empty datagram"}, {scenario.UDP6(0).Bytes(), "an empty datagram"}, {scenario.UDP6(1).Bytes(), "a datagram"},
		{flagged(9, 0x12), "a SYN"}, {flagged(0, 0x02), "a SYN"}, {flagged(0, 0x06), "a SYN"}, {flagged(9, 0x14), "a RST"}, {flagged(0, 0x04), "a RST"},
		{flagged(0, 0x11), "a FIN"}, {flagged(9, 0x11), "TCP data"}, {flagged(0, 0x10), "a pure ACK"}, {flagged(0, 0xF8), "a pure ACK"}, {flagged(1, 0x10), "TCP data"},
		{altered(scenario.TCP4(0), func(p *scenario.Packet) { p.Options = scenario.Timestamps }), "a pure ACK"},
		{altered(scenario.TCP4(1), func(p *scenario.Packet) { p.Options = scenario.Timestamps }), "TCP data"},
		{fixed(tcp[:39], packet.FixIPLen|packet.FixIPCsum), "a cut packet"}, {fixed(udp[:27], packet.FixIPLen|packet.FixIPCsum), "a cut packet"}, {fixed(udp6[:40], packet.FixIPLen), "a cut packet"},
		{fixed(scenario.TCP4(0).Bytes()[:20], packet.FixIPLen|packet.FixIPCsum), "a cut packet"},
		{fixed(put(tcp, 9, 1), packet.FixIPCsum), "another protocol"}, {put(udp6, 6, 58), "another protocol"},
	} {
		if got := kind(c.b); got != c.want {
			t.Errorf("%s: %q, want %q", packet.Line(c.b), got, c.want)
		}
	}
	for want, b := range map[string][]byte{"TCP 6": tcp, "UDP 17": udp6, "IP 1": put(tcp, 9, 1), "IP 255": tcp[:19], "TCP 6 ": altered(scenario.TCP6(9), ext)} {
		if got := fmt.Sprint(l4(b), " ", proto(b)); got != strings.TrimSpace(want) {
			t.Errorf("%s: %s, want %s", packet.Line(b), got, want)
		}
	}
}

// TestChanged checks the violation for each way in which a packet can come out changed.
func TestChanged(t *testing.T) {
	tcp, udp, tcp6, udp6 := scenario.TCP4(9).Bytes(), scenario.UDP4(9).Bytes(), scenario.TCP6(9).Bytes(), scenario.UDP6(9).Bytes()
	flagged := func(flags byte) []byte { return fixed(put(tcp, 33, flags), packet.FixAll) }
	noDF := altered(scenario.UDP4(9), func(p *scenario.Packet) { p.Frag = 0 })
	zero := altered(scenario.ZeroSum(scenario.UDP4(9)), func(*scenario.Packet) {})
	for _, c := range []struct {
		name    string
		was, is []byte
		want    string // property, rule and what
	}{
		{"the TTL", tcp, fixed(put(tcp, 8, 63), packet.FixAll), "P2  ip.ttl changes"},
		{"the ID", tcp, fixed(put(tcp, 4, 0), packet.FixAll), "P2  ip.id changes, TCP with DF"},
		{"the ID without DF", noDF, fixed(put(noDF, 4, 0), packet.FixAll), "P2  ip.id changes, UDP without DF"},
		{"flags", tcp, flagged(0x19), "P2  tcp.flags changes: FIN new PSH new"},
		{"flags back", flagged(0xC2), flagged(0x04), "P2  tcp.flags changes: SYN lost RST new ECE lost CWR lost"},
		{"the sequence number and flags", tcp, fixed(put(flagged(0x19), 24, 1), packet.FixAll), "P2  tcp.seq changes"},
		{"a payload", tcp, fixed(put(tcp, 45, 1), packet.FixAll), "P2  payload changes"},
		{"a TCP checksum", tcp, put(tcp, 36, 1), "P2  tcp.checksum changes"},
		{"a TCP checksum of zero", scenario.ZeroSum(scenario.TCP4(9)).Bytes(), put(scenario.ZeroSum(scenario.TCP4(9)).Bytes(), 36, 1), "P2  tcp.checksum changes from 0000"},
		{"a UDP checksum of zero", zero, put(zero, 26, 1), "P2  udp.checksum changes from ffff"},
		{"a repaired TCP checksum", put(tcp, 36, 1), tcp, "P5 C1.l4_checksum TCP checksum repaired"},
		{"a repaired UDP checksum", put(udp6, 46, 1), udp6, "P5 C1.l4_checksum UDP checksum repaired"},
		{"a repaired UDP checksum, now partial", put(udp6, 46, 1), fixed(udp6, packet.FixPartial), "P2  udp.checksum changes"},
		{"an invented checksum", put(udp, 26, 0, 0), udp, "P5 C1.absent UDP checksum invented"},
		{"an invented wrong checksum", put(udp, 26, 0, 0), put(udp, 26, 0, 1), "P5 C1.absent UDP checksum invented"},
		{"a checksum that becomes none", udp, put(udp, 26, 0, 0), "P5 C1.zero UDP checksum becomes none"},
		{"a wrong checksum that becomes none", put(udp, 26, 1, 1), put(udp, 26, 0, 0), "P5 C1.zero UDP checksum becomes none"},
		{"no checksum, and another ID", put(udp, 26, 0, 0), fixed(put(udp, 26, 0, 0, 9), packet.FixIPCsum), "P2  payload changes"},
		{"a repaired header checksum", put(tcp, 10, 1), tcp, "P5 C1.ip_checksum IPv4 header checksum repaired"},
		{"a damaged header checksum", tcp, put(tcp, 10, 1), "P2  ip.checksum changes"},
		{"another wrong header checksum", put(tcp, 10, 1), put(tcp, 10, 2), "P2  ip.checksum changes"},
		{"the total length", tcp, fixed(put(tcp, 3, 48), packet.FixIPCsum), "P2  ip.total_length changes, TCP"},
		{"the payload length", udp6, put(udp6, 5, 16), "P2  ip.payload_length changes, UDP"},
		{"the UDP length", udp, fixed(put(udp, 25, 16), packet.FixL4Csum), "P2  udp.length changes, UDP"},
		{"padding cut off", append(bytes.Clone(tcp6), 0, 0), tcp6, "P2  length changes: what is behind the IP packet is cut off"},
		{"padding added", tcp6, append(bytes.Clone(tcp6), 0, 0), "P2  length changes, TCP"},
		{"a byte less, with lengths", tcp, fixed(tcp[:48], packet.FixAll), "P2  ip.total_length changes, TCP"},
	} {
		v := changed(c.was, c.is, 7)
		if got := fmt.Sprintf("%s %s %s", v.Property, v.Rule, v.What); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if want := "packet 7: " + packet.Line(c.was); v.Text != want || !bytes.Equal(v.Want, c.was) || !bytes.Equal(v.Got, c.is) {
			t.Errorf("%s: %q, %x, %x", c.name, v.Text, v.Want, v.Got)
		}
	}
	for want, is := range map[string][]byte{"others": tcp, "CWR new": put(tcp, 33, 0x90), "FIN new": put(tcp, 33, 0x11), "ACK lost": put(tcp, 33, 0)} {
		if got := flags(tcp, is); got != want {
			t.Errorf("flags: %s, want %s", got, want)
		}
	}
	if a, b, c := flags(tcp, tcp[:33]), flags(tcp[:33], tcp), flags(put(tcp, 9, 1), put(tcp, 33, 0)); a != "others" || b != "others" || c != "others" {
		t.Errorf("flags that are not there: %s, %s, %s", a, b, c)
	}
	if got := flags(tcp, put(tcp, 33, 0)[:34]); got != "ACK lost" {
		t.Errorf("flags in the last byte: %s", got)
	}
}

// TestFirst checks which field of several names a change.
func TestFirst(t *testing.T) {
	for fields, want := range map[string]string{
		"ip.checksum": "ip.checksum", "length": "length", "ip.checksum length": "ip.checksum", "length ip.checksum udp.checksum": "udp.checksum",
		"length ip.total_length udp.length": "ip.total_length", "ip.payload_length udp.length udp.checksum payload": "payload", "tcp.checksum ip.id": "ip.id", "ip.ttl ip.id": "ip.ttl", "udp.length payload": "payload",
	} {
		var list []packet.Difference
		for _, f := range strings.Fields(fields) {
			list = append(list, packet.Difference{Field: f})
		}
		if got := first(list); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// TestPair checks which packet that came out is taken for which that went in.
func TestPair(t *testing.T) {
	a := scenario.TCP4(9)
	b, c := a.Next(9), a.Next(9).Next(9)
	ttl := func(p scenario.Packet) []byte {
		return altered(p, func(p *scenario.Packet) { p.TTL = 63 })
	}
	u := scenario.UDP4(9)
	for _, test := range []struct {
		name    string
		in, out [][]byte
		want    []int
	}{
		{"the same", [][]byte{a.Bytes(), b.Bytes()}, [][]byte{a.Bytes(), b.Bytes()}, []int{0, 1}},
		{"the other way round", [][]byte{a.Bytes(), b.Bytes()}, [][]byte{b.Bytes(), a.Bytes()}, []int{1, 0}},
		{"twice", [][]byte{a.Bytes(), a.Bytes()}, [][]byte{a.Bytes(), a.Bytes(), a.Bytes()}, []int{0, 1, -1}},
		{"changed", [][]byte{a.Bytes(), b.Bytes(), c.Bytes()}, [][]byte{ttl(c), ttl(b), ttl(a)}, []int{2, 1, 0}},
		{"equal ones first", [][]byte{a.Bytes(), b.Bytes()}, [][]byte{ttl(b), b.Bytes()}, []int{0, 1}},
		{"of another flow", [][]byte{a.Bytes()}, [][]byte{u.Bytes()}, []int{-1}},
		{"no bytes", [][]byte{a.Bytes(), nil}, [][]byte{nil, a.Bytes()}, []int{1, 0}},
	} {
		if got := pair(test.in, test.out); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	p := a.Bytes()
	for want, other := range map[int][]byte{0: p, 1: put(p, 8, 1), 2: put(p, 4, 1), 100: put(p, 24, 1), 1000: put(p, 40, 0xFF), 103: put(put(put(p, 8, 1), 24, 1), 5, 1), 4: put(p, 12, 1), 1001: append(put(p, 40, 0xFF), 0)} {
		if got := distance(p, other); got != want {
			t.Errorf("a distance of %d, want %d: %v", got, want, packet.Diff(p, other))
		}
	}
}

// TestOtherID checks when another IPv4 ID is no change.
func TestOtherID(t *testing.T) {
	tcp, tcp6 := scenario.TCP4(9).Bytes(), scenario.TCP6(9).Bytes()
	id := fixed(put(tcp, 4, 9), packet.FixIPCsum)
	noDF := altered(scenario.TCP4(9), func(p *scenario.Packet) { p.Frag = 0 })
	header := fixed(tcp[:20], packet.FixIPLen|packet.FixIPCsum)
	for _, c := range []struct {
		name    string
		was, is []byte
		want    bool
	}{
		{"another ID", tcp, id, true},
		{"the same", tcp, tcp, true},
		{"without DF", noDF, fixed(put(noDF, 4, 9), packet.FixIPCsum), false},
		{"a wrong header checksum before", put(tcp, 10, 1), id, false},
		{"a wrong header checksum after", tcp, put(tcp, 4, 9), false},
		{"another TTL too", tcp, fixed(put(id, 8, 9), packet.FixIPCsum), false},
		{"IPv6", put(tcp6, 6, 0x46), put(tcp6, 6, 0x46), false},
		{"20 bytes", header, fixed(put(header, 4, 9), packet.FixIPCsum), true},
		{"19 bytes", tcp[:19], tcp[:19], false},
	} {
		if got := otherID(c.was, c.is); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// text returns violations without their packets.
func text(list []Violation) string {
	var s []string
	for _, v := range list {
		s = append(s, v.Key()+" ["+v.Rule+"] "+v.Text)
	}
	return strings.Join(s, "\n")
}

// plain returns packets as frames that are not joined.
func plain(packets ...[]byte) (frames [][]byte) {
	for _, p := range packets {
		frames = append(frames, Frame(pkts.VnetHdr{}, p))
	}
	return frames
}

// TestJudgeFrames states all violations of frames, one kind of fault at a time.
func TestJudgeFrames(t *testing.T) {
	a := scenario.TCP4(9)
	one, two, three := a.Bytes(), a.Next(9).Bytes(), a.Next(9).Next(9).Bytes()
	joined := a
	joined.Payload = scenario.Fill(18, 0)
	h, super := joined.Super(9)
	bad := h
	bad.CsumOffset++
	junk := []byte{0xFF, 1}
	id := fixed(put(two, 4, 9), packet.FixIPCsum)
	const lineOne = "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF TCP 1500 > 8000 seq 1 ack 1 win 512 ACK, 9 bytes"
	const lineTwo = "IPv4 192.0.2.1 > 192.0.2.2 id 1001 ttl 64 DF TCP 1500 > 8000 seq 10 ack 1 win 512 ACK, 9 bytes"
	for _, c := range []struct {
		name   string
		batch  [][]byte
		frames [][]byte
		want   string
	}{
		{"as they came", [][]byte{one, two}, plain(one, two), ""},
		{"joined", [][]byte{one, two, three}, append([][]byte{Frame(h, super)}, plain(three)...), ""},
		{"any bytes, not joined", [][]byte{junk, nil}, plain(junk, nil), ""},
		{"any bytes, with a flag that says nothing", [][]byte{junk}, [][]byte{Frame(pkts.VnetHdr{Flags: 2, HdrLen: 3}, junk)}, ""},
		{"any bytes, with NEEDS_CSUM", [][]byte{junk}, [][]byte{Frame(pkts.VnetHdr{Flags: 1}, junk)}, "P11: a superpacket that is refused: CsumRange [S5] frame 0: flags=1 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0, 2 bytes, no IP header\nP2: lost: no IP packet [E] packet 0: 2 bytes, no IP header"},
		{"any bytes, with a GSO type", [][]byte{junk}, [][]byte{Frame(pkts.VnetHdr{GSOType: 1}, junk)}, "P11: a superpacket that is refused: GSOSize [S5] frame 0: flags=0 gso_type=1 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0, 2 bytes, no IP header\nP2: lost: no IP packet [E] packet 0: 2 bytes, no IP header"},
		{"no VnetHdr", [][]byte{one}, append(plain(one), make([]byte, 9)), "P11: no VnetHdr [] frame 1 has 9 bytes"},
		{"a VnetHdr and no packet", [][]byte{one}, append(plain(one), make([]byte, 10)), "P2: a packet that nobody sent [E] 1: 0 bytes, no IP header"},
		{"lost", [][]byte{one, two}, plain(two), "P2: lost: TCP data [E] packet 0: " + lineOne},
		{"lost, and in another order", [][]byte{one, two, three}, plain(three, two), "P2: lost: TCP data [E] packet 0: " + lineOne},
		{"doubled", [][]byte{one}, plain(one, one), "P2: a packet that nobody sent [E] 1: " + lineOne},
		{"in another order", [][]byte{one, two}, plain(two, one), "P3: TCP data overtakes TCP data [C4] packet 1 leaves before packet 0"},
		{"another ID", [][]byte{one, two}, plain(one, id), "P2: ip.id changes, TCP with DF [] packet 1: " + lineTwo},
	} {
		if got := text(Impl{}.judge(c.batch, c.frames)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
	if list := (Impl{AtomicIDs: true}).judge([][]byte{one, two}, plain(one, id)); len(list) > 0 {
		t.Errorf("another ID with AtomicIDs: %v", list)
	}
	if list := (Impl{AtomicIDs: true}).judge([][]byte{one, two}, plain(one, put(id, 10, 0))); len(list) != 1 {
		t.Errorf("another ID with a wrong checksum with AtomicIDs: %v", list)
	}
}

// TestOvertakes checks which packets may change places.
func TestOvertakes(t *testing.T) {
	a, other := scenario.TCP4(9), scenario.TCP4(9)
	other.SrcPort++
	icmp := fixed(put(put(a.Bytes(), 9, 1), 48, 9), packet.FixIPCsum)
	batch := [][]byte{a.Bytes(), a.Next(9).Bytes(), other.Bytes(), icmp, a.Next(9).Next(0).Bytes(), a.Bytes(), a.Next(9).Next(9).Next(9).Bytes()}
	for _, c := range []struct {
		at   []int
		want string
	}{
		{[]int{0, 1, 2, 3, 4, 5, 6}, ""},
		{[]int{2, 0, 1}, ""},
		{[]int{1, 0}, ""}, // 0 has a twin
		{[]int{4, 1, 2}, "P3: a pure ACK overtakes TCP data [C4] packet 4 leaves before packet 1"},
		{[]int{3, 1, 2}, "P3: another protocol overtakes TCP data [C4] packet 3 leaves before packet 1"},
		{[]int{6, 4, 1}, "P3: TCP data overtakes a pure ACK [C4] packet 6 leaves before packet 4\nP3: TCP data overtakes TCP data [C4] packet 6 leaves before packet 1\nP3: a pure ACK overtakes TCP data [C4] packet 4 leaves before packet 1"},
		{[]int{3, 2, 1}, "P3: another protocol overtakes TCP data [C4] packet 3 leaves before packet 1"}, // 2 has a twin
		{[]int{5, 1}, ""},
		{[]int{6, 3, 4, 1}, "P3: TCP data overtakes another protocol [C4] packet 6 leaves before packet 3\nP3: TCP data overtakes a pure ACK [C4] packet 6 leaves before packet 4\nP3: TCP data overtakes TCP data [C4] packet 6 leaves before packet 1\nP3: another protocol overtakes TCP data [C4] packet 3 leaves before packet 1\nP3: a pure ACK overtakes TCP data [C4] packet 4 leaves before packet 1"},
	} {
		if got := text(overtakes(batch, c.at)); got != c.want {
			t.Errorf("%v:\n%s\nwant:\n%s", c.at, got, c.want)
		}
	}
	if got, want := twins(batch), []bool{true, false, true, false, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("twins: %v, want %v", got, want)
	}
	one := a.Bytes()
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{"the same": {one, true}, "another ID": {put(one, 4, 1), true}, "another port": {put(one, 20, 1), true}, "another sequence number": {put(one, 27, 9), false}, "another payload": {put(one, 48, 9), false}, "another length": {one[:48], false}} {
		if got := alike(one, c.b); got != c.want {
			t.Errorf("%s: alike is %v", name, got)
		}
	}
}

// TestStack checks how payload is counted that a stack joins for itself.
func TestStack(t *testing.T) {
	a := scenario.TCP4(3)
	a.Options, a.Seq = scenario.Timestamps, 0xFFFFFFFF
	b := a.Bytes()
	flow := string(b[12:20]) + string(b[20:24])
	want := map[position]int{{flow, 0xFFFFFFFF, 0}: 2, {flow, 0, 1}: 2, {flow, 1, 2}: 2}
	if d := cmp.Diff(want, carried([][]byte{b, scenario.UDP4(9).Bytes(), b, b[:30], nil}), cmp.AllowUnexported(position{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	next := a.Next(3).Bytes()
	damaged, short := put(next, 36, 0), fixed(put(next, 3, 50), packet.FixIPCsum)
	for _, c := range []struct {
		name    string
		in, out [][]byte
		want    string
	}{
		{"all", [][]byte{b, next}, plain(next, b), ""},
		{"missing", [][]byte{b, next}, plain(b), "P2: bytes of a TCP flow do not come out [] 3 of them"},
		{"doubled", [][]byte{b}, plain(b, b), "P2: bytes of a TCP flow come out that nobody sent [] 3 of them"},
		{"changed", [][]byte{b}, plain(fixed(put(b, 53, 9), packet.FixAll)), "P2: bytes of a TCP flow do not come out [] 1 of them\nP2: bytes of a TCP flow come out that nobody sent [] 1 of them"},
		{"damaged, as it was", [][]byte{b, damaged}, plain(b, damaged), ""},
		{"damaged, dropped", [][]byte{b, damaged}, plain(b), ""},
		{"damaged, repaired", [][]byte{b, damaged}, plain(b, next), "P2: bytes of a TCP flow come out that nobody sent [] 3 of them"},
		{"newly damaged", [][]byte{b, next}, plain(b, put(damaged, 36, 1)), ""},
		{"of another length, as it was", [][]byte{b, short}, plain(b, short), ""},
		{"a cut frame", [][]byte{b}, append(plain(b), nil, make([]byte, 9)), ""},
	} {
		if got := text(streams(c.in, c.out)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

// TestBatches checks what an implementation is given, and what it may do with it.
func TestBatches(t *testing.T) {
	one := scenario.TCP4(9).Bytes()
	udp := scenario.UDP4(9).Bytes()
	var given [][][]byte
	impl := Impl{NewCoalescer: func() Coalesce {
		return func(batch [][]byte) ([][]byte, error) {
			var was [][]byte
			for _, p := range batch {
				was = append(was, bytes.Clone(p))
				if cap(p) < 65535 {
					t.Errorf("a packet has room for %d bytes", cap(p))
				}
			}
			given = append(given, was)
			frames := plain(batch...)
			for _, p := range batch {
				clear(p)
			}
			if len(batch) == 3 {
				return nil, errors.New("3 packets\nand more")
			}
			return frames, nil
		}
	}}
	list, n := impl.batches([][][]byte{{one}, {one, udp, one}, {}})
	if got := text(list); n != 3 || got != "P2: an error loses the batch:  packets [A1] of 3 packets" {
		t.Errorf("%d batches: %s", n, got)
	}
	if want := [][][]byte{{one}, {one, udp, one}, nil}; cmp.Diff(want, given) != "" {
		t.Errorf("given: %s", cmp.Diff(want, given))
	}
	impl.Takes = func(p []byte) bool { return proto(p) == 17 }
	given = nil
	if list, n := impl.batches([][][]byte{{one}, {one, udp}, {}}); n != 1 || len(list) > 0 || len(given) != 1 || len(given[0]) != 1 {
		t.Errorf("with Takes: %d batches, %v, given %x", n, list, given)
	}
	for _, c := range []struct {
		impl          Impl
		packets, size int
		want          bool
	}{
		{Impl{}, 512, 1, true}, {Impl{}, 513, 1, false}, {Impl{MaxBatch: 2}, 2, 1, true}, {Impl{MaxBatch: 2}, 3, 1, false}, {Impl{MaxBatch: 600}, 600, 1, true},
		{Impl{}, 1, 65535, true}, {Impl{}, 1, 65536, false}, {Impl{MaxPacket: 9}, 2, 9, true}, {Impl{MaxPacket: 9}, 2, 10, false}, {Impl{}, 0, 0, true},
	} {
		batch := make([][]byte, c.packets)
		for i := range batch {
			batch[i] = make([]byte, c.size)
		}
		if got, ok := c.impl.given(batch); ok != c.want || ok && len(got) != c.packets || !ok && got != nil {
			t.Errorf("%d packets of %d bytes: %d, %v", c.packets, c.size, len(got), ok)
		}
	}
}
