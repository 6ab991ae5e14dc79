// SPDX-License-Identifier: MIT

package law_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/offload"
)

// coalescer is production with a fault in its superpackets or in its Reasons.
type coalescer struct {
	law.Coalescer
	cfg   pkts.Config
	calls int
	fault func(c *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket
	say   func(i int, r offload.Reason) offload.Reason
}

func (c *coalescer) Coalesce(batch [][]byte) []law.Superpacket {
	out := c.Coalescer.Coalesce(batch)
	c.calls++
	if c.fault != nil {
		out = c.fault(c, batch, slices.Clone(out))
	}
	return out
}

func (c *coalescer) Reason(i int) offload.Reason {
	r := c.Coalescer.Reason(i)
	if c.say != nil {
		r = c.say(i, r)
	}
	return r
}

// changed is a superpacket whose bytes are changed as they are appended.
type changed struct {
	law.Superpacket
	change func(wire []byte)
}

func (p changed) AppendTo(dst []byte) []byte {
	at := len(dst)
	dst = p.Superpacket.AppendTo(dst)
	p.change(dst[at:])
	return dst
}

// stray is a superpacket whose AppendTo also writes the byte after those it appends.
type stray struct{ law.Superpacket }

func (p stray) AppendTo(dst []byte) []byte {
	dst = p.Superpacket.AppendTo(dst)
	if len(dst) < cap(dst) {
		dst[:len(dst)+1][len(dst)] = 1
	}
	return dst
}

// saysFirst is production with a Coalescer that gives Reason First for the Reason of.
func saysFirst(of offload.Reason) law.Subject {
	u := law.Production
	u.NewCoalescer = func(cfg pkts.Config) law.Coalescer {
		return &coalescer{Coalescer: law.NewCoalescer(cfg), say: func(_ int, r offload.Reason) offload.Reason {
			if r == of {
				r = offload.First
			}
			return r
		}}
	}
	return u
}

// batches returns production with f applied to the result of each Coalesce.
func batches(f func(c *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket) law.Subject {
	u := law.Production
	u.NewCoalescer = func(cfg pkts.Config) law.Coalescer {
		return &coalescer{Coalescer: law.NewCoalescer(cfg), cfg: cfg, fault: f}
	}
	return u
}

// members is a superpacket that says it has other packets.
type members struct {
	law.Superpacket
	list []int
}

func (p members) Packets() []int { return p.list }

// acrossFragments joins packets as if there were no fragments between them.
func acrossFragments(c *coalescer, batch [][]byte, _ []law.Superpacket) []law.Superpacket {
	var rest [][]byte
	var at []int
	var out []law.Superpacket
	for i, b := range batch {
		if len(b) >= 20 && b[0]>>4 == 4 && (b[6]&0x3F|b[7]) != 0 {
			out = append(out, members{law.NewCoalescer(c.cfg).Coalesce([][]byte{b})[0], []int{i}})
		} else {
			rest, at = append(rest, b), append(at, i)
		}
	}
	for _, p := range law.NewCoalescer(c.cfg).Coalesce(rest) {
		var list []int
		for _, k := range p.Packets() {
			list = append(list, at[k])
		}
		out = append(out, members{p, list})
	}
	slices.SortFunc(out, func(p, q law.Superpacket) int { return slices.Min(p.Packets()) - slices.Min(q.Packets()) })
	return out
}

// each returns production with change applied to every superpacket of two or more packets.
func each(change func(wire []byte)) law.Subject {
	return batches(func(_ *coalescer, _ [][]byte, out []law.Superpacket) []law.Superpacket {
		for i, p := range out {
			if len(p.Packets()) > 1 {
				out[i] = changed{p, change}
			}
		}
		return out
	})
}

// segmenter is production with a fault: shortWrites writes into a buffer that is too
// short, stops writes after the packet in InPlace, used changes a byte after reuse, repairs
// puts checksums right, flips changes a byte of every segment, outer changes the checksum of
// the outer IPv4 header in a tunnel.
type segmenter struct {
	offload.Segmenter
	resets                                          int
	whole                                           []byte
	tunnel                                          bool
	shortWrites, stops, used, repairs, flips, outer bool
}

func (s *segmenter) Reset(h offload.VnetHdr, pkt []byte) error {
	s.resets++
	s.whole = pkt
	s.tunnel = h.GSOType&(offload.GSOUDPTunnelIPv4|offload.GSOUDPTunnelIPv6) != 0
	return s.Segmenter.Reset(h, pkt)
}

func (s *segmenter) Next(dst []byte) (int, error) {
	n, err := s.Segmenter.Next(dst)
	if s.shortWrites && errors.Is(err, errShort) && len(dst) > 0 {
		dst[0] = 7
	}
	if s.outer && s.tunnel && n > 0 && dst[0]>>4 == 4 {
		dst[10] ^= 1
	}
	if n > 0 && (s.used && s.resets > 1 || s.flips) {
		dst[n-1] ^= 1
	}
	if n > 0 && s.repairs {
		packet.Fix(dst[:n], packet.FixL4Csum)
	}
	return n, err
}

func (s *segmenter) InPlace() iter.Seq[[]byte] {
	if s.stops && cap(s.whole) > len(s.whole) && len(s.whole) > 0 {
		s.whole[:len(s.whole)+1][len(s.whole)] = 9
	}
	return s.Segmenter.InPlace()
}

// errShort is the error of Next for a buffer that is too short.
var errShort = func() error {
	var s offload.Segmenter
	h, b := scenario.TCP4(20).Super(10)
	_ = s.Reset(law.OffloadHdr(h), b)
	_, err := s.Next(nil)
	return err
}()

// supers returns production with a fault in its Segmenters.
func supers(fault segmenter) law.Subject {
	u := law.Production
	u.NewSegmenter = func() law.Segmenter { s := fault; return &s }
	return u
}

// faults are faulty implementations, at least one for each property. The property must
// detect its fault. Other properties may detect it too, unless alone is set.
var faults = []struct {
	property, name string
	subject        law.Subject
	alone          bool
}{
	{"P1", "writes to the batch", batches(func(_ *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		for _, b := range batch {
			if cap(b) > len(b) {
				b[:len(b)+1][len(b)]++
			}
		}
		return out
	}), false},
	{"P1", "writes after what it appends", batches(func(_ *coalescer, _ [][]byte, out []law.Superpacket) []law.Superpacket {
		for i := range out {
			out[i] = stray{out[i]}
		}
		return out
	}), true},
	{"P1", "writes into a buffer that is too short", supers(segmenter{shortWrites: true}), true},
	{"P1", "in place, writes after the packet", supers(segmenter{stops: true}), true},
	{"P1", "panics", batches(func(_ *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		if len(batch) > 3 {
			panic("planted")
		}
		return out
	}), false},
	{"P2", "changes the TTL", each(func(wire []byte) {
		if wire[10]>>4 == 4 {
			wire[18]++
		} else {
			wire[17]++
		}
	}), false},
	{"P3", "the last superpacket leaves first", batches(func(_ *coalescer, _ [][]byte, out []law.Superpacket) []law.Superpacket {
		slices.Reverse(out)
		return out
	}), false},
	{"P3", "joins across fragments", batches(acrossFragments), false},
	{"P3", "with Reorder, joins UDP packets in the wrong order", batches(func(c *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		for i, p := range out {
			if list := slices.Clone(p.Packets()); c.cfg.Reorder && len(list) > 1 && packet.Parse(batch[list[0]]).Proto == 17 {
				slices.Reverse(list)
				out[i] = members{p, list}
			}
		}
		return out
	}), false},
	{"P4", "gives Reason First for Closed", saysFirst(offload.Closed), true},
	{"P5", "takes a packet with a wrong checksum", saysFirst(offload.L4Checksum), false},
	{"P4", "a wrong byte in each segment", supers(segmenter{flips: true}), false},
	{"P5", "puts wrong checksums of segments right", supers(segmenter{repairs: true}), false},
	{"P6", "joins nothing in a batch of 6 or more", batches(func(c *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		if len(batch) < 6 {
			return out
		}
		fresh := law.NewCoalescer(pkts.Config{MaxSegments: 1, MaxUDPSegments: 1})
		return slices.Clone(fresh.Coalesce(batch))
	}), false},
	{"P7", "depends on spare capacity", batches(func(_ *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		if len(batch) > 1 && cap(batch[0]) > len(batch[0])+100 {
			return out[:len(out)-1]
		}
		return out
	}), false},
	{"P7", "depends on earlier batches", batches(func(c *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		if c.calls > 1 && len(out) > 0 && len(out[0].Packets()) > 1 {
			out[0] = changed{out[0], func(wire []byte) { wire[len(wire)-1] ^= 1 }}
		}
		return out
	}), false},
	{"P7", "a used Segmenter changes a byte", supers(segmenter{used: true}), false},
	{"P12", "joins nothing in a batch whose first packet has an odd byte in its header", batches(func(_ *coalescer, batch [][]byte, out []law.Superpacket) []law.Superpacket {
		if len(batch) == 0 || len(batch[0]) < 60 || batch[0][8]&1+batch[0][35]&1 == 0 {
			return out
		}
		fresh := law.NewCoalescer(pkts.Config{MaxSegments: 1, MaxUDPSegments: 1})
		return slices.Clone(fresh.Coalesce(batch))
	}), false},
	{"P13", "a wrong outer header checksum", supers(segmenter{outer: true}), false},
	{"P11", "a wrong IP length", each(func(wire []byte) {
		at := 14
		if wire[10]>>4 == 4 {
			at = 12
		}
		binary.BigEndian.PutUint16(wire[at:], binary.BigEndian.Uint16(wire[at:])+1)
	}), false},
}

// TestFaults checks that each property detects its faults and reports them under its own
// ID. A body that returns nil, or that belongs to another property, fails here.
func TestFaults(t *testing.T) {
	var list []scenario.Scenario
	for i := range 150 {
		list = append(list, draw.Batches().Example(i), draw.Supers().Example(i))
	}
	p := scenario.UDP4(100)
	fragment := p
	fragment.Frag = 0x2000
	list = append(list, scenario.Scenario{Batches: [][][]byte{{p.Bytes(), fragment.Bytes(), p.Next(100).Bytes()}}})
	has := map[string]bool{}
	for _, f := range faults {
		has[f.property] = true
		record.PropertyOf(f.property) // panics if there is none
		t.Run(f.property+" "+f.name, func(t *testing.T) {
			for _, p := range law.Properties {
				if p.ID != f.property && !f.alone {
					continue
				}
				var found *law.Violation
				for _, s := range list {
					clone := s // a fault may write to it
					clone.Batches = nil
					for _, b := range s.Batches {
						var copied [][]byte
						for _, q := range b {
							copied = append(copied, bytes.Clone(q))
						}
						clone.Batches = append(clone.Batches, copied)
					}
					err := law.Attempt(func() error { return p.Body(f.subject, &clone, nil) })
					if errors.As(err, &found) {
						break
					}
				}
				switch {
				case p.ID == f.property && (found == nil || found.Property != p.ID):
					t.Errorf("%s reports %v", p.ID, found)
				case p.ID != f.property && found != nil:
					t.Errorf("%s detects it too: %v", p.ID, found)
				}
			}
		})
	}
	for _, p := range law.Properties {
		if !has[p.ID] {
			t.Errorf("no fault is listed for %s", p.ID)
		}
	}
}

// TestAdmissionReasons checks that AdmissionReasons are all Reasons between Joined and
// First, so that a Reason added to offload is among them. No packet that joined may have
// one.
func TestAdmissionReasons(t *testing.T) {
	var want []string
	for r := range offload.NumReasons {
		if r := offload.Reason(r); r != offload.Joined && r < offload.First {
			want = append(want, r.String())
		}
	}
	if !slices.Equal(want, law.AdmissionReasons) {
		t.Errorf("%v, want %v", law.AdmissionReasons, want)
	}
	co, err := offload.NewCoalescer(offload.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // a packet that shares a superpacket was a candidate
		s := draw.Batches().Example(i)
		for _, batch := range s.Batches {
			for _, p := range co.Coalesce(batch) {
				for _, m := range p.Packets() {
					if r := co.Reason(m).String(); len(p.Packets()) > 1 && slices.Contains(law.AdmissionReasons, r) {
						t.Fatalf("a packet that joined has Reason %s", r)
					}
				}
			}
		}
	}
}
