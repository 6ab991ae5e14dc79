// SPDX-License-Identifier: MIT

package check

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// vnet judges the VnetHdr of a packet: a kernel must be able to cut them.
func (p *judged) vnet() {
	h := p.hdr
	_, err := model.Segment(model.VnetHdr(h), p.b)
	var refusal model.Refusal
	if errors.As(err, &refusal) {
		p.refused(h, refusal)
		return
	}
	if want := packet.DeriveVnet(p.b, h.GSOSize); p.gso && h.GSOType&packet.GSOTunnels == 0 && want.HdrLen != 0 && h.HdrLen != want.HdrLen {
		p.found(HdrLen, "vnet.hdr_len", fmt.Sprint(h.HdrLen), fmt.Sprint(want.HdrLen), "a kernel may hand out such a hdr_len, so no program may rely on it")
	}
}

// refused emits the finding of a superpacket that no kernel cuts. It names the
// field that is wrong, and its right value if the rest of the packet shows it.
func (p *judged) refused(h pkts.VnetHdr, why model.Refusal) {
	kind, derived := refusals[why], packet.DeriveVnet(p.b, h.GSOSize)
	field, got, want := "", "", ""
	is := func(name string, v, right uint16) {
		field, got = name, fmt.Sprint(v)
		if right != 0 {
			want = fmt.Sprint(right)
		}
	}
	switch why {
	case "RSCInfo":
		is("vnet.flags", uint16(h.Flags), uint16(h.Flags&^packet.RSCInfo))
	case "NoCsum":
		is("vnet.flags", uint16(h.Flags), uint16(h.Flags|packet.NeedsCsum))
	case "GSOType":
		if base := h.GSOType &^ packet.GSOECN; h.GSOType&packet.GSOECN != 0 && (base == 0 || base == packet.GSOUDPL4) {
			kind = RefusedECN
		}
		is("vnet.gso_type", uint16(h.GSOType), uint16(derived.GSOType))
	case "Protocol":
		is("vnet.gso_type", uint16(h.GSOType), uint16(derived.GSOType))
	case "GSOSize", "Segments":
		is("vnet.gso_size", h.GSOSize, 0)
	case "Tunnel":
		if is("vnet.outer_th_offset", h.OuterTHOffset, derived.CsumStart); h.OuterTHOffset == derived.CsumStart {
			is("vnet.inner_nh_offset", h.InnerNHOffset, 0)
		}
	case "CsumStart":
		is("vnet.csum_start", h.CsumStart, derived.CsumStart)
	case "CsumOffset":
		is("vnet.csum_offset", h.CsumOffset, derived.CsumOffset)
	case "CsumRange":
		if is("vnet.csum_start", h.CsumStart, 0); h.CsumStart >= 20 && int(h.CsumStart)+2 <= len(p.b) {
			is("vnet.csum_offset", h.CsumOffset, 0)
		}
	default:
		field, got = p.refusedBytes(why)
	}
	kind.Like = p.refusedLike(kind, h)
	p.found(kind, field, got, want, "no kernel cuts %d bytes with %s", len(p.b), h)
}

// refusedLike returns what is known of a kind of refusal, "" if that is about other values
// than those of the packet and its VnetHdr.
func (p *judged) refusedLike(kind Kind, h pkts.VnetHdr) string {
	fits := true
	switch kind.Name {
	case "vnet-gso-size":
		fits = h.GSOSize == 0
	case "vnet-protocol":
		fits = h.Flags&packet.NeedsCsum == 0
	case "vnet-csum-range":
		fits = int(h.CsumStart)+int(h.CsumOffset)+2 > len(p.b)
	case "vnet-ip-header":
		if len(p.b) > 0 && (p.b[0] == 0x40 || p.b[0] == 0x4F) {
			return IPHeader.Like
		}
		fits = p.Version == 0 && (len(p.b) < 20 || p.b[0]>>4 == 6)
	case "vnet-csum-start":
		udp, low := p.Proto == 17, p.Version == 6 && h.CsumStart < 40
		const panics, garbage = "tailscale panics if it is not the offset of the UDP header", "wireguard-go, tailscale and nebula write garbage if it is below 40 in IPv6"
		switch {
		case udp && low:
			return panics + ", and " + garbage
		case udp:
			return panics
		case low:
			return garbage
		}
	}
	if !fits {
		return ""
	}
	return kind.Like
}

// refusedBytes returns the field and its value for a refusal whose reason is in the
// packet itself, not in its VnetHdr.
func (p *judged) refusedBytes(why model.Refusal) (field, got string) {
	switch {
	case why == "TooLong":
		return "length", fmt.Sprint(len(p.b), " bytes")
	case why == "IPHeader" && p.Version == 6:
		return "ip.extension", fmt.Sprint(len(p.b)-40, " bytes")
	case why == "IPHeader":
		return "ip.version_ihl", fmt.Sprintf("%x", p.b[:min(1, len(p.b))])
	case why == "Fragment" && p.Version == 4:
		return "ip.frag", hex16(binary.BigEndian.Uint16(p.b[6:]))
	case why == "Fragment":
		return "ip.next_header", "a Fragment header"
	case p.Proto == 6:
		return "tcp.header", fmt.Sprint(len(p.b)-p.L4Off, " bytes")
	}
	return "udp.header", fmt.Sprint(len(p.b)-p.L4Off, " bytes")
}
