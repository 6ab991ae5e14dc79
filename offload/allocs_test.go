// SPDX-License-Identifier: MIT

package offload

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestAllocations tests P9: nothing is allocated in steady state, whether packets are
// accepted or refused. "tunproof verify" counts its subtests.
func TestAllocations(t *testing.T) {
	allocates := func(name string, f func()) {
		t.Run(name, func(t *testing.T) {
			f() // memory for the largest input
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%v allocations a run, want none", n)
			}
		})
	}
	kinds := []flow{{port: 1}, {v6: true, port: 1}, {udp: true, port: 1}, {v6: true, udp: true, port: 1}}
	for _, f := range kinds {
		co, err := NewCoalescer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		whole := co.Coalesce(batch(40, 1000, f))[0]
		for _, tunnel := range []bool{false, true} {
			h, pkt := whole.VnetHdr(), whole.AppendTo(nil)[VnetHdrLen:]
			name := fmt.Sprint(f)
			if tunnel {
				h, pkt = inVXLAN(h, pkt)
				name += " in a tunnel"
			}
			var s Segmenter
			dst := make([]byte, 1500)
			allocates("Next/"+name, func() {
				if err := s.Reset(h, pkt); err != nil {
					t.Fatal(err)
				}
				for s.Len() > 0 {
					if _, err := s.Next(dst); err != nil {
						t.Fatal(err)
					}
				}
			})
			work := make([]byte, len(pkt))
			allocates("InPlace/"+name, func() {
				copy(work, pkt)
				if err := s.Reset(h, work); err != nil {
					t.Fatal(err)
				}
				n := 0
				for seg := range s.InPlace() {
					n += len(seg)
				}
				if n <= len(pkt) {
					t.Fatal("too few bytes")
				}
			})
		}
	}

	var s Segmenter
	short := make([]byte, 10)
	pkt := flow{port: 1}.packet(0, 300)
	tcp := VnetHdr{Flags: NeedsCsum, GSOType: GSOTCPv4, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
	for name, bad := range map[string]struct {
		h   VnetHdr
		pkt []byte
	}{
		"TooLong":    {tcp, make([]byte, 65536)},
		"IPHeader":   {tcp, pkt[:19]},
		"Fragment":   {tcp, append(append(bytes.Clone(pkt[:6]), 0x20, 0), pkt[8:]...)},
		"L4Header":   {tcp, pkt[:39]},
		"CsumOffset": {VnetHdr{Flags: NeedsCsum, GSOType: GSOTCPv4, GSOSize: 100, CsumStart: 20, CsumOffset: 6}, pkt},
		"Segments": {VnetHdr{Flags: NeedsCsum, GSOType: GSOUDPL4, GSOSize: 1, CsumStart: 20, CsumOffset: 6},
			flow{udp: true}.packet(0, 129)},
		"Tunnel": {VnetHdr{Flags: NeedsCsum, GSOType: GSOTCPv4 | GSOUDPTunnelIPv4, GSOSize: 100}, flow{udp: true}.packet(0, 300)},
	} {
		allocates("refused/"+name, func() {
			if s.Reset(bad.h, bad.pkt) == nil {
				t.Fatal("accepted")
			}
		})
	}
	for name, h := range map[string]VnetHdr{
		"RSCInfo":   {Flags: RSCInfo},
		"GSOType":   {GSOType: GSOUDP},
		"GSOSize":   {GSOType: GSOTCPv4},
		"NoCsum":    {GSOType: GSOUDPL4, GSOSize: 100},
		"Protocol":  {GSOType: GSOTCPv6, GSOSize: 100},
		"CsumStart": {Flags: NeedsCsum, GSOType: GSOTCPv4, GSOSize: 100},
		"CsumRange": {Flags: NeedsCsum},
	} {
		allocates("refused/"+name, func() {
			if s.Reset(h, pkt) == nil {
				t.Fatal("accepted")
			}
		})
	}
	allocates("ShortBuffer", func() {
		if err := s.Reset(VnetHdr{GSOType: GSOTCPv4, GSOSize: 100}, pkt); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(short); err == nil {
			t.Fatal("a short buffer is taken")
		}
	})
	allocates("ParseVnetHdr", func() {
		if _, err := ParseVnetHdr(short[:9]); !errors.Is(err, ErrVnetHdr) {
			t.Fatal(err)
		}
		if h, _ := ParseVnetHdr(short); h.AppendTo(short[:0]) == nil {
			t.Fatal("nothing")
		}
	})
	long := make([]byte, TunnelVnetHdrLen)
	allocates("ParseTunnelVnetHdr", func() {
		if _, err := ParseTunnelVnetHdr(short); !errors.Is(err, ErrVnetHdr) {
			t.Fatal(err)
		}
		if h, _ := ParseTunnelVnetHdr(long); h.AppendTunnelTo(long[:0]) == nil {
			t.Fatal("nothing")
		}
	})

	damaged := batch(64, 100, kinds...)
	for i := range damaged {
		damaged[i] = damaged[i][:len(damaged[i])-i%101]
	}
	var many []flow
	for i := range 64 {
		many = append(many, flow{v6: i%2 == 1, udp: i%3 == 0, port: uint16(i)})
	}
	var iov [][]byte
	var out []byte
	for name, pkts := range map[string][][]byte{
		"one flow": batch(128, 400, kinds[0]), "four flows": batch(128, 400, kinds...),
		"64 flows": batch(128, 400, many...), "damaged": damaged, "empty": {nil, {}, {0x45}}, "none": nil,
	} {
		for mode, cfg := range map[string]Config{"InOrder": {}, "Reorder": {Order: Reorder, AtomicIDs: true}} {
			co, err := NewCoalescer(cfg)
			if err != nil {
				t.Fatal(err)
			}
			allocates("Coalesce/"+mode+"/"+name, func() {
				for _, p := range co.Coalesce(pkts) {
					iov = p.Buffers(iov[:0])
					out = p.AppendTo(out[:0])
				}
			})
		}
	}
}
