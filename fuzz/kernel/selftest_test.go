// SPDX-License-Identifier: MIT

package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive/gro"
)

// These are the GRO cases of the Linux selftests (tools/testing/selftests, gro.c): the
// packets that are sent, and the payload lengths that are expected to arrive. PPPoE is
// left out, because it needs an Ethernet device.

// selftest is one case: batches of one poll each, and the expected payload lengths.
type selftest struct {
	name  string
	only  string // "4" or "6": IP version
	polls func(p scenario.Packet) [][][]byte
	want  []int
	other map[string][]int // instead of want, by feature that the kernel has, or with "!" lacks
	any   bool             // the order of arrival does not matter
}

// follow returns packets with payloads of these sizes, in sequence, beginning with p.
func follow(p scenario.Packet, sizes ...int) []scenario.Packet {
	var list []scenario.Packet
	for _, n := range sizes {
		p.Payload = scenario.Fill(n, byte(p.Seq))
		list = append(list, p)
		p.Seq += uint32(n)
	}
	return list
}

// send returns one poll with the packets, after the changes.
func send(list []scenario.Packet, change ...func([]scenario.Packet)) [][][]byte {
	for _, c := range change {
		c(list)
	}
	var batch [][]byte
	for _, p := range list {
		batch = append(batch, p.Bytes())
	}
	return [][][]byte{batch}
}

// sizes returns a selftest that sends packets with these payload lengths.
func sizes(lengths ...int) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte { return send(follow(p, lengths...)) }
}

// second returns a selftest that sends two packets of 100 bytes, the second one changed.
func second(change func(p *scenario.Packet)) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100), func(l []scenario.Packet) { change(&l[1]) })
	}
}

// harmed returns a selftest that sends n packets of 100 bytes, one of them damaged after
// its checksums are computed.
func harmed(n, which int, harm func(b []byte)) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte {
		polls := send(follow(p, slices.Repeat([]int{100}, n)...))
		harm(polls[0][which])
		return polls
	}
}

// flagged returns a selftest that sends five packets, the third one empty and with a flag.
func flagged(flag byte) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100, 100, 100, 100), func(l []scenario.Packet) {
			l[2] = p
			l[2].Payload, l[2].Flags = nil, p.Flags|flag
		})
	}
}

// ids returns a selftest that sends a packet of 100 bytes for each IPv4 ID.
func ids(df uint16, list ...uint16) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte {
		return send(follow(p, slices.Repeat([]int{100}, len(list))...), func(l []scenario.Packet) {
			for i := range l {
				l[i].ID, l[i].Frag = list[i], df
			}
		})
	}
}

func withDstOpts(p *scenario.Packet, value byte) {
	p.ExtType, p.Extensions = 60, []byte{6, 0, 1, 4, 0, 0, 0, value}
}

// large returns a selftest that sends 4,096-byte packets up to IP's length limit, then two
// more, with a gap before the last.
func large(more int) func(scenario.Packet) [][][]byte {
	return func(p scenario.Packet) [][][]byte {
		mss := 4096 - (len(p.Bytes()) - len(p.Payload))
		n, rest := largest(p)/mss, largest(p)%mss
		return send(follow(p, append(slices.Repeat([]int{mss}, n), rest+more, rest+more)...), func(l []scenario.Packet) {
			l[n+1].Seq = l[n].Seq + uint32(mss)
		})
	}
}

// largest returns the length of the longest payload with these headers.
func largest(p scenario.Packet) int { return 65535 - (len(p.Bytes()) - len(p.Payload)) }

func decrement(b []byte, at int) {
	binary.BigEndian.PutUint16(b[at:], binary.BigEndian.Uint16(b[at:])-1)
}

var selftests = []selftest{
	{name: "data_same", polls: sizes(100, 100), want: []int{200}},
	{name: "data_lrg_sml", polls: sizes(100, 50), want: []int{150}},
	{name: "data_lrg_1byte", polls: sizes(100, 1), want: []int{101}},
	{name: "data_sml_lrg", polls: sizes(50, 100), want: []int{50, 100}},
	{name: "data_burst", want: []int{200, 200}, polls: func(p scenario.Packet) [][][]byte {
		l := follow(p, 100, 100, 100, 100)
		return append(send(l[:2]), send(l[2:])...)
	}},
	{name: "ack", want: []int{0, 0, 0}, polls: func(p scenario.Packet) [][][]byte {
		return send(follow(p, 0, 0, 0), func(l []scenario.Packet) { l[2].Ack++ })
	}},
	{name: "flags_psh", want: []int{300, 200}, polls: func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100, 100, 100, 100), func(l []scenario.Packet) { l[2].Flags |= scenario.PSH })
	}},
	{name: "flags_syn", polls: flagged(scenario.SYN), want: []int{200, 0, 200}},
	{name: "flags_rst", polls: flagged(scenario.RST), want: []int{200, 0, 200}},
	{name: "flags_urg", polls: flagged(scenario.URG), want: []int{200, 0, 200}},
	{name: "flags_cwr", want: []int{100, 100, 100, 200},
		other: map[string][]int{"equal-cwr": {100, 200, 200}, "held-cwr": {100, 100, 300}},
		polls: func(p scenario.Packet) [][][]byte {
			return send(follow(p, 100, 100, 100, 100, 100), func(l []scenario.Packet) {
				l[1].Flags |= scenario.CWR
				l[2].Flags |= scenario.CWR
			})
		}},
	{name: "tcp_csum", want: []int{100, 100}, any: true, polls: func(p scenario.Packet) [][][]byte {
		return harmed(2, 1, func(b []byte) { decrement(b, p.L4Off()+16) })(p)
	}},
	{name: "tcp_seq", polls: second(func(p *scenario.Packet) { p.Seq++ }), want: []int{100, 100}},
	{name: "tcp_ts", want: []int{200, 100, 100, 100}, polls: func(p scenario.Packet) [][][]byte {
		ts := func(order int, value byte) []byte {
			option := []byte{8, 10, 0, 0, 0, value, 0, 0, 0, 0}
			return slices.Concat([]byte{1, 1}[:order], option, []byte{1, 1}[order:])
		}
		return send(follow(p, 100, 100, 100, 100, 100), func(l []scenario.Packet) {
			for i, o := range [][]byte{ts(2, 0), ts(2, 0), ts(2, 100), ts(1, 100), ts(0, 100)} {
				l[i].Options = o
			}
		})
	}},
	{name: "tcp_opt", want: []int{200, 100}, polls: func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100, 100), func(l []scenario.Packet) {
			l[0].Options, l[1].Options = scenario.Timestamps, scenario.Timestamps
			l[2].Options = []byte{1, 3, 3, 0}
		})
	}},
	{name: "ip_ecn", polls: second(func(p *scenario.Packet) { p.TOS ^= 2 }), want: []int{100, 100}},
	{name: "ip_tos", polls: second(func(p *scenario.Packet) { p.TOS ^= 0xF1 }), want: []int{100, 100}},
	{name: "ip_ttl", only: "4", polls: second(func(p *scenario.Packet) { p.TTL-- }), want: []int{100, 100}},
	{name: "ip_csum", only: "4", any: true, polls: harmed(3, 1, func(b []byte) { decrement(b, 10) }), want: []int{100, 100, 100}},
	{name: "ip_opt", only: "4", any: true, want: []int{100, 100, 100}, polls: func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100, 100), func(l []scenario.Packet) {
			l[1].IPOptions = append([]byte{68, 40, 5, 0}, make([]byte, 36)...)
		})
	}},
	{name: "ip_frag4", only: "4", any: true, polls: second(func(p *scenario.Packet) { p.Frag = 0x6000 }), want: []int{100, 100}},
	{name: "ip_id_df1_inc", only: "4", polls: ids(0x4000, 8, 9), want: []int{200}},
	{name: "ip_id_df1_fixed", only: "4", polls: ids(0x4000, 8, 8), want: []int{200}},
	{name: "ip_id_df0_inc", only: "4", polls: ids(0, 8, 9), want: []int{200}},
	{name: "ip_id_df0_fixed", only: "4", polls: ids(0, 8, 8), want: []int{200}, other: map[string][]int{"!fixed-ids": {100, 100}}},
	{name: "ip_id_df1_inc_fixed", only: "4", polls: ids(0x4000, 8, 9, 9), want: []int{200, 100}},
	{name: "ip_id_df1_fixed_inc", only: "4", polls: ids(0x4000, 8, 8, 9), want: []int{200, 100}},
	{name: "ip_frag6", only: "6", any: true, want: []int{200, 100, 100}, polls: func(p scenario.Packet) [][][]byte {
		l := follow(p, 100, 100, 100, 100)
		for i := range l[2:] {
			l[2+i].ExtType, l[2+i].Extensions = 44, []byte{6, 0, 0, 1, 0, 0, 0, byte(i)}
		}
		return append(send(l[:2]), send(l[2:])...)
	}},
	{name: "ip_v6ext_same", only: "6", want: []int{200}, polls: func(p scenario.Packet) [][][]byte {
		withDstOpts(&p, 1)
		return send(follow(p, 100, 100))
	}},
	{name: "ip_v6ext_diff", only: "6", want: []int{100, 100}, polls: func(p scenario.Packet) [][][]byte {
		return send(follow(p, 100, 100), func(l []scenario.Packet) {
			withDstOpts(&l[0], 1)
			withDstOpts(&l[1], 2)
		})
	}},
	{name: "large_max", polls: large(0)}, // see wanted
	{name: "large_rem", polls: large(1)},
	{name: "single", polls: sizes(100), want: []int{100}},
	{name: "capacity", want: slices.Repeat([]int{400}, 8), polls: func(p scenario.Packet) [][][]byte {
		var l []scenario.Packet
		for i := range 16 {
			f := follow(p, 200, 200)[i/8]
			f.SrcPort += uint16(i % 8)
			if i >= 8 {
				f.Flags |= scenario.PSH
			}
			l = append(l, f)
		}
		return send(l)
	}},
}

// outer puts an IP header of the same version in front of a packet: IPIP, or IPv6 in IPv6.
func outer(inner []byte) []byte {
	p := scenario.Packet{V6: inner[0]>>4 == 6, Src: 10, Dst: 20, TTL: 8, Frag: 0x4000, UDP: true, Payload: make([]byte, len(inner)-8)}
	b := p.Bytes()
	if p.V6 {
		b[6] = 41
		return append(b[:40], inner...)
	}
	b[9] = 4
	packet.Fix(b, packet.FixIPCsum)
	return append(b[:20], inner...)
}

// payloadLen returns the length of a packet's TCP payload, also inside an outer header.
func payloadLen(b []byte) int {
	switch {
	case b[0]>>4 == 4 && b[9] == 4:
		return payloadLen(b[20:])
	case b[0]>>4 == 6 && b[6] == 41:
		return payloadLen(b[40:])
	}
	l4, _ := packet.Locate(b)
	if b[0]>>4 == 6 && b[6] == 44 {
		l4 = 48 // after the Fragment header
	}
	return len(b) - l4 - int(b[l4+12]>>4)*4
}

// wanted returns the payload lengths that a selftest expects from a kernel.
func (s *selftest) wanted(k *Kernel, p scenario.Packet) []int {
	rest := largest(p) % (4096 - (len(p.Bytes()) - len(p.Payload)))
	switch s.name {
	case "large_max":
		return []int{largest(p), rest}
	case "large_rem":
		return []int{largest(p) - rest, rest + 1, rest + 1}
	}
	for feature, want := range s.other {
		if name, without := strings.CutPrefix(feature, "!"); k.Features[name] != without {
			return want
		}
	}
	return s.want
}

// TestSelftests runs the selftests on the real kernel with every oracle, over IPv4 and
// IPv6, plain and encapsulated.
func TestSelftests(t *testing.T) {
	k := kernel(t)
	for version, p := range bases() {
		for _, s := range selftests {
			if s.only != "" && s.only != version {
				continue
			}
			for _, tunnel := range []bool{false, true} {
				if tunnel && s.want == nil {
					continue // their lengths assume one header
				}
				polls := s.polls(p)
				want := s.wanted(k, p)
				name := fmt.Sprintf("%s/v%s", s.name, version)
				if tunnel {
					name += "/in " + version
					for _, batch := range polls {
						for i := range batch {
							batch[i] = outer(batch[i])
						}
					}
				}
				for _, o := range k.Joins {
					if o.Missing == nil {
						checkSelftest(t, o.Name+" "+name, s.any, want, asked(t, o, polls))
					}
				}
			}
		}
	}
	for _, o := range k.Joins {
		t.Run(o.Name, func(t *testing.T) { need(t, k, o) })
	}
}

func checkSelftest(t *testing.T, name string, anyOrder bool, want, got []int) {
	t.Helper()
	if anyOrder {
		want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	}
	if !slices.Equal(want, got) {
		t.Errorf("%s: payloads of %v bytes, want %v", name, got, want)
	}
}

func described(k *Kernel, polls [][][]byte) (lengths []int) {
	for _, batch := range polls {
		for _, g := range gro.Coalesce(batch, k.Rules) {
			lengths = append(lengths, payloadLen(g.Data))
		}
	}
	return lengths
}

func asked(t *testing.T, o *Oracle, polls [][][]byte) (lengths []int) {
	t.Helper()
	for _, batch := range polls {
		out, err := o.gro.Coalesce(batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out {
			lengths = append(lengths, payloadLen(p.Data))
		}
	}
	return lengths
}

// TestSelftestsDescribed runs the selftests on package gro, which needs no kernel.
func TestSelftestsDescribed(t *testing.T) {
	for _, k := range []*Kernel{
		{Rules: gro.Rules{FixedIDs: true, HopByHop: true}, Features: map[string]bool{"fixed-ids": true}},
		{Rules: gro.Rules{HopByHop: true, HeldCWR: true}, Features: map[string]bool{"held-cwr": true}},
		{Rules: gro.Rules{FixedIDs: true, EqualCWR: true}, Features: map[string]bool{"fixed-ids": true, "equal-cwr": true}},
	} {
		for version, p := range bases() {
			for _, s := range selftests {
				if s.only == "" || s.only == version {
					checkSelftest(t, s.name+"/v"+version, s.any, s.wanted(k, p), described(k, s.polls(p)))
				}
			}
		}
	}
}

// bases returns the packet that the selftests start from, by IP version.
func bases() map[string]scenario.Packet {
	b := map[string]scenario.Packet{"4": scenario.TCP4(0), "6": scenario.TCP6(0)}
	for version, p := range b {
		p.TTL, p.ID, p.Window = 8, 0, 65535
		b[version] = p
	}
	return b
}
