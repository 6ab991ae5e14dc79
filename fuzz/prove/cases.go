// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
)

// caseFile is cases that a counterexample may become. A counterexample says whether a
// checksum is right, but not which bytes make it so, and not how the packets came to the
// code. So there are several, and one of them shows the violation if replay says so.
type caseFile struct{ variants []*pkts.Case }

// bytesOf returns the bytes of a packet in a counterexample, up to n.
func bytesOf(values map[string]uint64, name string, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(values[fmt.Sprintf("%s[%d]", name, i)])
	}
	return b
}

// runPackets returns the packets of a run of a counterexample.
func runPackets(l layout, values map[string]uint64, run, first string) [][]byte {
	hdrLen := l.hdrLen
	if v, ok := values[run+".hdrLen"]; ok {
		hdrLen = int(v)
	}
	n, size, last := int(values[run+".n"]), int(values[run+".size"]), int(values[run+".last"])
	hdr := bytesOf(values, first, hdrLen)
	var out [][]byte
	for i := range min(n, 1022) {
		length := size
		if i == n-1 {
			length = last
		}
		p := slices.Clone(hdr)
		for k := range length {
			p = append(p, byte(i+k))
		}
		if l.version == 4 {
			binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(hdr[4:])+uint16(i))
		}
		if l.proto == tcp {
			binary.BigEndian.PutUint32(p[l.ip()+4:], binary.BigEndian.Uint32(hdr[l.ip()+4:])+uint32(i*size))
			p[l.ip()+13] &^= finPSH
			if i == n-1 {
				p[l.ip()+13] |= byte(values[run+".flags"])
			}
		}
		packet.Fix(p, packet.FixAll)
		out = append(out, p)
	}
	return out
}

// settingsOf returns the settings of a counterexample.
func settingsOf(l layout, values map[string]uint64) pkts.Config {
	c := pkts.Config{AtomicIDs: values["c.cfg.AtomicIDs"] == 1, AbsentChecksums: values["c.cfg.AbsentChecksums"] == 1}
	most := int(values["a.most"])
	switch {
	case l.proto == udp:
		c.MaxUDPSegments = most
	case values["a.size"] >= 8:
		c.MaxSegments = most
	}
	if v := int(values["c.cfg.MaxOpen"]); v > 0 {
		c.MaxOpen = v
	}
	c.DisableTCPv4, c.DisableTCPv6, c.DisableUDP = values["c.cfg.DisableTCPv4"] == 1, values["c.cfg.DisableTCPv6"] == 1, values["c.cfg.DisableUDP"] == 1
	return c
}

// batch returns a case of packets, which are joined.
func batch(config pkts.Config, packets ...[]byte) *pkts.Case {
	c := &pkts.Case{Op: pkts.OpCoalesce, Config: config, Batches: []pkts.Batch{{}}}
	for _, p := range packets {
		c.Batches[0].In = append(c.Batches[0].In, pkts.In{Data: p})
	}
	return c
}

// orders returns cases of two runs: one after the other, in front of the other, and after
// the other with a packet of the flow between that joins neither.
func orders(l layout, config pkts.Config, a, b [][]byte) []*pkts.Case {
	reorder := config
	reorder.Reorder = true
	cs := []*pkts.Case{batch(config, slices.Concat(a, b)...), batch(reorder, slices.Concat(b, a)...)}
	if l.proto == tcp && len(a) > 0 {
		far := slices.Clone(a[0])
		far[l.ip()+4] ^= 0x40
		packet.Fix(far, packet.FixAll)
		cs = append(cs, batch(reorder, slices.Concat(a, [][]byte{far}, b)...), batch(reorder, slices.Concat(b, [][]byte{far}, a)...))
	}
	// Other flows between: for MaxOpen.
	for n := range 3 {
		var others [][]byte
		for i := range n + 1 {
			o := slices.Clone(a[0])
			o[l.ip()] ^= byte(0x40 + i)
			packet.Fix(o, packet.FixAll)
			others = append(others, o)
		}
		few := config
		few.MaxOpen = n + 1
		cs = append(cs, batch(few, slices.Concat(a, others, b)...))
	}
	return cs
}

func joinCase(l layout, values map[string]uint64) (*caseFile, error) {
	a, b := runPackets(l, values, "a", "A"), runPackets(l, values, "b", "B")
	return &caseFile{orders(l, settingsOf(l, values), a, b)}, nil
}

func addCase(l layout, _ bool, values map[string]uint64) (*caseFile, error) {
	cf, err := joinCase(l, values)
	if err != nil {
		return nil, err
	}
	// One more packet after the two shows what was made of them.
	for _, c := range slices.Clone(cf.variants) {
		more := *c
		in := slices.Clone(c.Batches[0].In)
		for _, next := range successors(l, in[len(in)-1].Data) {
			more.Batches = []pkts.Batch{{In: append(slices.Clone(in), pkts.In{Data: next})}}
			v := more
			cf.variants = append(cf.variants, &v)
		}
	}
	return cf, nil
}

// successors returns packets that follow p: as long, and of one byte.
func successors(l layout, p []byte) [][]byte {
	hdrLen := packet.HeaderLen(p)
	if hdrLen >= len(p) {
		return nil
	}
	next := slices.Clone(p)
	if p[0]>>4 == 4 {
		binary.BigEndian.PutUint16(next[4:], binary.BigEndian.Uint16(p[4:])+1)
	}
	if l4, proto := packet.Locate(p); proto == tcp {
		binary.BigEndian.PutUint32(next[l4+4:], binary.BigEndian.Uint32(p[l4+4:])+uint32(len(p)-hdrLen))
	}
	packet.Fix(next, packet.FixAll)
	short := slices.Clone(next[:hdrLen+1])
	packet.Fix(short, packet.FixAll)
	return [][]byte{next, short}
}

// forms returns p with its checksums right, wrong, and in other forms.
func forms(p []byte) [][]byte {
	var out [][]byte
	l4, proto := packet.Locate(p)
	at := l4 + 16
	if proto == udp {
		at = l4 + 6
	}
	add := func(change func(q []byte)) {
		q := slices.Clone(p)
		change(q)
		out = append(out, q)
	}
	add(func(q []byte) {})
	add(func(q []byte) { packet.Fix(q, packet.FixL4Csum|packet.FixIPCsum) })
	if l4 == 0 || at+2 > len(p) {
		return out
	}
	add(func(q []byte) { packet.Fix(q, packet.FixL4Csum|packet.FixIPCsum); q[at] ^= 1 })
	if p[0]>>4 == 4 {
		add(func(q []byte) { packet.Fix(q, packet.FixL4Csum|packet.FixIPCsum); q[10] ^= 1 })
		// A header whose checksum computes to zero, in the other form.
		add(func(q []byte) {
			copy(q[10:12], []byte{0, 0})
			copy(q[18:20], []byte{0, 0})
			packet.Fix(q, packet.FixIPCsum)
			copy(q[18:20], q[10:12])
			packet.Fix(q, packet.FixL4Csum)
			copy(q[10:12], []byte{0xFF, 0xFF})
		})
	}
	// The same of the L4 checksum: the last two whole words of payload take it up.
	hdrLen := packet.HeaderLen(p)
	if n := (len(p) - l4) &^ 1; l4+n-2 >= hdrLen {
		word := l4 + n - 2
		add(func(q []byte) {
			copy(q[word:], []byte{0, 0})
			packet.Fix(q, packet.FixL4Csum|packet.FixIPCsum)
			copy(q[word:], q[at:at+2])
			packet.Fix(q, packet.FixL4Csum)
			if proto == udp {
				copy(q[at:], []byte{0, 0})
			} else {
				copy(q[at:], []byte{0xFF, 0xFF})
			}
		})
	}
	if proto == udp {
		add(func(q []byte) { packet.Fix(q, packet.FixL4Csum|packet.FixIPCsum); copy(q[at:], []byte{0, 0}) })
	}
	return out
}

func extendCase(l layout, values map[string]uint64) (*caseFile, error) {
	a := runPackets(l, values, "a", "A")
	p := bytesOf(values, "P", min(int(values["len(P)"]), 65575))
	cf := &caseFile{}
	for i, q := range forms(p) {
		cf.variants = append(cf.variants, orders(l, settingsOf(l, values), a, [][]byte{q})...)
		if i == 1 { // with right checksums: one more packet shows what was made of it
			for _, next := range successors(l, q) {
				cf.variants = append(cf.variants, orders(l, settingsOf(l, values), a, [][]byte{q, next})...)
			}
		}
	}
	return cf, nil
}

// admitCase has a packet twice, and before and after a packet that follows it.
func admitCase(l layout, values map[string]uint64) (*caseFile, error) {
	p := bytesOf(values, "P", min(int(values["len(P)"]), 65575))
	config := settingsOf(l, values)
	config.MaxSegments, config.MaxUDPSegments, config.MaxOpen = 0, 0, 0
	cf := &caseFile{}
	for _, q := range forms(p) {
		cf.variants = append(cf.variants, batch(config, q), batch(config, q, q))
		for _, next := range successors(l, q) {
			cf.variants = append(cf.variants, batch(config, q, next), batch(config, next, q))
			for _, other := range forms(next) {
				cf.variants = append(cf.variants, batch(config, q, other))
			}
		}
	}
	return cf, nil
}

// segmentCase has a superpacket.
func segmentCase(l cutLayout, values map[string]uint64) (*caseFile, error) {
	total := min(int(values["len(s.pkt)"]), 65535)
	p := bytesOf(values, "X", l.hdrLen)
	if l.version == 4 {
		p[0], p[9] = 0x40|byte(l.l4Off/4), byte(l.proto)
		p[6] &^= 0x3F
		p[7] = 0
	} else {
		p[0] = 0x60 | p[0]&15
		p[6] = byte(l.proto)
		if l.l4Off > 40 { // one header of destination options
			p[6], p[40], p[41] = 60, byte(l.proto), byte((l.l4Off-40)/8-1)
		}
	}
	if l.proto == tcp {
		p[l.l4Off+12] = byte(l.hdrLen-l.l4Off)/4<<4 | p[l.l4Off+12]&15
	}
	for i := len(p); i < total; i++ {
		p = append(p, byte(i))
	}
	packet.Fix(p, packet.FixIPLen|packet.FixUDPLen|packet.FixPartial|packet.FixIPCsum)
	h := packet.DeriveVnet(p, uint16(values["s.size"]))
	cf := &caseFile{}
	one := func(h pkts.VnetHdr, p []byte) {
		cf.variants = append(cf.variants, &pkts.Case{Op: pkts.OpSegment, Batches: []pkts.Batch{{In: []pkts.In{{Data: p, Vnet: h}}}}})
	}
	one(h, p)
	wrong := slices.Clone(p)
	wrong[l.l4Off+7] ^= 0x55
	one(h, wrong)
	if l.proto == tcp {
		h.Flags = 0
		one(h, p)
	}
	return cf, nil
}

// openCase has two packets that join, with packets of other flows between.
func openCase(map[string]uint64) (*caseFile, error) {
	p := make([]byte, 60)
	p[0], p[8], p[9], p[21] = 0x45, 64, udp, 9
	packet.Fix(p, packet.FixAll)
	return &caseFile{orders(layout{4, udp, 28}, pkts.Config{}, [][]byte{p}, successors(layout{4, udp, 28}, p)[:1])}, nil
}

// sumCase has data that is summed: two packets of one flow, and bytes.
func sumCase(map[string]uint64) (*caseFile, error) {
	cf := &caseFile{}
	for _, l := range []layout{{4, tcp, 40}, {6, tcp, 60}, {4, udp, 28}} {
		p := make([]byte, l.hdrLen+33)
		for i := range p {
			p[i] = byte(0xF8 + i%7)
		}
		if l.version == 4 {
			p[0], p[6], p[7], p[9] = 0x45, 0x40, 0, byte(l.proto)
		} else {
			p[0], p[6] = 0x60, byte(l.proto)
		}
		if l.proto == tcp {
			p[l.ip()+12], p[l.ip()+13] = 0x50, ack
		}
		packet.Fix(p, packet.FixAll)
		cf.variants = append(cf.variants, batch(pkts.Config{}, p))
		for _, next := range successors(l, p) {
			cf.variants = append(cf.variants, batch(pkts.Config{}, p, next))
		}
	}
	cf.variants = append(cf.variants, &pkts.Case{Op: pkts.OpChecksum, Batches: []pkts.Batch{{In: []pkts.In{{Data: slices.Repeat([]byte{0xFF, 0xFE, 1}, 99), Seed: 0xFFFF}}}}})
	return cf, nil
}

// writeCase writes the first variant of a counterexample.
func (o *options) writeCase(v verdict, name string) {
	cf, err := v.theorem.Case(v.values)
	if err != nil || cf == nil {
		return
	}
	for i, c := range cf.variants {
		c.Why, c.Source = "counterexample to "+v.theorem.Name, "prove"
		os.WriteFile(filepath.Join(o.out, fmt.Sprintf("%s-%d.pkts", clean(name), i)), pkts.Format(c), 0o644)
	}
}

func clean(name string) string {
	out := []byte(name)
	for i, c := range out {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			out[i] = '-'
		}
	}
	return string(out)
}
