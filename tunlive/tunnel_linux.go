// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// These are the bits of TUNSETOFFLOAD for superpackets in UDP tunnels
// (include/uapi/linux/if_tun.h, Linux 6.17).
const (
	offloadTunnels    = 0x80  // TUN_F_UDP_TUNNEL_GSO
	offloadTunnelCsum = 0x100 // TUN_F_UDP_TUNNEL_GSO_CSUM
	withTunnels       = allOffloads | offloadTunnels | offloadTunnelCsum
)

// NewTAPSegmenter returns the oracle that writes to one TAP and reads from another. It is
// NewSegmenter's, with Ethernet headers and with VnetHdrs of 24 bytes: a TAP takes
// superpackets in UDP tunnels, which a TUN refuses. If the kernel has no such tunnels, the
// error is a *Missing that wraps ErrKernel. The oracle is for one goroutine at a time.
func NewTAPSegmenter() (Segmenter, error) {
	t, err := openTUN(0, noOffloads)
	if err != nil {
		return nil, err
	}
	err = unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, withTunnels)
	t.close()
	if err != nil {
		return nil, &Missing{"superpackets in UDP tunnels", "Linux 6.17 or newer", ErrKernel}
	}
	s, err := newPairSegmenter(func() (*tun, error) { return openTAP(noOffloads) })
	if err != nil {
		return nil, err
	}
	return &tapSegmenter{s}, nil
}

// tapSegmenter is a pair of TAPs.
type tapSegmenter struct{ *tunSegmenter }

// Segment returns ErrPacket for a superpacket in a tunnel that stands for one packet only. A
// TAP takes it. But it still has the mark of a tunnel then: a reader without the offload
// gets EINVAL, the packet is lost, and the kernel warns (virtio_net_hdr_tnl_to_skb and
// tun_vnet_hdr_tnl_from_skb, Linux 6.18). Kernels may be set up to panic when they warn.
func (s *tapSegmenter) Segment(h VnetHdr, packet []byte) (Answer, error) {
	const tcpHdr, udpHdr, gsoUDPL4, minTCPSize = 20, 8, 5, 8
	l4, size := tcpHdr, max(int(h.GSOSize), minTCPSize)
	if h.GSOType&^tunnelTypes == gsoUDPL4 {
		l4, size = udpHdr, int(h.GSOSize)
	}
	if h.GSOType&tunnelTypes != 0 && len(packet) <= int(h.CsumStart)+l4+size {
		return Answer{}, ErrPacket
	}
	return s.tunSegmenter.Segment(h, packet)
}

// Tunnels has VXLAN and Geneve devices of the kernel, in a network namespace of their own.
// A superpacket that is sent to one of them leaves in a tunnel, and is read twice: whole,
// from a TUN that takes superpackets in tunnels, and as the segments that the kernel cuts
// the same packet to, from a TUN that takes none. It is for one goroutine at a time.
//
// Nothing is written to the TUNs, and nothing arrives at the devices: no packet is
// forwarded, delivered or reassembled.
type Tunnels struct {
	space      *namespaceThread
	nl         *netlink
	whole, cut *tun // whole is nil if it is the caller's
	sockets    []*socket
	kinds      []string
	readers    [2]collector
}

// NewTunnels makes the devices that the kernel has: VXLAN and Geneve, over IPv4 and IPv6,
// without an outer UDP checksum and with it. If the kernel has none of them, or no
// superpackets in tunnels, the error is a *Missing that wraps ErrKernel.
func NewTunnels() (*Tunnels, error) {
	t := &Tunnels{}
	return t, t.make(func() (name string, err error) {
		if t.whole, err = openTUN(0, noOffloads); err != nil {
			return "", err
		}
		if err := t.whole.takeTunnels(withTunnels); err != nil {
			return "", &Missing{"superpackets in UDP tunnels", "Linux 6.17 or newer", ErrKernel}
		}
		return t.whole.name, nil
	})
}

// TunnelsOver is NewTunnels with a TUN of the caller's in place of the one that takes
// superpackets in tunnels. open is called in the namespace of the devices, and returns the
// TUN's name. The caller reads it after Send, which returns only what the other TUN gives,
// and closes it. Open need not ask for superpackets in tunnels.
func TunnelsOver(open func() (name string, err error)) (*Tunnels, error) {
	t := &Tunnels{}
	return t, t.make(open)
}

// make makes the devices over a TUN.
func (t *Tunnels) make(whole func() (name string, err error)) (err error) {
	if t.space, err = newNamespace(); err != nil {
		return err
	}
	if err = t.space.do(func() error { return t.open(whole) }); err != nil {
		t.Close()
	}
	return err
}

// Addresses of the outer headers. Nobody has the remote ones.
var (
	tunnelLocal  = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8:51::1/64")}
	tunnelRemote = []netip.Addr{netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8:51::2")}
)

func (t *Tunnels) open(openWhole func() (name string, err error)) (err error) {
	if err := setSysctl("net/ipv6/conf/default/disable_ipv6", "1"); err != nil {
		return err
	}
	if t.nl, err = openNetlink(); err != nil {
		return err
	}
	whole, err := openWhole()
	if err != nil {
		return err
	}
	wholeIndex, err := linkIndex(whole)
	if err != nil {
		return err
	}
	if t.cut, err = openTUN(0, noOffloads); err != nil {
		return err
	}
	if err := setSysctl("net/ipv6/conf/"+whole+"/disable_ipv6", "0"); err != nil {
		return err
	}
	for _, index := range []int{wholeIndex, t.cut.index} {
		if err := t.nl.setMTU(index, wireMTU); err != nil {
			return err
		}
		if err := t.nl.setUp(index, queueLen); err != nil {
			return err
		}
	}
	for _, p := range tunnelLocal {
		if err := t.nl.addAddress(wholeIndex, p); err != nil {
			return err
		}
	}
	if err := t.nl.mirror(wholeIndex, t.cut.index); err != nil {
		return err
	}
	for i, kind := range []string{"vxlan", "geneve"} {
		for family, remote := range tunnelRemote {
			for csum := range 2 {
				err := t.add(kind, 8*i+4*family+csum+1, remote, csum == 1)
				if err != nil && err != errNoKind {
					return err
				}
			}
		}
	}
	if len(t.kinds) == 0 {
		return &Missing{"VXLAN or Geneve devices", "a kernel with CONFIG_VXLAN or CONFIG_GENEVE", ErrKernel}
	}
	return nil
}

// errNoKind is the error of add if the kernel lacks a kind of devices.
var errNoKind = errors.New("the kernel has no such devices")

// add makes a tunnel device with an identifier and a UDP port of its own, and opens a socket
// on it. Devices with a port in common must have the same settings.
func (t *Tunnels) add(kind string, id int, remote netip.Addr, csum bool) error {
	name := fmt.Sprintf("%s%d", kind, id)
	data := message{}.num(1, uint32(id)) // IFLA_VXLAN_ID, IFLA_GENEVE_ID
	flag := func(kind uint16, on bool) {
		v := message{0}
		if on {
			v[0] = 1
		}
		data = data.attr(kind, v)
	}
	port := func(kind uint16, n int) { data = data.attr(kind, message{byte(n >> 8), byte(n)}) }
	if kind == "vxlan" {
		port(15, 4789+id) // IFLA_VXLAN_PORT
		flag(7, false)    // IFLA_VXLAN_LEARNING
		if remote.Is4() {
			data = data.attr(2, remote.AsSlice()) // IFLA_VXLAN_GROUP
			flag(18, csum)                        // IFLA_VXLAN_UDP_CSUM
		} else {
			data = data.attr(16, remote.AsSlice()) // IFLA_VXLAN_GROUP6
			flag(19, !csum)                        // IFLA_VXLAN_UDP_ZERO_CSUM6_TX
			flag(20, !csum)                        // IFLA_VXLAN_UDP_ZERO_CSUM6_RX
		}
	} else {
		port(5, 6081+id) // IFLA_GENEVE_PORT
		if remote.Is4() {
			data = data.attr(2, remote.AsSlice()) // IFLA_GENEVE_REMOTE
			flag(8, csum)                         // IFLA_GENEVE_UDP_CSUM
		} else {
			data = data.attr(7, remote.AsSlice()) // IFLA_GENEVE_REMOTE6
			flag(9, !csum)                        // IFLA_GENEVE_UDP_ZERO_CSUM6_TX
			flag(10, !csum)                       // IFLA_GENEVE_UDP_ZERO_CSUM6_RX
		}
	}
	info := message{}.text(unix.IFLA_INFO_KIND, kind).attr(unix.IFLA_INFO_DATA, data)
	m := ifinfo(0, 0, 0).text(unix.IFLA_IFNAME, name).attr(unix.IFLA_LINKINFO, info)
	if _, err := t.nl.do(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m); err == unix.EOPNOTSUPP {
		return errNoKind
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	index, err := linkIndex(name)
	if err != nil {
		return err
	}
	if err := t.nl.setMTU(index, wireMTU-tunnelRoom); err != nil {
		return err
	}
	if err := t.nl.setUp(index, queueLen); err != nil {
		return err
	}
	s, err := openSocket(index, etherLen)
	if err != nil {
		return err
	}
	t.sockets = append(t.sockets, s)
	what := kind + " over IPv4"
	if remote.Is6() {
		what = kind + " over IPv6"
	}
	if csum {
		what += " with a checksum"
	}
	t.kinds = append(t.kinds, what)
	return nil
}

// tunnelRoom is more than the outer headers of a tunnel take, in bytes.
const tunnelRoom = 100

// Kinds returns the names of the devices.
func (t *Tunnels) Kinds() []string { return t.kinds }

// Send passes a packet to the guard and sends it to the device of a kind, an index of
// Kinds. It returns what comes out of the TUN that takes superpackets in tunnels, and of
// the TUN that takes none, valid until the next call. If the first is the caller's, whole
// is nil. ErrPacket is returned for a packet
// that cannot be sent. An errno of the send is returned as it is.
func (t *Tunnels) Send(kind int, h VnetHdr, packet []byte) (whole, cut []Packet, err error) {
	if len(packet) > maxTunnelled {
		return nil, nil, ErrPacket
	}
	unpin := pin()
	defer unpin()
	if err := t.sockets[kind].write(h, packet); err != nil {
		return nil, nil, err
	}
	for i, device := range []*tun{t.whole, t.cut} {
		if device == nil {
			continue
		}
		judge := func(p Packet) verdict {
			if ours(p.Data) {
				return keep
			}
			return skip
		}
		packets, err := t.readers[i].drain(device, judge)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			whole = packets
		} else {
			cut = packets
		}
	}
	return whole, cut, nil
}

// maxTunnelled is the length of the longest packet that fits into a tunnel.
const maxTunnelled = 65535 - tunnelRoom

// ours reports whether a packet is one of a tunnel, and not of the IPv6 stack.
func ours(b []byte) bool {
	const udp = 17
	return len(b) > 40 && (b[0]>>4 == 4 && b[9] == udp || b[0]>>4 == 6 && b[6] == udp)
}

// Close deletes the devices.
func (t *Tunnels) Close() error {
	var err error
	for _, s := range t.sockets {
		err = errors.Join(err, s.close())
	}
	for _, device := range []*tun{t.whole, t.cut} {
		if device != nil {
			err = errors.Join(err, device.close())
		}
	}
	if t.nl != nil {
		err = errors.Join(err, t.nl.close())
	}
	t.space.Close() // the namespace ends, and with it the tunnel devices
	return err
}

// takeTunnels gives a device VnetHdrs of 24 bytes, and sets its offloads.
func (t *tun) takeTunnels(offloads int) error {
	if err := unix.IoctlSetPointerInt(t.fd, unix.TUNSETVNETHDRSZ, tunnelVnetHdrLen); err != nil {
		return err
	}
	t.tunnels = true
	return unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, offloads)
}

// openTAP opens a TAP with VnetHdrs of 24 bytes.
func openTAP(offloads int) (*tun, error) {
	t, err := openDevice(unix.IFF_TAP, noOffloads)
	if err != nil {
		return nil, err
	}
	t.linkLen = etherLen
	if err := t.takeTunnels(offloads); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// moveOffsets adds n to the offsets of h that count from the start of a frame. It returns
// false if one of them becomes too large.
func (h *VnetHdr) moveOffsets(n int) bool {
	fits := true
	move := func(v *uint16, used bool) {
		if used {
			moved := int(*v) + n
			fits = fits && 0 <= moved && moved <= 0xFFFF
			*v = uint16(moved)
		}
	}
	move(&h.CsumStart, h.Flags&1 != 0) // VIRTIO_NET_HDR_F_NEEDS_CSUM
	move(&h.HdrLen, h.HdrLen > 0)
	move(&h.OuterTHOffset, h.GSOType&tunnelTypes != 0)
	move(&h.InnerNHOffset, h.GSOType&tunnelTypes != 0)
	return fits
}

// appendFrame appends an Ethernet header of zeros and a packet.
func appendFrame(b []byte, protocol uint16, packet []byte) []byte {
	b = append(b, make([]byte, etherLen-2)...)
	return append(binary.BigEndian.AppendUint16(b, protocol), packet...)
}
