// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// message is a netlink message under construction: a family's header, then
// attributes.
type message []byte

func (m message) u8(v uint8) message   { return append(m, v) }
func (m message) u16(v uint16) message { return binary.NativeEndian.AppendUint16(m, v) }
func (m message) u32(v uint32) message { return binary.NativeEndian.AppendUint32(m, v) }
func (m message) u64(v uint64) message { return binary.NativeEndian.AppendUint64(m, v) }

// data appends a kernel struct. v must have the struct's padding as fields.
func (m message) data(v any) message {
	m, err := binary.Append(m, binary.NativeEndian, v)
	if err != nil {
		panic(err) // a field has no fixed size
	}
	return m
}

// attr appends an attribute, padded to 4 bytes.
func (m message) attr(kind uint16, value []byte) message {
	m = append(m.u16(uint16(4+len(value))).u16(kind), value...)
	return append(m, make([]byte, -len(value)&3)...)
}

func (m message) text(kind uint16, s string) message { return m.attr(kind, append([]byte(s), 0)) }
func (m message) num(kind uint16, v uint32) message  { return m.attr(kind, message{}.u32(v)) }

// netlink is a route netlink socket of one network namespace.
type netlink struct {
	fd  int
	seq uint32
	in  []byte
}

func openNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return &netlink{fd: fd, in: make([]byte, 1<<16)}, nil
}

func (n *netlink) close() error { return unix.Close(n.fd) }

// do sends a request and returns the body of the last answer before the
// acknowledgement, if there is one. It is valid until the next call.
func (n *netlink) do(kind, flags uint16, body message) ([]byte, error) {
	n.seq++
	out := message{}.u32(uint32(16 + len(body))).u16(kind).u16(flags | unix.NLM_F_REQUEST | unix.NLM_F_ACK).u32(n.seq).u32(0)
	if err := unix.Sendto(n.fd, append(out, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		size, _, err := unix.Recvfrom(n.fd, n.in, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		for b := n.in[:size]; len(b) >= 16; {
			length := int(binary.NativeEndian.Uint32(b))
			kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
			if length < 16 || length > len(b) {
				return nil, fmt.Errorf("netlink: message of %d bytes in %d", length, len(b))
			}
			body := b[16:length]
			b = b[min(len(b), (length+3)&^3):]
			switch {
			case seq != n.seq: // the answer to a request that was interrupted
			case kind == unix.NLMSG_ERROR:
				if errno := int32(binary.NativeEndian.Uint32(body)); errno != 0 {
					return nil, unix.Errno(-errno)
				}
				return answer, nil
			default:
				answer = append(answer[:0], body...)
			}
		}
	}
}

// ifinfo is struct ifinfomsg.
func ifinfo(index int, flags, change uint32) message {
	return message{}.u8(unix.AF_UNSPEC).u8(0).u16(0).u32(uint32(index)).u32(flags).u32(change)
}

// mostQueueLen is the longest queue that newer kernels allow for a TUN (6.1.192,
// 6.12.118 and 7.3.4 refuse more with ERANGE). They cut TCP into segments of at least
// 8 bytes, so no superpacket has that many segments.
const mostQueueLen = 32767

// setUp sets a link's queue length, or the longest that the kernel allows, and
// switches the link on.
func (n *netlink) setUp(index, queueLen int) error {
	up := func(queueLen int) error {
		_, err := n.do(unix.RTM_NEWLINK, 0, ifinfo(index, unix.IFF_UP, unix.IFF_UP).num(unix.IFLA_TXQLEN, uint32(queueLen)))
		return err
	}
	err := up(queueLen)
	if err == unix.ERANGE && queueLen > mostQueueLen {
		err = up(mostQueueLen)
	}
	if err != nil {
		return fmt.Errorf("link %d up: %w", index, err)
	}
	return nil
}

// setMTU sets a link's greatest length of a packet.
func (n *netlink) setMTU(index, mtu int) error {
	if _, err := n.do(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0).num(unix.IFLA_MTU, uint32(mtu))); err != nil {
		return fmt.Errorf("MTU %d of link %d: %w", mtu, index, err)
	}
	return nil
}

// addVeth makes a pair of Ethernet devices wired to each other.
func (n *netlink) addVeth(name, peer string, mtu int) error {
	const vethInfoPeer = 1
	other := ifinfo(0, 0, 0).text(unix.IFLA_IFNAME, peer).num(unix.IFLA_MTU, uint32(mtu))
	info := message{}.text(unix.IFLA_INFO_KIND, "veth").attr(unix.IFLA_INFO_DATA, message{}.attr(vethInfoPeer, other))
	m := ifinfo(0, 0, 0).text(unix.IFLA_IFNAME, name).num(unix.IFLA_MTU, uint32(mtu)).attr(unix.IFLA_LINKINFO, info)
	_, err := n.do(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m)
	return err
}

func (n *netlink) deleteLink(index int) error {
	_, err := n.do(unix.RTM_DELLINK, 0, ifinfo(index, 0, 0))
	return err
}

// addAddress gives a link an address, without duplicate address detection.
func (n *netlink) addAddress(index int, p netip.Prefix) error {
	family := uint8(unix.AF_INET)
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	a := p.Addr().AsSlice()
	m := message{}.u8(family).u8(uint8(p.Bits())).u8(unix.IFA_F_NODAD).u8(0).u32(uint32(index))
	m = m.attr(unix.IFA_LOCAL, a).attr(unix.IFA_ADDRESS, a)
	if _, err := n.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m); err != nil {
		return fmt.Errorf("address %v: %w", p, err)
	}
	return nil
}

// counters are the counters of a link that show the outcome of a packet.
type counters struct{ rxDropped, rxFrameErrors, txDropped uint64 }

func (n *netlink) counters(index int) (counters, error) {
	answer, err := n.do(unix.RTM_GETLINK, 0, ifinfo(index, 0, 0))
	if err != nil {
		return counters{}, fmt.Errorf("counters of link %d: %w", index, err)
	}
	for b := answer[min(len(answer), 16):]; len(b) >= 4; {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if length < 4 || length > len(b) {
			break
		}
		if v := b[4:length]; kind == unix.IFLA_STATS64 && len(v) >= 14*8 { // struct rtnl_link_stats64
			at := func(i int) uint64 { return binary.NativeEndian.Uint64(v[8*i:]) }
			return counters{rxDropped: at(6), txDropped: at(7), rxFrameErrors: at(13)}, nil
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return counters{}, fmt.Errorf("link %d has no IFLA_STATS64", index)
}

// htons returns v in network byte order, as it is in memory.
func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}

// Handles of traffic control (linux/pkt_sched.h).
const (
	tcRoot       = 0xFFFFFFFF
	tcClsact     = 0xFFFFFFF1
	tcIngress    = 0xFFFFFFF2 // belongs to clsact
	tcEgress     = 0xFFFFFFF3
	tcHandleRoot = 0x00010000
	tcHandleClsa = 0xFFFF0000
)

// tcmsg is struct tcmsg.
func tcmsg(index int, handle, parent, info uint32) message {
	return message{}.u8(unix.AF_UNSPEC).u8(0).u16(0).u32(uint32(index)).u32(handle).u32(parent).u32(info)
}

// u32Selector is struct tc_u32_sel with one struct tc_u32_key (linux/pkt_cls.h).
type u32Selector struct {
	Flags, OffShift, NKeys, _ uint8
	OffMask, Off              uint16
	OffOff, HOff              int16
	HMask                     uint32
	Key                       struct {
		Mask, Val    uint32
		Off, OffMask int32
	}
}

// mirred is struct tc_mirred (linux/tc_act/tc_mirred.h).
type mirred struct {
	ActionIndex, Capab          uint32
	Action, RefCount, BindCount int32
	EgressAction                int32
	Index                       uint32 // index of the link
}

// rateSpec is struct tc_ratespec, and tbfOptions struct tc_tbf_qopt (linux/pkt_sched.h).
type (
	rateSpec struct {
		CellLog, LinkLayer uint8
		Overhead           uint16
		CellAlign          int16
		MPU                uint16
		Rate               uint32
	}
	tbfOptions struct {
		Rate, PeakRate     rateSpec
		Limit, Buffer, MTU uint32
	}
)

// redirect sends everything that arrives on one link out of another, below the IP
// stack: nothing is routed, delivered, reassembled or changed.
func (n *netlink) redirect(from, to int) error {
	const stolen, egressRedir = 4, 1
	return n.mirred(from, tcIngress, mirred{Action: stolen, EgressAction: egressRedir, Index: uint32(to)})
}

// mirror sends a copy of everything that leaves one link out of another.
func (n *netlink) mirror(from, to int) error {
	const pipe, egressMirror = 3, 2
	return n.mirred(from, tcEgress, mirred{Action: pipe, EgressAction: egressMirror, Index: uint32(to)})
}

// mirred puts a filter on one direction of a link, that of parent, which does m with every
// packet.
func (n *netlink) mirred(from int, parent uint32, m mirred) error {
	create := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL)
	qdisc := tcmsg(from, tcHandleClsa, tcClsact, 0).text(unix.TCA_KIND, "clsact")
	if _, err := n.do(unix.RTM_NEWQDISC, create, qdisc); err != nil {
		return fmt.Errorf("clsact: %w", err)
	}
	const (
		u32Sel, u32Act      = 5, 7
		actKind, actOptions = 1, 2
		mirredParms         = 2
		terminal            = 1
	)
	info := 1<<16 | uint32(htons(unix.ETH_P_ALL))                        // priority, protocol
	everything := message{}.data(u32Selector{Flags: terminal, NKeys: 1}) // one key with mask 0 and value 0
	action := message{}.text(actKind, "mirred").attr(actOptions, message{}.attr(mirredParms, message{}.data(m)))
	options := message{}.attr(u32Sel, everything).attr(u32Act, message{}.attr(1, action))
	filter := tcmsg(from, 0, parent, info).text(unix.TCA_KIND, "u32").attr(unix.TCA_OPTIONS, options)
	if _, err := n.do(unix.RTM_NEWTFILTER, create, filter); err != nil {
		return fmt.Errorf("filter u32 with mirred: %w", err)
	}
	return nil
}

// discard makes a link drop every packet that arrives or is to be sent.
func (n *netlink) discard(index int) error {
	m := tcmsg(index, tcHandleRoot, tcRoot, 0).text(unix.TCA_KIND, "blackhole")
	if _, err := n.do(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, m); err != nil {
		return fmt.Errorf("qdisc blackhole: %w", err)
	}
	return n.redirect(index, index)
}

// tokenBucket puts a token bucket filter on a link, or changes the existing one. Its
// bucket is full then. rate is in bytes a second, burst in bytes.
func (n *netlink) tokenBucket(index int, flags uint16, rate, burst uint32) error {
	const (
		parms, burstBytes = 1, 6
		linkLayerEthernet = 1
		limit             = 64 << 20 // bytes queued
	)
	opt := message{}.data(tbfOptions{Rate: rateSpec{LinkLayer: linkLayerEthernet, Rate: rate}, Limit: limit})
	m := tcmsg(index, tcHandleRoot, tcRoot, 0).text(unix.TCA_KIND, "tbf").
		attr(unix.TCA_OPTIONS, message{}.attr(parms, opt).num(burstBytes, burst))
	if _, err := n.do(unix.RTM_NEWQDISC, flags, m); err != nil {
		return fmt.Errorf("qdisc tbf: %w", err)
	}
	return nil
}
