// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/hexdump"
	"tunproof/offload"
	"tunproof/offload/tun"
)

// noSize removes the gso_size of a superpacket: every kernel refuses it then.
func noSize(front []byte) []byte {
	bad := bytes.Clone(front)
	bad[4], bad[5] = 0, 0
	return bad
}

// TestRefused makes the kernel refuse a superpacket in the middle of a batch. It
// checks that all packets arrive in order, that the protocol is reported as off, and
// that it can be switched on again (T4).
func TestRefused(t *testing.T) {
	for _, f := range allFlows {
		t.Run(f.String(), func(t *testing.T) {
			dir := t.TempDir()
			var refusals []*tun.Refusal
			broken := true
			elsewhere, elseType := allFlows[0], byte(offload.GSOTCPv4) // of another protocol, which is not refused
			if f == elsewhere {
				elsewhere, elseType = allFlows[1], byte(offload.GSOTCPv6)
			}
			r := writing(t, tun.Config{
				Observer: tun.Observer{Refused: func(r *tun.Refusal) { refusals = append(refusals, r) }},
				Record:   tun.Record{Packets: 500, Dir: dir},
			}, tun.Faults{Front: func(front []byte) []byte {
				if broken && front[1] != elseType {
					return noSize(front)
				}
				return front
			}})
			if f.udp && !r.dev.Features().USO {
				t.Skip("this kernel has no USO")
			}
			other, lone := flow{port: 50, v6: f.v6, udp: f.udp}, flow{port: 51, v6: f.v6, udp: f.udp}
			var want [][]byte
			want = append(want, lone.packet(0, 10))
			want = append(want, batch(40, 200, f)...)
			want = append(want, batch(5, 100, other)...)
			want = append(want, lone.packet(1, 20)) // longer, so it is not joined
			want = append(want, batch(9, 50, elsewhere)...)
			r.write(want)
			equal(t, r.arrived(), want)

			off := map[flow]tun.Protocols{allFlows[0]: tun.TCPv4, allFlows[1]: tun.TCPv6, allFlows[2]: tun.UDP, allFlows[3]: tun.UDP}[f]
			s := r.stats()
			if s.Refused != off || r.dev.Disabled() != off|unsupported(r.dev) || s.Write.Sent != 56 || s.Write.Resent != 40 || s.Write.Superpackets != 1 || s.Write.Refused != 0 {
				t.Errorf("%+v, disabled %v, want %v", s, r.dev.Disabled(), off)
			}
			if len(refusals) != 1 {
				t.Fatalf("%d refusals: %v", len(refusals), refusals)
			}
			checkRefusal(t, refusals[0], want[1:41], off)
			checkFile(t, dir, want)

			r.write(want) // nothing is joined or refused
			equal(t, r.arrived(), want)
			if s := r.stats(); len(refusals) != 1 || s.Write.Reasons[offload.Disabled] != 47 {
				t.Errorf("%+v", s)
			}
			broken = false
			r.dev.SetDisabled(off, false)
			r.write(want)
			equal(t, r.arrived(), want)
			if s := r.stats(); s.Refused != 0 || s.Write.Superpackets != 1+1+3 {
				t.Errorf("switched on again: %+v", s)
			}
		})
	}
}

func checkRefusal(t *testing.T, r *tun.Refusal, members [][]byte, off tun.Protocols) {
	t.Helper()
	co, err := offload.NewCoalescer(offload.Config{})
	must(t, err)
	p := co.Coalesce(members)[0]
	whole := p.AppendTo(nil)[offload.VnetHdrLen:]
	want := &tun.Refusal{Device: r.Device, Err: unix.EINVAL, Hdr: p.VnetHdr(), Header: whole[:p.VnetHdr().HdrLen], Len: len(whole), Packets: 40, Resent: true, Off: off}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	line := r.String()
	got, err := hexdump.Parse([]byte(line + "\n"))
	packet := append(bytes.Clone(r.Header), make([]byte, r.Len-len(r.Header))...) // with zeros for the missing bytes
	if err != nil || len(got) != 1 || !bytes.Equal(got[0].Data, packet) || !strings.HasPrefix(got[0].Comment, "vnet flags=1 ") || strings.Contains(line, "\n") {
		t.Errorf("replay reads %d packets, %v of\n%s", len(got), err, line)
	}
	t.Log(line)
}

// checkFile checks that the recorder saved a case of the written packets.
func checkFile(t *testing.T, dir string, want [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pkts"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	c, err := pkts.Parse(files[0], text)
	must(t, err)
	if len(c.Batches) != 1 || len(c.Batches[0].In) != len(want) || !c.Config.AtomicIDs || c.Op != pkts.OpCoalesce {
		t.Fatalf("%+v", c)
	}
	for i, in := range c.Batches[0].In {
		if n := len(want[i]) - len(in.Data); n != 0 || !bytes.Equal(in.Data[:28], want[i][:28]) {
			t.Errorf("packet %d: % x", i, head(in.Data))
		}
	}
}

// TestRefusedLongUDP behaves like a kernel before 6.9, which takes 64 datagrams. From
// then on the device keeps to that limit, and UDP stays on.
func TestRefusedLongUDP(t *testing.T) {
	r := writing(t, tun.Config{Coalesce: offload.Config{MaxUDPSegments: 128}}, tun.Faults{Front: func(front []byte) []byte {
		if length := int(front[10+4])<<8 | int(front[10+5]); length > 8+64*100 { // IPv6
			return noSize(front)
		}
		return front
	}})
	if !r.dev.Features().USO {
		t.Skip("this kernel has no USO")
	}
	want := append(batch(100, 100, allFlows[3]), batch(90, 100, flow{v6: true, udp: true, port: 2})...)
	r.write(want)
	equal(t, r.arrived(), want)
	s := r.stats()
	if !s.UDPLimited || s.Refused != 0 || s.Write.Resent != 100 || s.Write.Superpackets != 0 {
		t.Errorf("%+v", s)
	}
	r.write(want)
	equal(t, r.arrived(), want)
	if s := r.stats(); s.Write.Superpackets != 4 || s.Write.Resent != 100 {
		t.Errorf("%+v", s)
	}
}

// TestNoUSO makes the device assume USO, whatever the kernel supports: every packet
// arrives. Kernels before 6.2 refuse superpackets of UDP; then UDP is switched off
// and the packets are sent again (T4).
func TestNoUSO(t *testing.T) {
	var refused tun.Protocols
	resent := uint64(0)
	if !opened(t, tun.Config{}).dev.Features().USO {
		refused, resent = tun.UDP, 10
	}
	const uso = unix.TUN_F_USO4 | unix.TUN_F_USO6
	r := writing(t, tun.Config{}, tun.Faults{Offload: func(mask int, set func(int) error) error { return set(mask &^ uso) }})
	if !r.dev.Features().USO {
		t.Fatal("the device does not believe it")
	}
	for i := range 2 {
		want := batch(40, 200, allFlows...)
		r.write(want)
		got := r.arrived()
		for _, f := range allFlows { // if they were joined, packets of different flows may change places
			of := func(list [][]byte) [][]byte {
				return slices.DeleteFunc(slices.Clone(list), func(b []byte) bool { return flowOf(b) != f })
			}
			equal(t, of(got), of(want))
		}
		s := r.stats()
		if s.Refused != refused || r.dev.Disabled() != refused || s.Write.Resent != resent || s.Write.Sent != uint64(40*(i+1)) || s.Write.Refused != 0 {
			t.Errorf("batch %d: %+v, disabled %v", i, s, r.dev.Disabled())
		}
	}
}

// flowOf returns the one of allFlows that a packet belongs to.
func flowOf(b []byte) flow {
	if b[0]>>4 == 6 {
		return flow{v6: true, udp: b[6] == unix.IPPROTO_UDP, port: 1}
	}
	return flow{udp: b[9] == unix.IPPROTO_UDP, port: 1}
}

// TestGuard checks that a superpacket with a fragment's bits never reaches the
// kernel, but its packets do.
func TestGuard(t *testing.T) {
	var refused []*tun.Refusal
	r := writing(t, tun.Config{Observer: tun.Observer{Refused: func(r *tun.Refusal) { refused = append(refused, r) }}},
		tun.Faults{Front: func(front []byte) []byte {
			bad := bytes.Clone(front)
			bad[offload.VnetHdrLen+6] |= 0x20 // MF
			return bad
		}})
	want := batch(10, 100, allFlows[0])
	r.write(want)
	equal(t, r.arrived(), want)
	if s := r.stats(); s.Refused != 0 || s.Write.Superpackets != 0 || s.Write.Resent != 10 || len(refused) != 1 || refused[0].Off != 0 {
		t.Errorf("%+v, %v", s, refused)
	}
}
