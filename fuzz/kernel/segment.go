// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"fmt"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
	"tunproof/tunlive/guard"
)

const (
	ipv4Header, ipv6Header = 20, 40
	tcpHeader, udpHeader   = 20, 8
	ipv4Fragment           = 0x3F  // MF and the offset, in byte 6
	shortestMatched        = 4     // the filter of oracle tun matches no shorter packet
	maxPacket              = 65535 // bytes of an IP packet
)

// CutsAlike checks K1 and K4. If Segment accepts a superpacket, the kernel must cut it to
// the same bytes. If Segment refuses it, the kernel must refuse or drop it. A known
// divergence must diverge as it is known to.
func (k *Kernel) CutsAlike(o *Oracle, s *scenario.Scenario, t *Tally) error {
	for i, p := range s.Supers {
		if err := k.segment(o, p, t); err != nil {
			return at(err, "superpacket %d (%v, %d bytes)", i, p.Hdr, len(p.Data))
		}
	}
	return nil
}

// at adds to an error the part of the scenario that it belongs to. A violation stays a
// violation.
func at(err error, format string, args ...any) error {
	v, ok := err.(*law.Violation)
	if !ok {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	w := *v
	w.Msg = fmt.Sprintf(format, args...) + ": " + v.Msg
	return &w
}

// segment checks one superpacket.
func (k *Kernel) segment(o *Oracle, p scenario.Super, t *Tally) error {
	p, ok := defuse(p)
	want, refusal, err := k.subject.segment(p)
	if err != nil {
		return err
	}
	if k.subject.agrees {
		other, otherRefusal, err := k.subject.other(p)
		if err != nil {
			return err
		}
		if refusal != otherRefusal {
			return law.Violatedf("K4", "Segment refuses with %q, the model with %q (\"\" means accepted)", refusal, otherRefusal)
		}
		if !slices.EqualFunc(want, other, bytes.Equal) {
			return law.Violatedf("K1", "Segment and the model give different segments")
		}
	}
	if !ok {
		t.count("left out", leftOut)
		return nil
	}
	got, asked, err := o.cut(p, t)
	if err != nil || !asked {
		return err
	}
	t.Rounds++
	t.count("kernel", got.Class.String())
	if got.Class == tunlive.Lost {
		return law.Violatedf("K4", "the kernel accepts it, hands out nothing, and counts nothing")
	}
	if name, expected := k.divergence(o, p, refusal); name != "" {
		t.count("divergence", name)
		if err := expected(got); err != nil {
			return at(err, "%s", name)
		}
		return nil
	}
	if refusal != "" {
		if got.Class == tunlive.Delivered {
			return law.Violatedf("K4", "Segment refuses it (%s), the kernel hands out %d packets", refusal, len(got.Segments))
		}
		t.count("refused", refusal)
		return nil
	}
	t.Segments += len(want)
	return sameSegments("K1", want, got)
}

// cut gives a superpacket to an oracle. asked is false if the oracle cannot send it.
func (o *Oracle) cut(p scenario.Super, t *Tally) (got tunlive.Answer, asked bool, err error) {
	err = tunlive.ErrPacket
	if len(p.Data) <= longest && o.takes(p) {
		got, err = o.segmenter.Segment(tunlive.VnetHdr(p.Hdr), p.Data)
	}
	if err == tunlive.ErrPacket {
		t.count("left out", leftOut)
		return got, false, nil
	}
	return got, err == nil, err
}

// join gives a batch to an oracle. asked is false if the oracle cannot send it.
func (o *Oracle) join(batch [][]byte, t *Tally) (got []tunlive.Packet, asked bool, err error) {
	switch got, err = o.gro.Coalesce(batch); err {
	case tunlive.ErrPacket:
		t.count("left out", leftOut)
		return got, false, nil
	case tunlive.ErrSlow:
		t.count("left out", err.Error())
		return got, false, nil
	}
	return got, err == nil, err
}

// leftOut counts inputs that the kernel is not asked about: those that an oracle cannot
// send, and fragments with a GSO type, which the guard refuses.
const leftOut = "this oracle cannot send it"

// takes reports whether an oracle can send a superpacket. The filter after a TUN matches
// no packet under 4 bytes. On a veth, offsets count from the Ethernet header, and the MTU
// limits the length.
func (o *Oracle) takes(p scenario.Super) bool {
	h := p.Hdr
	if o.tap && h.GSOType&packet.GSOTunnels == 0 {
		return false
	}
	if o.linkLen == 0 {
		return len(p.Data) >= shortestMatched && (len(p.Data) <= maxPacket || len(p.Data)/max(1, int(h.GSOSize)) <= longSegments)
	}
	return (h.GSOType != packet.GSONone || len(p.Data) <= maxPacket) && int(h.HdrLen) <= maxPacket-o.linkLen &&
		(h.Flags&packet.NeedsCsum == 0 || ipv4Header <= h.CsumStart && int(h.CsumStart) <= maxPacket-o.linkLen)
}

const (
	mostHeadroom = 512     // bytes of memory that a kernel reserves in front of a packet
	longSegments = 2_000   // most segments of a packet over 65,535 bytes; more take too long
	longest      = 200_000 // bytes of the longest packet that is sent
)

// defuse clears the fragment bits of an IPv4 packet with a GSO type, and of an IPv4 packet in
// its tunnel, in a copy. It returns false if the guard still refuses the packet.
func defuse(p scenario.Super) (scenario.Super, bool) {
	refused := func() bool {
		return guard.CheckTunnel(p.Hdr.GSOType, int(p.Hdr.InnerNHOffset), p.Data) != nil
	}
	if !refused() {
		return p, true
	}
	p.Data = bytes.Clone(p.Data)
	starts := []int{0}
	if p.Hdr.GSOType&packet.GSOTunnels != 0 {
		starts = append(starts, int(p.Hdr.InnerNHOffset))
	}
	for _, at := range starts {
		if at+7 < len(p.Data) && p.Data[at]>>4 != 6 {
			p.Data[at+6] &^= ipv4Fragment
			p.Data[at+7] = 0
		}
	}
	return p, !refused()
}

// sameSegments compares the kernel's segments with the expected ones.
func sameSegments(property string, want [][]byte, got tunlive.Answer) error {
	if got.Class != tunlive.Delivered {
		return law.Violatedf(property, "%d segments, but the kernel's answer is %v (%v)", len(want), got.Class, got.Errno)
	}
	for i := range min(len(want), len(got.Segments)) {
		g := got.Segments[i]
		if !bytes.Equal(want[i], g.Data) {
			return law.Mismatchf(property, bytes.Clone(g.Data), want[i], "segment %d of %d is not the kernel's", i, len(want))
		}
		if g.Hdr.GSOType != packet.GSONone || g.Hdr.Flags&packet.NeedsCsum != 0 {
			return law.Violatedf(property, "the kernel hands out segment %d with %v", i, pkts.VnetHdr(g.Hdr))
		}
	}
	if len(want) != len(got.Segments) {
		return law.Violatedf(property, "%d segments, the kernel's are %d", len(want), len(got.Segments))
	}
	return nil
}

// expectation returns an error if an answer is not the known divergence.
type expectation func(tunlive.Answer) error

// isClass expects one of the classes of answer.
func isClass(classes ...tunlive.Class) expectation {
	return func(a tunlive.Answer) error {
		if slices.Contains(classes, a.Class) {
			return nil
		}
		return law.Violatedf("K4", "the kernel's answer is %v (%v), expected %v", a.Class, a.Errno, classes)
	}
}

// likeOther expects the answer that is right for superpacket p. p may differ from the
// superpacket that was sent.
func (k *Kernel) likeOther(p scenario.Super) expectation {
	return func(a tunlive.Answer) error {
		segments, refusal, err := k.subject.other(p)
		if err != nil {
			return err
		}
		if refusal != "" {
			if a.Class == tunlive.Delivered {
				return law.Violatedf("K4", "the kernel hands out %d packets, expected %s", len(a.Segments), refusal)
			}
			return nil
		}
		return sameSegments("K4", segments, a)
	}
}

// anything expects nothing.
func anything(tunlive.Answer) error { return nil }

// divergence returns the name of the known disagreement with the kernel that applies to a
// superpacket, or "", and the behaviour expected of the kernel. refusal is Segment's, "" if
// Segment accepts. Sources: tun_get_user, virtio_net_hdr_to_skb, tcp_gso_segment of Linux
// 6.18.
func (k *Kernel) divergence(o *Oracle, p scenario.Super, refusal string) (string, expectation) {
	h, n := p.Hdr, len(p.Data)
	gso := h.GSOType != packet.GSONone
	hdrLen := int(h.HdrLen)
	if h.Flags&packet.NeedsCsum != 0 {
		hdrLen = max(hdrLen, int(h.CsumStart+h.CsumOffset+2)) // in 16 bits, as in the kernel
	}
	refuses := isClass(tunlive.Refused, tunlive.FrameError, tunlive.RxDropped)
	if h.GSOType&packet.GSOTunnels != 0 {
		if !o.tap {
			return "a VnetHdr of 10 bytes has no tunnels", refuses
		}
		if name, e := k.divergenceOfTunnels(p, refusal); name != "" {
			return name, e
		}
	}
	switch {
	case refusal == "" && hdrLen > n:
		return "hdr_len past the end is refused", isClass(tunlive.Refused)
	case refusal == "" && (n == 0 || p.Data[0]>>4 != 4 && p.Data[0]>>4 != 6):
		return "no IP version is refused", refuses
	case refusal == "" && h.Flags&packet.NeedsCsum != 0 && int(h.CsumStart)+mostHeadroom >= maxPacket:
		// The kernel adds its headroom, and the sum must fit in 16 bits.
		return "csum_start near 65,535 may be refused", func(a tunlive.Answer) error {
			if a.Class != tunlive.Delivered {
				return refuses(a)
			}
			return k.likeOther(p)(a)
		}
	case h.Flags&packet.RSCInfo != 0:
		p.Hdr.Flags &^= packet.RSCInfo
		_, refusal, _ := k.subject.other(p)
		if name, e := k.divergence(o, p, refusal); name != "" {
			return "RSC_INFO is ignored", e
		}
		return "RSC_INFO is ignored", k.likeOther(p)
	case refusal == "" && !gso && n > maxPacket && k.lacks("csum-start-check"):
		return "one packet of over 65,535 bytes may be refused", func(a tunlive.Answer) error {
			if a.Class != tunlive.Delivered {
				return refuses(a)
			}
			return k.likeOther(p)(a)
		}
	case refusal == "CsumRange" && k.lacks("csum-start-check"):
		return "csum_start in the IP header is taken", anything
	case refusal == "TooLong":
		return "over 65,535 bytes is cut", anything
	case h.GSOType&^packet.GSOECN == packet.GSOUFO: // not in a tunnel
		return "UFO becomes fragments", anything
	}
	if !gso || h.GSOSize == 0 {
		return "", nil
	}
	if baseType(h.GSOType) == packet.GSOUDPL4 && k.lacks("uso") {
		return noUSO, refuses
	}
	if (refusal == "CsumOffset" || refusal == "CsumStart") && k.lacks("csum-offset-check") {
		return "csum_start and csum_offset are not checked", anything
	}
	return k.divergenceOfGSO(o, p, refusal)
}

// raises reports whether the kernel raises the gso_size of a TCP superpacket to 8, and does
// so in h.
func (k *Kernel) raises(h *pkts.VnetHdr) bool {
	const least = 8
	if h.GSOSize >= least || baseType(h.GSOType) == packet.GSOUDPL4 || k.Features["small-gso"] {
		return false
	}
	h.GSOSize = least
	return true
}

// baseType returns a GSO type without the bits for ECN and tunnels.
func baseType(t uint8) uint8 { return t &^ (packet.GSOECN | packet.GSOTunnels) }

// raisedTo8 is a divergence of kernels with the fix for CVE-2026-90063.
const raisedTo8 = "gso_size under 8 is raised to 8"

// noUSO is a divergence of kernels before 6.2.
const noUSO = "UDP superpackets are refused without USO"

// divergenceOfGSO returns the divergence that depends on whether the kernel regards a
// packet as a superpacket. The kernel compares gso_size with a payload length that
// ignores options and, without NEEDS_CSUM, extension headers.
func (k *Kernel) divergenceOfGSO(o *Oracle, p scenario.Super, refusal string) (string, expectation) {
	h, n := p.Hdr, len(p.Data)
	l4, ip := tcpHeader, ipv4Header
	switch baseType(h.GSOType) {
	case packet.GSOTCPv4:
	case packet.GSOTCPv6:
		ip = ipv6Header
	case packet.GSOUDPL4:
		l4 = udpHeader
	default:
		return "", nil
	}
	payloadAt := ip + l4
	if h.Flags&packet.NeedsCsum != 0 {
		payloadAt = int(h.CsumStart) + l4
	} else if o.linkLen > 0 || k.Features["dissects"] {
		l4Off, _ := packet.Locate(p.Data)
		payloadAt = l4Off + l4
	} else if k.lacks("one-without-csum") {
		payloadAt = l4 // it does not know the IP header
	}
	raised := k.raises(&p.Hdr)
	size := int(p.Hdr.GSOSize)
	switch isGSO := n-payloadAt > size; {
	case !isGSO && refusal != "" && h.GSOType&^packet.GSOTunnels != packet.GSOUDPL4|packet.GSOECN:
		// One packet: the kernel looks only at its checksum.
		one := p
		one.Hdr.GSOType, one.Hdr.GSOSize = packet.GSONone, 0
		return "one packet with odd headers is taken", func(a tunlive.Answer) error {
			_, why, _ := k.subject.other(one)
			if a.Class != tunlive.Delivered || why == "CsumRange" && k.lacks("csum-start-check") {
				return nil
			}
			return k.likeOther(one)(a)
		}
	case isGSO && refusal == "" && baseType(h.GSOType) != packet.GSOUDPL4:
		if segments, _, _ := k.subject.other(p); len(segments) == 1 {
			if o.linkLen > 0 { // depends on the kernel and on the bytes after the headers
				return "payload <= gso_size < payload + options is dropped", isClass(tunlive.Dropped, tunlive.Refused)
			}
			return "payload <= gso_size < payload + options is dropped", isClass(tunlive.Dropped)
		}
		if raised {
			return raisedTo8, k.likeOther(p)
		}
	case raised && refusal == "":
		return raisedTo8, k.likeOther(p)
	}
	return "", nil
}
