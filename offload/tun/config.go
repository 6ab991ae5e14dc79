package tun

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"tunproof/offload"
)

// Config configures a Device. The zero value opens an interface with one queue and a
// name that the kernel chooses.
type Config struct {
	// Name is the interface's name, at most 15 bytes. With "tun%d" or "" the kernel
	// chooses a number. Adopt ignores Name.
	Name string
	// Node is the path of the device to open, "" for /dev/net/tun.
	Node string
	// Queues is the number of descriptors that Open opens, 0 for 1. With more than
	// one, or with MultiQueue, the interface has IFF_MULTI_QUEUE, and AddQueue can
	// add queues.
	Queues     int
	MultiQueue bool

	// Coalesce configures how written packets are joined: order and limits. The types
	// it disables can be enabled later. AtomicIDs must be false here: see ExactIDs.
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

// maxQueues is the kernel's limit (MAX_TAP_QUEUES, drivers/net/tun.c).
const maxQueues = 256

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
		return cfg, fmt.Errorf("tun: Config.Name is %q: want at most 15 bytes, no slash", cfg.Name)
	case cfg.Record.Packets < 0:
		return cfg, fmt.Errorf("tun: Config.Record.Packets is %d: want 0 or more", cfg.Record.Packets)
	case cfg.Coalesce.AtomicIDs && cfg.ExactIDs:
		return cfg, errors.New("tun: Config.ExactIDs and Coalesce.AtomicIDs are both set: want one of them")
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

// Features are the offloads negotiated by TUNSETOFFLOAD: what the kernel hands out
// uncut. They are the same on every queue (T1).
type Features struct {
	Csum   bool // partial checksums: TUN_F_CSUM
	TSO    bool // TCP superpackets: TUN_F_TSO4, TUN_F_TSO6
	TSOECN bool // TCP superpackets with the ECN bit too: TUN_F_TSO_ECN
	USO    bool // UDP superpackets: TUN_F_USO4, TUN_F_USO6; without USO none is written either
}

// Observer has functions that are called for each packet, on the goroutine that reads
// or writes, between two packets. They may call anything but the data path of the
// same queue. Slices are lent for the call and must not be changed.
type Observer struct {
	// Read is called for each packet or superpacket that was read, before it is cut.
	// err is nil, or the reason why it is dropped.
	Read func(h offload.VnetHdr, packet []byte, err error)
	// Write is called for each write, with the number of packets it stood for, the
	// bytes written, starting with the VnetHdr, and the errno or nil.
	Write func(h offload.VnetHdr, packets int, pieces [][]byte, err error)
	// Refused is called for each write that the kernel refused, after the packets
	// were sent again or given up. The function may keep r.
	Refused func(r *Refusal)
}

// ErrGone is returned by calls on a device whose interface was deleted. errors.Is
// reports that it is os.ErrClosed too.
var ErrGone = fmt.Errorf("tun: the interface was deleted: %w", os.ErrClosed)
