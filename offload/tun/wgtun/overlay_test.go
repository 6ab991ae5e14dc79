// SPDX-License-Identifier: MIT

package wgtun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// overlay is a tunnel that runs through WireGuard, between the inner addresses of two hosts.
type overlay struct {
	kind                   string
	port                   uint16
	id, remote, dport, sum int  // attributes of netlink
	summed                 bool // its datagrams have a UDP checksum
}

// overlays begin with WireGuard alone. Linux's VXLAN has a checksum over IPv4 unless it is
// told otherwise, its Geneve has none, and RFC 7348 section 5 asks for none.
var overlays = []overlay{
	{},
	{"vxlan", 4789, nl.IFLA_VXLAN_ID, nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_PORT, nl.IFLA_VXLAN_UDP_CSUM, false},
	{"geneve", 6081, nl.IFLA_GENEVE_ID, nl.IFLA_GENEVE_REMOTE, nl.IFLA_GENEVE_PORT, nl.IFLA_GENEVE_UDP_CSUM, false},
	{"vxlan", 4789, nl.IFLA_VXLAN_ID, nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_PORT, nl.IFLA_VXLAN_UDP_CSUM, true},
	{"geneve", 6081, nl.IFLA_GENEVE_ID, nl.IFLA_GENEVE_REMOTE, nl.IFLA_GENEVE_PORT, nl.IFLA_GENEVE_UDP_CSUM, true},
}

func (o overlay) String() string {
	if o.summed {
		return o.kind + " with checksums"
	}
	return o.kind
}

// add makes the device of one end.
func (o overlay) add(remote net.IP) error {
	m := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("overlay")))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(o.kind))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(o.id, nl.Uint32Attr(1))
	data.AddRtAttr(o.remote, remote.To4())
	data.AddRtAttr(o.dport, binary.BigEndian.AppendUint16(nil, o.port))
	sum := []byte{0}
	if o.summed {
		sum[0] = 1
	}
	data.AddRtAttr(o.sum, sum)
	m.AddData(info)
	_, err := m.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// overlayHeaders is what both add to a packet: outer IPv4, UDP, their own header of 8 bytes,
// and inner Ethernet.
const overlayHeaders = 20 + 8 + 8 + 14

// over returns the hosts with their addresses in an overlay, which it makes.
func over(hosts [2]*host, o overlay) ([2]*host, error) {
	if o.kind == "" {
		return hosts, nil
	}
	var above [2]*host
	for i, h := range hosts {
		remote := net.ParseIP(hosts[1-i].inner)
		err := h.do(func() error {
			if err := o.add(remote); err != nil {
				return err
			}
			return address("overlay", fmt.Sprintf("203.0.113.%d/24", i+1), innerMTU-overlayHeaders)
		})
		if err != nil {
			return above, err
		}
		copied := *h
		copied.inner = fmt.Sprintf("203.0.113.%d", i+1)
		above[i] = &copied
	}
	return above, nil
}

// overlayEnds are the devices that TestOverlay compares.
var overlayEnds = []endConfig{
	{Kind: "tunproof", Absent: true},
	{Kind: "tunproof"},
	{Kind: "tunproof", NoTunnels: true},
	{Kind: "wireguard-go"},
}

func (c endConfig) String() string {
	name := c.Kind
	if c.NoTunnels {
		name += ", NoTunnels"
	}
	if c.Absent {
		name += ", AbsentChecksums"
	}
	return name
}

// overlayFigures are the measurements for one kind of device and one overlay, or none.
type overlayFigures struct {
	speed, cpu           []float64 // GB/s; nanoseconds a byte of both ends
	bytes, reads, writes uint64    // reads and writes of tunproof's devices
}

// TestOverlay carries TCP through VXLAN and through Geneve, which run through a WireGuard
// tunnel, and through the WireGuard tunnel alone. Rounds alternate between the devices. It
// compares hashes, and checks that superpackets in tunnels are read, and that datagrams
// without a checksum are written as superpackets. WGTUN_MB is the amount for each.
func TestOverlay(t *testing.T) {
	needsTUN(t)
	total, rounds := amount(t)
	all := map[string]*overlayFigures{}
	missing := map[overlay]bool{}
	for range rounds {
		for _, end := range overlayEnds {
			for _, o := range overlays {
				if o.summed && testing.Short() {
					continue
				}
				hosts := wire(t, 0)
				end.MTU = innerMTU
				startWith(t, hosts, end)
				above, err := over(hosts, o)
				if errors.Is(err, unix.EOPNOTSUPP) {
					missing[o] = true
					stop(t, hosts)
					continue
				} else if err != nil {
					t.Fatal(o, ": ", err)
				}
				f := all[o.String()+end.String()]
				if f == nil {
					f = &overlayFigures{}
					all[o.String()+end.String()] = f
				}
				f.measure(t, hosts, above, total/rounds)
				if o.kind != "" && end.Absent {
					checkOverlay(t, o, hosts)
				}
				stop(t, hosts)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s %-26s %8s %9s %13s %12s %12s\n", "", "", "GB/s", "of plain", "CPU, ns/byte", "bytes/read", "bytes/write")
	for _, o := range overlays {
		if missing[o] {
			fmt.Fprintf(&b, "%-22s this kernel has no such device\n", o)
			continue
		}
		for _, end := range overlayEnds {
			f, plain := all[o.String()+end.String()], all[end.String()]
			if f == nil {
				continue // left out for -short
			}
			fmt.Fprintf(&b, "%-22s %-26s %8.3f %9.2f %13.2f", o, end, median(f.speed), median(f.speed)/median(plain.speed), median(f.cpu))
			if f.reads > 0 {
				fmt.Fprintf(&b, " %12d %12d", f.bytes/f.reads, f.bytes/f.writes)
			}
			fmt.Fprintln(&b)
		}
	}
	t.Log(b.String())
}

// measure carries n bytes in each direction.
func (f *overlayFigures) measure(t *testing.T, hosts, above [2]*host, n int) {
	t.Helper()
	for way := range 2 {
		var cpu [2]float64
		var before [2]endState
		for i, h := range hosts {
			before[i] = h.state(t)
		}
		got, err := tcp(above[way], above[1-way], n)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range hosts {
			after := h.state(t)
			cpu[i] = after.CPU - before[i].CPU
			if i == way { // the sender reads, the receiver writes
				f.reads += after.Stats.Read.Reads - before[i].Stats.Read.Reads
				f.bytes += uint64(n)
			} else {
				f.writes += after.Stats.Write.Writes - before[i].Stats.Write.Writes
			}
		}
		f.speed = append(f.speed, float64(n)/1e9/got.seconds)
		f.cpu = append(f.cpu, (cpu[0]+cpu[1])*1e9/float64(n))
	}
}

// checkOverlay checks that the devices read and wrote superpackets where they can.
func checkOverlay(t *testing.T, o overlay, hosts [2]*host) {
	t.Helper()
	for _, h := range hosts {
		s := h.state(t)
		if s.Features.Tunnels != (s.Stats.Read.Tunnelled > 0) {
			t.Errorf("%s: %d superpackets in tunnels were read, and the kernel hands them out is %v", o, s.Stats.Read.Tunnelled, s.Features.Tunnels)
		}
		if w := s.Stats.Write; w.Superpackets == 0 || w.Refused+w.Down+w.NoMemory+w.Failed+w.Unsent > 0 {
			t.Errorf("%s: the device did not write superpackets, or lost packets: %v", o, s.Stats)
		}
	}
}
