// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe tries the features in which kernels differ. It needs what the oracles need.
// Features are left out if the device to try them is missing.
func Probe() (Features, error) {
	p := &prober{found: Features{}}
	defer p.close()
	for _, step := range []func() error{p.user, p.mask, p.tunnels, p.cuts, p.joins} {
		var missing *Missing
		if err := step(); err != nil && !errors.As(err, &missing) {
			return nil, fmt.Errorf("probe: %w", err)
		}
	}
	return p.found, nil
}

type prober struct {
	found Features
	cut   Segmenter
	gro   GRO
}

func (p *prober) close() {
	if p.cut != nil {
		p.cut.Close()
	}
	if p.gro != nil {
		p.gro.Close()
	}
}

// backpressure is IFF_BACKPRESSURE of include/uapi/linux/if_tun.h, Linux 7.3.
const backpressure = 0x80

// mask tries which offloads and flags a TUN takes.
func (p *prober) mask() error {
	s, err := newTUNSegmenter()
	if err != nil {
		return err
	}
	p.cut = s
	for name, bits := range map[string]int{
		"uso": unix.TUN_F_CSUM | unix.TUN_F_USO4 | unix.TUN_F_USO6,
		"tunnel-gso": unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6 |
			offloadTunnels | offloadTunnelCsum,
	} {
		p.found[name] = unix.IoctlSetInt(s.b.fd, unix.TUNSETOFFLOAD, bits) == nil
	}
	flags, err := unix.IoctlGetUint32(s.b.fd, unix.TUNGETFEATURES)
	if err != nil {
		return err
	}
	p.found["backpressure"] = flags&backpressure != 0
	return unix.IoctlSetInt(s.b.fd, unix.TUNSETOFFLOAD, noOffloads)
}

// tunnels tries whether a TUN takes a superpacket in a UDP tunnel, if the kernel has such
// superpackets.
func (p *prober) tunnels() error {
	if p.found["tunnel-write"] = false; !p.found["tunnel-gso"] {
		return nil
	}
	s, err := newPairSegmenter(func() (*tun, error) {
		t, err := openTUN(0, noOffloads)
		if err == nil {
			err = t.takeTunnels(noOffloads)
		}
		return t, err
	})
	if err != nil {
		return err
	}
	defer s.Close()
	h, packet := probeTunnel(0)
	a, err := s.Segment(h, packet)
	p.found["tunnel-write"] = len(a.Segments) == 2
	return err
}

// probeTunnel returns a superpacket of two datagrams in VXLAN over IPv4, without an outer
// checksum, with bytes of options in the outer IP header.
func probeTunnel(options int) (VnetHdr, []byte) {
	const between = 8 + 8 + 14 // UDP, VXLAN, Ethernet
	inner := probeUDP(150)
	outer := probeIPv4(1, unix.IPPROTO_UDP, 0)
	outer[0] += byte(options / 4)
	for range options {
		outer = append(outer, 1) // no operation
	}
	udpOff := len(outer)
	outer = append(outer, make([]byte, between)...)
	copy(outer[udpOff:], []byte{1, 2, 0x12, 0xB5, 0, 0, 0, 0, 8})
	at := uint16(len(outer))
	return VnetHdr{Flags: 1, GSOType: 5 | 0x20, HdrLen: at + 28, GSOSize: 100, CsumStart: at + 20, CsumOffset: 6,
		OuterTHOffset: uint16(udpOff), InnerNHOffset: at}, append(outer, inner...)
}

// user tries whether this is the real root: in a user namespace, root lacks some
// rights.
func (p *prober) user() error {
	ids, err := os.ReadFile("/proc/self/uid_map")
	p.found["root"] = slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"}) && os.Getuid() == 0
	return err
}

// oracles are the oracles that can try a feature.
type oracles uint8

const (
	byTUN oracles = 1 << iota
	byVeth
)

// cuts tries which features the kernel has when it cuts superpackets, and stores the
// answers in p.found. It uses the TUN, or a veth pair if mask could not make a TUN. An
// error means that a feature could not be tried.
func (p *prober) cuts() (err error) {
	via := byTUN
	if p.cut == nil {
		via = byVeth
		if p.cut, err = NewVethSegmenter(); err != nil {
			p.cut = nil
			return err
		}
	}
	for _, try := range []struct {
		name   string
		via    oracles
		h      VnetHdr
		packet []byte
		segs   int // number with the feature; 0: it refuses
	}{
		{"uso", byVeth, VnetHdr{1, 5, 28, 1, 20, 6, 0, 0}, probeUDP(2), 2}, // for a TUN, mask has tried it
		{"small-gso", byTUN | byVeth, VnetHdr{1, 1, 40, 1, 20, 16, 0, 0}, probeTCP(1, 0, 0, 100), 100},
		{"uso-128", byTUN | byVeth, VnetHdr{1, 5, 28, 1, 20, 6, 0, 0}, probeUDP(128), 128},
		{"csum-offset-check", byTUN | byVeth, VnetHdr{1, 1, 40, 50, 20, 6, 0, 0}, probeTCP(1, 0, 0, 100), 0},
		{"csum-start-check", byTUN | byVeth, VnetHdr{1, 0, 0, 0, 0, 4, 0, 0}, probeTCP(1, 0, 0, 100), 0},
		// A packet socket behaves as with these features on every kernel.
		{"one-without-csum", byTUN, VnetHdr{0, 1, 40, 100, 0, 0, 0, 0}, probeTCP(1, 0, 0, 100), 1},
		{"dissects", byTUN, VnetHdr{0, 4, 60, 20, 0, 0, 0, 0}, probeTCP(1, 0, 0, 100), 0},
	} {
		if try.via&via == 0 {
			continue
		}
		a, err := p.cut.Segment(try.h, try.packet)
		if err != nil {
			return err
		}
		p.found[try.name] = len(a.Segments) == try.segs && (try.segs > 0 || a.Errno != nil)
	}
	return nil
}

// joins tries features of GRO.
func (p *prober) joins() (err error) {
	p.gro, err = NewGate()
	if errors.Is(err, ErrKernel) {
		p.gro, err = NewToggle()
	}
	if err != nil {
		p.gro = nil
		return err
	}
	const cwr = 0x80
	for _, try := range []struct {
		name    string
		packets [][]byte // with the feature, one of them joins another
	}{
		{"fixed-ids", [][]byte{probeTCP(1, 0, 0, 100), probeTCP(1, 0, 100, 100)}},
		{"held-cwr", [][]byte{probeTCP(1, cwr, 0, 100), probeTCP(2, 0, 100, 100)}},
		{"equal-cwr", [][]byte{probeTCP(1, cwr, 0, 100), probeTCP(2, cwr, 100, 100)}},
		{"hop-by-hop", [][]byte{probeIPv6(64, 8, 0, 100), probeIPv6(64, 8, 100, 100)}},
		{"hop-limit-flow", [][]byte{probeIPv6(64, 0, 0, 100), probeIPv6(63, 0, 100, 100), probeIPv6(64, 0, 100, 100)}},
	} {
		out, err := p.gro.Coalesce(try.packets)
		if err != nil {
			return err
		}
		p.found[try.name] = len(out) == len(try.packets)-1
	}
	return nil
}

// probeTCP returns an IPv4 TCP packet without DF, with right checksums.
func probeTCP(id uint16, flags byte, seq uint32, payload int) []byte {
	b := probeIPv4(id, unix.IPPROTO_TCP, 20+payload)
	return append(b, probeSegment(flags, seq, payload, b[12:20])...)
}

func probeIPv4(id uint16, proto byte, l4Len int) []byte {
	b := make([]byte, 20, 20+l4Len)
	copy(b, []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(b[2:], uint16(20+l4Len))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[10:], ^sum(b, 0))
	return b
}

func probeSegment(flags byte, seq uint32, payload int, addresses []byte) []byte {
	b := make([]byte, 20+payload)
	copy(b, []byte{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 1, 5 << 4, 0x10 | flags, 1, 0})
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint16(b[16:], ^sum(b, uint32(sum(addresses, unix.IPPROTO_TCP+uint32(len(b))))))
	return b
}

// probeUDP returns a datagram with a partial checksum.
func probeUDP(payload int) []byte {
	b := probeIPv4(1, unix.IPPROTO_UDP, 8+payload)
	length := uint16(8 + payload)
	b = append(b, 1, 2, 3, 4, byte(length>>8), byte(length))
	b = binary.BigEndian.AppendUint16(b, sum(b[12:20], unix.IPPROTO_UDP+uint32(length)))
	return append(b, make([]byte, payload)...)
}

// probeIPv6 returns an IPv6 TCP packet with 0 or 8 bytes of hop-by-hop options.
func probeIPv6(hopLimit byte, options int, seq uint32, payload int) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7], b[23], b[39] = 0x60, unix.IPPROTO_TCP, hopLimit, 1, 2
	if options > 0 {
		b[6] = unix.IPPROTO_HOPOPTS
		b = append(b, unix.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(options+20+payload))
	return append(b, probeSegment(0, seq, payload, b[8:40])...)
}
