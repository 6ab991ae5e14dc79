// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
	"tunproof/tunlive/guard"
)

// ReadsAlike checks K1 on superpackets in tunnels as the kernel makes them. Each superpacket
// of the scenario is sent to the VXLAN and Geneve devices in turn. The kernel hands it out
// whole, and also as the segments that it cuts it to. Segment must give the same segments.
func (k *Kernel) ReadsAlike(o *Oracle, s *scenario.Scenario, t *Tally) error {
	kinds := o.tunnels.Kinds()
	for i, p := range s.Supers {
		if p.Hdr.GSOType&packet.GSOTunnels != 0 {
			p, _ = scenario.Unwrap(p)
		}
		p, ok := defuse(p)
		if segments, refusal, err := k.subject.other(p); err != nil {
			return err
		} else if !ok || refusal != "" || len(segments) < 2 {
			t.count("left out", "not a superpacket that a device sends")
			continue
		}
		kind := (t.Rounds + i) % len(kinds)
		whole, cut, err := o.tunnels.Send(kind, tunlive.VnetHdr(p.Hdr), p.Data)
		if err == tunlive.ErrPacket || err == guard.ErrFragment {
			t.count("left out", leftOut)
			continue
		}
		if err != nil {
			t.count("left out", "the device refuses it: "+err.Error())
			continue
		}
		t.Rounds++
		t.count("device", kinds[kind])
		if err := k.readAlike(whole, cut, t); err != nil {
			return at(err, "%s, superpacket %d (%v, %d bytes)", kinds[kind], i, p.Hdr, len(p.Data))
		}
	}
	return nil
}

// readAlike compares the segments of what was read whole with what the kernel cut.
func (k *Kernel) readAlike(whole, cut []tunlive.Packet, t *Tally) error {
	var want [][]byte
	for _, p := range whole {
		super := scenario.Super{Hdr: pkts.VnetHdr(p.Hdr), Data: bytes.Clone(p.Data)}
		segments, refusal, err := k.subject.segment(super)
		if err != nil {
			return err
		}
		if refusal != "" {
			return law.Violatedf("K1", "the kernel hands out %v, %d bytes, which Segment refuses (%s)", super.Hdr, len(super.Data), refusal)
		}
		t.count("read whole", inner(super))
		want = append(want, segments...)
	}
	t.Segments += len(want)
	return sameSegments("K1", want, tunlive.Answer{Class: tunlive.Delivered, Segments: cut})
}

// inner describes a superpacket that was read.
func inner(p scenario.Super) string {
	name := map[uint8]string{packet.GSOTCPv4: "TCP over IPv4", packet.GSOTCPv6: "TCP over IPv6", packet.GSOUDPL4: "UDP"}[baseType(p.Hdr.GSOType)]
	switch p.Hdr.GSOType & packet.GSOTunnels {
	case packet.GSOTunnel4:
		name += " in IPv4"
	case packet.GSOTunnel6:
		name += " in IPv6"
	default:
		return "not in a tunnel"
	}
	if p.Hdr.Flags&packet.UDPTunnelCsum != 0 {
		name += " with a checksum"
	}
	return name
}

// divergenceOfTunnels returns the known disagreement with the kernel that applies only to
// superpackets in tunnels, as divergence does. The kernel takes the outer version from the
// EtherType and the outer UDP header's place from the outer IP header. It takes the inner
// version from the GSO type, and of UDP every version but 6 for 4. Sources:
// virtio_net_hdr_tnl_to_skb, inet_gso_segment, __skb_udp_tunnel_segment of Linux 6.18.
func (k *Kernel) divergenceOfTunnels(p scenario.Super, refusal string) (string, expectation) {
	if !slices.Contains([]string{"IPHeader", "Fragment", "Protocol", "L4Header", "Tunnel", "CsumStart"}, refusal) || len(p.Data) == 0 {
		return "", nil
	}
	q := p
	if q.Hdr.GSOType = q.Hdr.GSOType&^packet.GSOTunnels | packet.GSOTunnel4; p.Data[0]>>4 == 6 {
		q.Hdr.GSOType ^= packet.GSOTunnels
	}
	l4Off, _ := packet.Locate(p.Data)
	q.Hdr.OuterTHOffset = uint16(l4Off)
	at := int(p.Hdr.InnerNHOffset)
	switch {
	case q.Hdr != p.Hdr && (refusal == "Protocol" || refusal == "Tunnel"):
		return "the outer version and outer_th_offset are not compared with the packet", func(a tunlive.Answer) error {
			_, refusal, _ := k.subject.other(q)
			if name, e := k.divergenceOfTunnels(q, refusal); name != "" {
				return e(a)
			}
			if a.Class != tunlive.Delivered || refusal == "Tunnel" {
				return nil // the type decides where outer_th_offset may begin; the outer UDP header may overlap the inner packet
			}
			k.raises(&q.Hdr)
			return k.likeOther(q)(a)
		}
	case at%2 != 0 && refusal == "Tunnel":
		return "an odd inner_nh_offset is taken", anything
	case at < len(p.Data) && !isVersion(p.Data[at]>>4, baseType(p.Hdr.GSOType)):
		return "the inner version is not compared with the packet", anything
	}
	return "", nil
}

// isVersion reports whether a GSO type may have packets of an IP version.
func isVersion(version, gsoType uint8) bool {
	switch gsoType {
	case packet.GSOTCPv4:
		return version == 4
	case packet.GSOTCPv6:
		return version == 6
	}
	return version == 4 || version == 6
}
