// SPDX-License-Identifier: MIT

package tun

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"tunproof/offload"
	"tunproof/tunlive/guard"
)

// Config configures a Device. The zero value opens an interface with one queue and a
// name that the kernel chooses.
type Config struct {
	// Name is the interface's name, at most 15 bytes. With "tun%d" or "" the kernel
	// chooses a number. Adopt ignores Name.
	Name string
	// Node is the path of the device to open, "" for /dev/net/tun.
	Node string
	// Queues is the number of descriptors that Open opens, 0 for 1, at most 256. With more than
	// one, or with MultiQueue, the interface has IFF_MULTI_QUEUE, and AddQueue can
	// add queues.
	Queues     int
	MultiQueue bool

	// MTU is the interface's MTU in bytes, which Open and Adopt set as SetMTU does: 68 to
	// 65,535. 0 leaves it as it is, and a new interface has 1,500. For a tunnel this is
	// too much: take the MTU of the path, less what the tunnel adds to each packet.
	MTU int
	// TxQueueLen is the number of packets and superpackets that the kernel keeps for each
	// queue until they are read, at most 1,048,576. Open and Adopt set it as
	// SetTxQueueLen does. 0 leaves it as it is, and a new interface has 500. If the
	// queue is full, packets are lost, but see Backpressure.
	TxQueueLen int
	// Backpressure asks for IFF_BACKPRESSURE, which Linux has since 7.3: if a queue is
	// full, the kernel stops it. Packets then wait in the interface's queueing
	// discipline, which decides what to drop, if it has one. On older kernels, Open works
	// as if Backpressure were false. Features reports whether the interface has it: set a
	// short queue only then, with SetTxQueueLen. Adopt ignores Backpressure.
	Backpressure bool
	// NoTunnels leaves superpackets in UDP tunnels, which VXLAN and Geneve send over the
	// interface, to the kernel: it cuts them, and each segment is a read. By default the
	// device reads them whole and cuts them itself, since Linux 6.17. Every packet then
	// has a virtio_net_hdr of 24 bytes instead of 10. That size belongs to the interface
	// and outlives the device, and other programs may rely on 10. So Open gives 24 bytes
	// only to an interface that it makes. An interface that exists has superpackets in
	// tunnels only if its size is 24 already. If the kernel lacks any part of it, the
	// device works as if NoTunnels were true. Features reports what was negotiated.
	NoTunnels bool

	// Coalesce configures how written packets are joined: order and limits. The types
	// it disables can be enabled later. AtomicIDs must be false: ExactIDs decides. Set
	// AbsentChecksums if datagrams of VXLAN or Geneve without a UDP checksum are written
	// (docs/tun.md).
	Coalesce offload.Config
	// ExactIDs keeps the ID of every IPv4 packet. By default the device sets
	// offload.Config.AtomicIDs: packets with DF join whatever their IDs are, and come
	// back with IDs that count up. RFC 6864 gives such IDs no meaning, and no
	// receiver reads them. Without AtomicIDs, no packet that Linux sends from an
	// unconnected UDP socket, as QUIC servers do, would join: their ID is always 0.
	ExactIDs bool

	// Observer is called for each packet, and Record keeps the last packets. Both
	// cost nothing when they are zero.
	Observer Observer
	Record   Record
}

// ErrFragment is the Refusal.Err of a packet that the guard refused: a fragment with a GSO
// type, which crashes some kernels (rule K6).
var ErrFragment = guard.ErrFragment

// maxQueues is the kernel's limit (MAX_TAP_QUEUES, drivers/net/tun.c).
const maxQueues = 256

// The limits of an MTU are the kernel's for a TUN (MIN_MTU and MAX_MTU,
// drivers/net/tun.c). A ring of maxTxQueueLen has 8 MB without its packets.
const (
	minMTU, maxMTU = 68, 65535
	maxTxQueueLen  = 1 << 20
)

// check returns cfg with defaults for zeros, or an error for the first bad field.
func (cfg Config) check() (Config, error) {
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Node == "" {
		cfg.Node = "/dev/net/tun"
	}
	switch {
	case cfg.Queues < 1 || cfg.Queues > maxQueues:
		return cfg, fmt.Errorf("tun: Config.Queues is %d: want 0 (for 1) to %d", cfg.Queues, maxQueues)
	case len(cfg.Name) > 15 || strings.ContainsAny(cfg.Name, "/\x00"):
		return cfg, fmt.Errorf("tun: Config.Name is %q: want at most 15 bytes, no slash or zero byte", cfg.Name)
	case cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxMTU):
		return cfg, fmt.Errorf("tun: Config.MTU is %d: want 0 (to leave it) or %d to %d", cfg.MTU, minMTU, maxMTU)
	case cfg.TxQueueLen < 0 || cfg.TxQueueLen > maxTxQueueLen:
		return cfg, fmt.Errorf("tun: Config.TxQueueLen is %d: want 0 (to leave it) to %d", cfg.TxQueueLen, maxTxQueueLen)
	case cfg.Record.Packets < 0 || cfg.Record.Packets > maxRecord:
		return cfg, fmt.Errorf("tun: Config.Record.Packets is %d: want 0 to %d", cfg.Record.Packets, maxRecord)
	case cfg.Record.Dir != "" && cfg.Record.Packets == 0:
		return cfg, errors.New("tun: Config.Record.Dir is set and Config.Record.Packets is 0: nothing would be recorded")
	case cfg.Coalesce.AtomicIDs:
		return cfg, errors.New("tun: Config.Coalesce.AtomicIDs is set: want false, since Config.ExactIDs decides")
	}
	if dir := cfg.Record.Dir; dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return cfg, fmt.Errorf("tun: Config.Record.Dir is %q: %w", dir, cmp.Or(err, error(syscall.ENOTDIR)))
		}
	}
	cfg.MultiQueue = cfg.MultiQueue || cfg.Queues > 1
	cfg.Coalesce.AtomicIDs = !cfg.ExactIDs
	if _, err := offload.NewCoalescer(cfg.Coalesce); err != nil {
		return cfg, fmt.Errorf("tun: Config.Coalesce: %w", err)
	}
	return cfg, nil
}

// Protocols is a set of the protocols that are coalesced and can be switched off.
type Protocols uint8

const (
	TCPv4 Protocols = 1 << iota
	TCPv6
	UDP          // over IPv4 and IPv6
	allProtocols = TCPv4 | TCPv6 | UDP
)

// String returns the names, such as "TCPv4|UDP", or "none".
func (p Protocols) String() string {
	var names []string
	for i, name := range [...]string{"TCPv4", "TCPv6", "UDP"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, "|")
}

// MarshalText returns the names as String does, so that Protocols have names in JSON and
// in logs.
func (p Protocols) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText sets p from what MarshalText returns. Another text is an error.
func (p *Protocols) UnmarshalText(text []byte) error {
	for set := range allProtocols + 1 {
		if set.String() == string(text) {
			*p = set
			return nil
		}
	}
	return fmt.Errorf("tun: %q are no Protocols", text)
}

// tunnelTypes has the bits of the GSO types of superpackets in UDP tunnels.
const tunnelTypes = offload.GSOUDPTunnelIPv4 | offload.GSOUDPTunnelIPv6

// protocolOf returns the protocol of superpackets of a type.
func protocolOf(t offload.GSOType) Protocols {
	switch t &^ offload.GSOECN {
	case offload.GSOTCPv4:
		return TCPv4
	case offload.GSOTCPv6:
		return TCPv6
	case offload.GSOUDPL4:
		return UDP
	}
	return 0
}

// Features are what was negotiated with the kernel: the offloads (TUNSETOFFLOAD), which
// are what it hands out uncut, and Backpressure. They are the same on every queue (T1).
type Features struct {
	Csum   bool // partial checksums: TUN_F_CSUM
	TSO    bool // TCP superpackets: TUN_F_TSO4, TUN_F_TSO6
	TSOECN bool // TCP superpackets with the ECN bit too: TUN_F_TSO_ECN
	USO    bool // UDP superpackets: TUN_F_USO4, TUN_F_USO6; without USO none is written either

	// Superpackets in UDP tunnels, with and without a checksum of the tunnel:
	// TUN_F_UDP_TUNNEL_GSO, TUN_F_UDP_TUNNEL_GSO_CSUM. They are only read. The kernel
	// refuses to take from a TUN what it hands out (tun_vnet_hdr_tnl_to_skb, Linux 6.18).
	Tunnels bool

	Backpressure bool // a full queue stops: IFF_BACKPRESSURE, asked for by Config.Backpressure
}

// LogValue returns a group with the fields.
func (f Features) LogValue() slog.Value { return fields(f) }

// Observer has functions that are called for each packet, on the goroutine that reads
// or writes, between two packets. They may call anything but the data path of the
// same queue. Slices are lent for the call and must not be changed.
type Observer struct {
	// Read is called for each packet or superpacket that was read, before it is cut.
	// err is nil, or the reason why it is dropped. What is dropped later, because a
	// buffer of ReadBatch is too short, was handed over with nil.
	Read func(h offload.VnetHdr, packet []byte, err error)
	// Write is called for each write, with the number of packets it stood for, the
	// bytes written, starting with the VnetHdr of Device.VnetHdrLen bytes, and the errno
	// or nil.
	Write func(h offload.VnetHdr, packets int, pieces [][]byte, err error)
	// Refused is called for each superpacket that the kernel did not take (EINVAL or
	// EMSGSIZE) after its packets were sent again, and for each packet that it refused by
	// itself (EINVAL). A link that is down is no refusal. The function may keep r.
	Refused func(r *Refusal)
}

// ErrGone is returned by calls on a device whose interface was deleted. errors.Is
// reports that it is os.ErrClosed too.
var ErrGone = fmt.Errorf("the interface was deleted: %w", os.ErrClosed)
