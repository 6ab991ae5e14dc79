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
	ipv4Fragment           = 0x3F  // of byte 6: MF and the offset
	shortestMatched        = 4     // bytes that a packet must have for an oracle to find it
	maxPacket              = 65535 // bytes of a packet
)

// Segment is K1 and K4: what Segment accepts the kernel cuts to the same bytes,
// what Segment refuses the kernel refuses or drops, but for divergences that are
// known, and which have to diverge as they are known to.
func (k *Kernel) Segment(o *Oracle, s *scenario.Scenario, t *Tally) error {
	for i, p := range s.Supers {
		if err := k.segment(o, p, t); err != nil {
			return at(err, "superpacket %d (%v, %d bytes)", i, p.Hdr, len(p.Data))
		}
	}
	return nil
}

// at says of a violation in which part of the scenario it is.
func at(err error, format string, args ...any) error {
	v, ok := err.(*law.Violation)
	if !ok {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	w := *v
	w.Msg = fmt.Sprintf(format, args...) + ": " + v.Msg
	return &w
}

func (k *Kernel) segment(o *Oracle, p scenario.Super, t *Tally) error {
	p, ok := harmless(p)
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
			return law.Violatedf("K4", "Segment says %q, the model %q (\"\" is accepted)", refusal, otherRefusal)
		}
		if !slices.EqualFunc(want, other, bytes.Equal) {
			return law.Violatedf("K1", "Segment's segments are not the model's")
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
		return law.Violatedf("K4", "the kernel takes it, hands out nothing, and counts nothing")
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

// cut asks an oracle of a superpacket, and returns false if it cannot be asked.
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

// join asks an oracle of a batch, and returns false if it cannot be asked.
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

// leftOut is what is not asked: a Fragment header with a GSO type, for the guard,
// and what a way of asking does not take.
const leftOut = "not taken this way"

// takes says whether an oracle can be asked of a superpacket. The filter behind a TUN matches no packet under 4 bytes. Over a veth
// offsets count from the Ethernet header, and the MTU is a limit.
func (o *Oracle) takes(p scenario.Super) bool {
	h := p.Hdr
	if o.linkLen == 0 {
		return len(p.Data) >= shortestMatched && (len(p.Data) <= maxPacket || len(p.Data)/max(1, int(h.GSOSize)) <= longSegments)
	}
	return (h.GSOType != packet.GSONone || len(p.Data) <= maxPacket) && int(h.HdrLen) <= maxPacket-o.linkLen &&
		(h.Flags&packet.NeedsCsum == 0 || ipv4Header <= h.CsumStart && int(h.CsumStart) <= maxPacket-o.linkLen)
}

const (
	mostHeadroom = 512     // bytes of memory that a kernel puts in front of a packet
	longSegments = 2_000   // of what is over 65,535 bytes, which takes its time
	longest      = 200_000 // bytes of a packet
)

// harmless clears the fragment bits of an IPv4 packet with a GSO type, and
// returns false for what the guard refuses all the same.
func harmless(p scenario.Super) (scenario.Super, bool) {
	if guard.Check(p.Hdr.GSOType, p.Data) == nil {
		return p, true
	}
	p.Data = bytes.Clone(p.Data)
	if len(p.Data) > 7 {
		p.Data[6] &^= ipv4Fragment
		p.Data[7] = 0
	}
	return p, p.Data[0]>>4 != 6 && guard.Check(p.Hdr.GSOType, p.Data) == nil
}

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

// expectation says whether an answer is the divergence that is known.
type expectation func(tunlive.Answer) error

func isClass(classes ...tunlive.Class) expectation {
	return func(a tunlive.Answer) error {
		if slices.Contains(classes, a.Class) {
			return nil
		}
		return law.Violatedf("K4", "the kernel's answer is %v (%v), expected %v", a.Class, a.Errno, classes)
	}
}

// likeOther expects what is made of another superpacket, whatever Segment makes
// of this one.
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

func anything(tunlive.Answer) error { return nil }

// divergence names the disagreement with the kernel that a superpacket shows,
// "" if none is known, and returns what the kernel is expected to do. refusal is
// Segment's, "" if it accepts. Sources: tun_get_user, virtio_net_hdr_to_skb,
// tcp_gso_segment of Linux 6.18.
func (k *Kernel) divergence(o *Oracle, p scenario.Super, refusal string) (string, expectation) {
	h, n := p.Hdr, len(p.Data)
	gso := h.GSOType != packet.GSONone
	hdrLen := int(h.HdrLen)
	if h.Flags&packet.NeedsCsum != 0 {
		hdrLen = max(hdrLen, int(h.CsumStart+h.CsumOffset+2)) // in 16 bits, as there
	}
	refuses := isClass(tunlive.Refused, tunlive.FrameError, tunlive.RxDropped)
	switch {
	case refusal == "" && hdrLen > n:
		return "hdr_len past the end is refused", isClass(tunlive.Refused)
	case refusal == "" && (n == 0 || p.Data[0]>>4 != 4 && p.Data[0]>>4 != 6):
		return "no IP version is refused", refuses
	case refusal == "" && h.Flags&packet.NeedsCsum != 0 && int(h.CsumStart)+mostHeadroom >= maxPacket:
		// With the memory in front of the packet it has to fit 16 bits.
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
	case h.GSOType&^packet.GSOECN == packet.GSOUFO:
		return "UFO becomes fragments", anything
	}
	if !gso || h.GSOSize == 0 {
		return "", nil
	}
	if h.GSOType&^packet.GSOECN == packet.GSOUDPL4 && k.lacks("uso") {
		return noUSO, refuses
	}
	if (refusal == "CsumOffset" || refusal == "CsumStart") && k.lacks("csum-offset-check") {
		return "where the checksum is is not looked at", anything
	}
	return k.divergenceOfGSO(o, p, refusal)
}

// raisedTo8 is what kernels do since CVE-2026-90063 was mended.
const raisedTo8 = "gso_size under 8 is raised to 8"

// noUSO is what kernels before 6.2 do with UDP superpackets.
const noUSO = "UDP superpackets are refused without USO"

// divergenceOfGSO is about what the kernel takes for a superpacket: it knows
// neither options nor, without NEEDS_CSUM, extension headers when it asks whether
// the payload is longer than gso_size.
func (k *Kernel) divergenceOfGSO(o *Oracle, p scenario.Super, refusal string) (string, expectation) {
	h, n := p.Hdr, len(p.Data)
	l4, ip := tcpHeader, ipv4Header
	switch h.GSOType &^ packet.GSOECN {
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
		payloadAt = l4 // of an IP header nothing is known
	}
	size := int(h.GSOSize)
	raised := size < 8 && h.GSOType&^packet.GSOECN != packet.GSOUDPL4 && !k.Features["small-gso"]
	if raised {
		p.Hdr.GSOSize, size = 8, 8
	}
	switch isGSO := n-payloadAt > size; {
	case !isGSO && refusal != "" && h.GSOType != packet.GSOUDPL4|packet.GSOECN:
		// One packet, of which nothing but the checksum is looked at.
		one := p
		one.Hdr.GSOType, one.Hdr.GSOSize = packet.GSONone, 0
		return "one packet with odd headers is taken", func(a tunlive.Answer) error {
			_, why, _ := k.subject.other(one)
			if a.Class != tunlive.Delivered || why == "CsumRange" && k.lacks("csum-start-check") {
				return nil
			}
			return k.likeOther(one)(a)
		}
	case isGSO && refusal == "" && h.GSOType != packet.GSOUDPL4:
		if segments, _, _ := k.subject.other(p); len(segments) == 1 {
			if o.linkLen > 0 { // one or the other, by the kernel and by what is behind the headers
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
