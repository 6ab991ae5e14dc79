// SPDX-License-Identifier: MIT

package exhaustive

import (
	"fmt"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// withoutChecksums is the form of datagrams that join only with AbsentChecksums.
const withoutChecksums = "udp4 without checksums"

// Forms are the kinds of packets that Coalesce joins, by name.
var Forms = []string{"tcp4", "tcp6", "udp4", "udp6", withoutChecksums}

// LimitModes returns the configurations for a form in which each limit has one of these
// values, in both orders. 0 is the default. MaxUDPSegments is the same as MaxSegments.
func LimitModes(form string, values ...int) (list []law.Mode) {
	for _, reorder := range []bool{false, true} {
		for _, open := range values {
			for _, perFlow := range values {
				for _, segments := range values {
					list = append(list, law.Mode{
						Name:   fmt.Sprintf("reorder %v, MaxOpen %d, MaxPerFlow %d, MaxSegments %d", reorder, open, perFlow, segments),
						Config: pkts.Config{Reorder: reorder, MaxOpen: open, MaxPerFlow: perFlow, MaxSegments: segments, MaxUDPSegments: segments, AbsentChecksums: form == withoutChecksums},
					})
				}
			}
		}
	}
	return list
}

// Flows returns the letters of two flows of a form: three full packets of each in a row, one
// that is short, packets of the first flow that are no candidates, and one of neither flow.
// Of datagrams without checksums, one of each flow has a checksum.
func Flows(form string) []Letter {
	a := map[string]func(int) scenario.Packet{"tcp4": scenario.TCP4, "tcp6": scenario.TCP6, "udp4": scenario.UDP4, "udp6": scenario.UDP6, withoutChecksums: scenario.UDP4}[form](size)
	a.NoCsum = form == withoutChecksums
	b, icmp := a, a
	b.SrcPort++
	icmp.SrcPort += 2
	proto := 9
	if form == "tcp6" || form == "udp6" {
		proto = 6
	}
	summed := func(p *scenario.Packet) { p.NoCsum = false }
	wrong := with(after(a, 1), summed)
	wrong[len(wrong)-1] ^= 1
	return []Letter{
		{"a 0", a.Bytes()},
		{"a 1", after(a, 1).Bytes()},
		{"a 2", with(after(a, 2), summed)},
		{"a 1 short", a.Next(size - 1).Bytes()},
		{"a without payload", with(after(a, 1), func(p *scenario.Packet) { p.Payload = nil })},
		{"a 1 with a wrong checksum", wrong},
		{"b 0", b.Bytes()},
		{"b 1", with(after(b, 1), summed)},
		{"b 2", after(b, 2).Bytes()},
		{"of neither", damaged(icmp, func(b []byte) { b[proto] = 132 })},
	}
}

// Limits returns the Enumeration of all batches of up to 4 packets of two flows of a form,
// with each limit at 1 and 2.
func Limits(form string) *Enumeration {
	b := Batches{Letters: Flows(form), Size: 4, Modes: LimitModes(form, 1, 2)}
	return variants(fmt.Sprintf("two flows of %s to size 4, limits 1 and 2", form), lettered{b})
}
