// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
	"tunproof/tunlive/gro"
)

// kinds returns one superpacket of each kind.
func kinds() map[string]scenario.Packet {
	tcp4, tcp6 := scenario.TCP4(250), scenario.TCP6(250)
	tcp4.Options, tcp6.Options = scenario.Timestamps, scenario.Timestamps
	extension := scenario.UDP6(250)
	extension.Extensions, extension.ExtType = []byte{0, 0, 1, 4, 0, 0, 0, 0}, 60
	options := scenario.UDP4(250)
	options.IPOptions = []byte{1, 1, 1, 0}
	return map[string]scenario.Packet{"tcp4": tcp4, "tcp6": tcp6, "udp4": scenario.UDP4(250), "udp6": scenario.UDP6(250),
		"udp6 extension": extension, "udp4 options": options}
}

// faulty calls f with faulty copies of a list of packets: every single bit flipped, a
// packet missing, a packet doubled, two neighbours exchanged. It returns their number.
func faulty(list [][]byte, f func(what string, list [][]byte)) (n int) {
	for i := range list {
		for bit := range 8 * len(list[i]) {
			l := slices.Clone(list)
			l[i] = bytes.Clone(l[i])
			l[i][bit/8] ^= 1 << (bit % 8)
			f("a bit", l)
			n++
		}
		f("a missing packet", slices.Delete(slices.Clone(list), i, i+1))
		f("an extra packet", slices.Insert(slices.Clone(list), i, list[i]))
		n += 2
		if i > 0 {
			l := slices.Clone(list)
			l[i-1], l[i] = l[i], l[i-1]
			f("exchanged packets", l)
			n++
		}
	}
	return n
}

// TestFaultsInSegments plants every fault into the segments of Segment (K1), and into
// the segments of the kernel (K2), and checks that each is detected.
func TestFaultsInSegments(t *testing.T) {
	k := kernel(t)
	for _, o := range append(slices.Clone(k.Cuts), k.Tunnels[0]) {
		t.Run(o.Name, func(t *testing.T) {
			need(t, k, o)
			for name, whole := range kinds() {
				h, b := whole.Super(100)
				if o.tap {
					tunnel := scenario.VXLAN()
					tunnel.Csum = true
					h, b = tunnel.Wrap(h, b)
				}
				p := scenario.Super{Hdr: h, Data: b}
				got, err := o.segmenter.Segment(tunlive.VnetHdr(h), b)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := law.SegmentModel(p)
				if err := sameSegments("K1", want, got); err != nil {
					t.Fatal(err)
				}
				n := faulty(want, func(what string, l [][]byte) {
					if sameSegments("K1", l, got) == nil {
						t.Errorf("%s: %s in the segments of Segment is not detected", name, what)
					}
				})
				super := law.Super{Super: p, Members: []int{0, 1, 2}}
				n += faulty(want, func(what string, l [][]byte) {
					faulted := tunlive.Answer{Class: tunlive.Delivered}
					for _, data := range l {
						faulted.Segments = append(faulted.Segments, tunlive.Packet{Data: data})
					}
					if cameBack(pkts.Config{}, want, super, faulted) == nil {
						t.Errorf("%s: %s in the segments of the kernel is not detected", name, what)
					}
				})
				for _, class := range []tunlive.Class{tunlive.Dropped, tunlive.Refused, tunlive.Lost} {
					if sameSegments("K1", want, tunlive.Answer{Class: class}) == nil || cameBack(pkts.Config{}, want, super, tunlive.Answer{Class: class}) == nil {
						t.Errorf("%s: %v is not detected", name, class)
					}
				}
				got.Segments[1].Hdr.Flags |= packet.NeedsCsum
				if sameSegments("K1", want, got) == nil {
					t.Errorf("%s: a segment without its checksum is not detected", name)
				}
				t.Logf("%s: %d faults detected", name, n)
			}
		})
	}
}

// TestFaultsInSuperpackets plants every fault into a superpacket (K3) and its header, and
// into the output of package gro, and checks that each is detected.
func TestFaultsInSuperpackets(t *testing.T) {
	k := kernel(t)
	for _, o := range k.Joins {
		t.Run(o.Name, func(t *testing.T) {
			need(t, k, o)
			for name, whole := range kinds() {
				if whole.Extensions != nil || whole.IPOptions != nil {
					continue // no candidates
				}
				second := whole.Next(250)
				batch := [][]byte{whole.Bytes(), second.Bytes(), second.Next(100).Bytes()}
				got, err := o.gro.Coalesce(batch)
				if err != nil {
					t.Fatal(err)
				}
				supers, _ := law.CoalesceModel(pkts.Config{}, batch)
				if err := oneGroup(supers[0], got); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				n := faulty([][]byte{supers[0].Data}, func(what string, l [][]byte) {
					p := supers[0]
					if len(l) == 1 {
						p.Data = l[0]
						if oneGroup(p, got) == nil {
							t.Errorf("%s: %s in our superpacket is not detected", name, what)
						}
					}
					var described []gro.Group
					for _, data := range l {
						g := gro.Coalesce(batch, k.Rules)[0]
						g.Data = data
						described = append(described, g)
					}
					if asDescribed(described, got) == nil {
						t.Errorf("%s: %s in the output of package gro is not detected", name, what)
					}
				})
				for i, h := range []pkts.VnetHdr{{Flags: 2}, {GSOType: 2}, {GSOSize: 1}, {CsumStart: 1}, {CsumOffset: 1}} {
					p := supers[0]
					p.Hdr.Flags ^= h.Flags
					p.Hdr.GSOType ^= h.GSOType
					p.Hdr.GSOSize += h.GSOSize
					p.Hdr.CsumStart += h.CsumStart
					p.Hdr.CsumOffset += h.CsumOffset
					if oneGroup(p, got) == nil {
						t.Errorf("%s: fault %d in the VnetHdr is not detected", name, i)
					}
					n++
				}
				if oneGroup(supers[0], append(got, got[0])) == nil || oneGroup(supers[0], nil) == nil {
					t.Errorf("%s: two superpackets, or none, are not detected", name)
				}
				t.Logf("%s: %d faults detected", name, n)
			}
		})
	}
}

// TestFaultsInAnswers checks that a kernel with a wrong answer is detected, and that this
// machine's kernel passes.
func TestFaultsInAnswers(t *testing.T) {
	k := kernel(t)
	need(t, k, k.Cuts[0])
	for _, c := range []struct {
		name   string
		change func(h *pkts.VnetHdr, b []byte)
		class  tunlive.Class
	}{
		{"refuses what is right", func(*pkts.VnetHdr, []byte) {}, tunlive.FrameError},
		{"takes an unknown type", func(h *pkts.VnetHdr, _ []byte) { h.GSOType = 6 }, tunlive.Delivered},
		{"takes a hdr_len past the end", func(h *pkts.VnetHdr, _ []byte) { h.HdrLen = 9999 }, tunlive.Delivered},
		{"drops RSC_INFO", func(h *pkts.VnetHdr, _ []byte) { h.Flags |= packet.RSCInfo }, tunlive.Dropped},
		{"delivers between payload and options", func(h *pkts.VnetHdr, _ []byte) { h.GSOSize = 255 }, tunlive.Delivered},
	} {
		h, b := kinds()["tcp4"].Super(100)
		c.change(&h, b)
		o := &Oracle{Name: "tun", segmenter: answers{tunlive.Answer{Class: c.class, Segments: []tunlive.Packet{{Data: b}}}}}
		s := scenario.Scenario{Supers: []scenario.Super{{Hdr: h, Data: b}}}
		if err := k.CutsAlike(o, &s, &Tally{}); err == nil {
			t.Errorf("a kernel that %s is not detected", c.name)
		}
		if err := k.CutsAlike(k.Cuts[0], &s, &Tally{}); err != nil {
			t.Errorf("%s: this machine's kernel: %v", c.name, err)
		}
	}
}

// answers is an oracle that always gives the same answer.
type answers struct{ a tunlive.Answer }

func (s answers) Segment(tunlive.VnetHdr, []byte) (tunlive.Answer, error) { return s.a, nil }
func (answers) Close() error                                              { return nil }

// faultyBridge damages one in every "of" packets that it writes.
type faultyBridge struct {
	tunlive.Offload
	n, of int
	harm  func(h tunlive.VnetHdr, packet []byte, write func(tunlive.VnetHdr, []byte) error) error
}

func (f *faultyBridge) Coalesce(batch [][]byte, write func(tunlive.VnetHdr, []byte) error) error {
	return f.Offload.Coalesce(batch, func(h tunlive.VnetHdr, packet []byte) error {
		if f.n++; f.n%f.of == 0 && len(packet) > 1000 {
			return f.harm(h, packet, write)
		}
		return write(h, packet)
	})
}

// TestFaultsEndToEnd plants faults between two hosts and checks that sockets or counters
// show them.
func TestFaultsEndToEnd(t *testing.T) {
	k := kernel(t)
	need(t, k, k.Cuts[0])
	type write = func(tunlive.VnetHdr, []byte) error
	for _, c := range []struct {
		name     string
		complete bool
		tcp      bool
		want     string // part of the sockets' error or of the counters
		harm     func(h tunlive.VnetHdr, packet []byte, w write) error
	}{
		{"a byte of TCP, partial checksum", false, true, "are not those that were sent", func(h tunlive.VnetHdr, b []byte, w write) error { b[len(b)-5] ^= 1; return w(h, b) }},
		{"a byte of UDP, partial checksum", false, false, "are not those that were sent", func(h tunlive.VnetHdr, b []byte, w write) error { b[len(b)-5] ^= 1; return w(h, b) }},
		{"a byte of TCP, complete checksum", true, true, "Tcp.InCsumErrors", func(h tunlive.VnetHdr, b []byte, w write) error { b[len(b)-5] ^= 1; return w(h, b) }},
		{"a byte of UDP, complete checksum", true, false, "Udp.InCsumErrors", func(h tunlive.VnetHdr, b []byte, w write) error { b[len(b)-5] ^= 1; return w(h, b) }},
		{"the IP header checksum", false, true, "Ip.InHdrErrors", func(h tunlive.VnetHdr, b []byte, w write) error { b[10] ^= 1; return w(h, b) }},
		{"a lost datagram", false, false, "datagrams are lost", func(tunlive.VnetHdr, []byte, write) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := 20
			e := tunlive.EndToEnd{Datagrams: 1600, GSO: true, Idle: 20 * time.Millisecond, Offload: func() tunlive.Offload {
				return &faultyBridge{Offload: newBridge(c.complete, true)(), of: of, harm: c.harm}
			}}
			if c.tcp {
				of, e.Datagrams, e.Bytes = 100, 0, 16<<20
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := e.Run(ctx)
			got := fmt.Sprint(err, r.Counters)
			if err == nil && len(r.Counters) == 0 && r.Received < r.Sent {
				got = "datagrams are lost"
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("want %q reported, got %s: %+v", c.want, got, r)
			}
		})
	}
}

// TestReports judges reports of traffic with one thing wrong: each is a violation of K5 that
// says what is wrong.
func TestReports(t *testing.T) {
	p := Path{Bytes: 1000, Datagram: 100}
	impaired := p
	impaired.Impaired = true
	right := tunlive.Report{Bytes: 2000, Sent: 200, Received: 200, Distinct: 200}
	lossy := right
	lossy.Received, lossy.Distinct = 198, 197
	for _, c := range []struct {
		name string
		path Path
		r    tunlive.Report
		want string
	}{
		{"right", p, right, ""},
		{"losses that were made", impaired, lossy, ""},
		{"a counter", p, tunlive.Report{Bytes: 2000, Sent: 200, Received: 200, Distinct: 200, Counters: []string{"UdpInCsumErrors"}}, "UdpInCsumErrors"},
		{"a counter beside losses", impaired, tunlive.Report{Bytes: 2000, Sent: 200, Received: 200, Distinct: 200, Counters: []string{"TcpInErrs"}}, "TcpInErrs"},
		{"a byte too few", p, tunlive.Report{Bytes: 1999, Sent: 200, Received: 200, Distinct: 200}, "1999 bytes"},
		{"a byte too many", impaired, tunlive.Report{Bytes: 2001, Sent: 200, Received: 200, Distinct: 200}, "2001 bytes"},
		{"a datagram is missing", p, tunlive.Report{Bytes: 2000, Sent: 200, Received: 199, Distinct: 199}, "199 of 200"},
		{"a datagram came twice", p, tunlive.Report{Bytes: 2000, Sent: 200, Received: 201, Distinct: 200}, "201 of 200"},
		{"one came twice and one is missing", p, tunlive.Report{Bytes: 2000, Sent: 200, Received: 200, Distinct: 199}, "200 of 200"},
		{"most are missing", impaired, tunlive.Report{Bytes: 2000, Sent: 200, Received: 99, Distinct: 99}, "99 of 200"},
	} {
		err := c.path.judge(&c.r)
		var v *law.Violation
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &v) || v.Property != "K5" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want a violation of K5 with %q", c.name, err, c.want)
		}
	}
}
