// SPDX-License-Identifier: MIT

package tun

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tunproof/corpus/pkts"
)

// Device is a TUN interface. Use Open or Adopt to make one.
type Device struct {
	cfg Config
	sys system
	rec *recorder // nil without a recorder

	name        string
	index       int
	noIndex     error     // why the index is not known, or nil
	flags       uint16    // for TUNSETIFF; 0 before the first queue, and then guarded by mu
	pushesBack  bool      // flags had iffBackpressure when the device was made
	mask        int       // as set by TUNSETOFFLOAD
	hdrLen      int       // bytes of a VnetHdr, as TUNGETVNETHDRSZ has returned; 0 before the first queue
	ownHdrLen   bool      // hdrLen may be changed: nobody else has the interface
	unsupported Protocols // without USO

	mu       sync.Locker // guards queues and closed
	queues   []*Queue    // also closed ones, whose counters still count
	closed   bool
	switches atomic.Uint32 // holds a switches value
}

// switches is the part of the coalescing that can change at run time, in one word.
type switches uint32

const (
	refusedShift = 8 // protocols switched off by a refusal; the lower bits are the user's
	udpLimited   = 1 << 16
)

func (s switches) disabled() Protocols { return Protocols(s) & allProtocols }
func (s switches) refused() Protocols  { return Protocols(s>>refusedShift) & allProtocols }

func newDevice(cfg Config, sys system) *Device {
	d := &Device{cfg: cfg, sys: sys, mu: sys.mutex(), name: cfg.Name, rec: newRecorder(cfg.Record)}
	for p, off := range map[Protocols]bool{
		TCPv4: cfg.Coalesce.DisableTCPv4, TCPv6: cfg.Coalesce.DisableTCPv6, UDP: cfg.Coalesce.DisableUDP,
	} {
		if off {
			d.switches.Or(uint32(p))
		}
	}
	return d
}

// Name returns the name that the interface had when it was opened.
func (d *Device) Name() string { return d.name }

// Features returns what was negotiated with the kernel when the device was made.
func (d *Device) Features() Features {
	has := func(bits int) bool { return d.mask&bits == bits }
	return Features{
		Csum:   has(unix.TUN_F_CSUM),
		TSO:    has(unix.TUN_F_TSO4 | unix.TUN_F_TSO6),
		TSOECN: has(unix.TUN_F_TSO_ECN),
		USO:    has(usoMask),

		Tunnels: has(tunnelMask),

		Backpressure: d.pushesBack,
	}
}

// VnetHdrLen returns the size in bytes of the virtio_net_hdr in front of each packet on a
// descriptor, for those who use SyscallConn: offload.VnetHdrLen, or
// offload.TunnelVnetHdrLen, which every interface with Features().Tunnels has. It is the
// same on every queue (T1).
func (d *Device) VnetHdrLen() int { return d.hdrLen }

// Queues returns the number of queues, including closed ones.
func (d *Device) Queues() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queues)
}

// Queue returns queue i, counted from 0. It panics if there is none.
func (d *Device) Queue(i int) *Queue {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queues[i]
}

// SetDisabled switches the coalescing of p off or on, from the next batch on (T5).
// Packets of a protocol that is off are written one by one; superpackets that are
// read are cut in any case. Switching on also forgets that the kernel refused p.
// Without Features().USO, UDP stays off.
func (d *Device) SetDisabled(p Protocols, off bool) {
	p &= allProtocols
	if off {
		d.switches.Or(uint32(p))
		return
	}
	clear := uint32(p) | uint32(p)<<refusedShift
	if p&UDP != 0 {
		clear |= udpLimited
	}
	d.switches.And(^clear)
}

// Disabled returns the protocols that are not coalesced: those switched off by
// SetDisabled or Config, those that the kernel refused, and UDP without
// Features().USO.
func (d *Device) Disabled() Protocols {
	s := switches(d.switches.Load())
	return s.disabled() | s.refused() | d.unsupported
}

// Stats returns the counters of all queues, including closed ones. Calls that have
// not returned are not counted, except in Waits.
func (d *Device) Stats() Stats {
	s := switches(d.switches.Load())
	all := Stats{Refused: s.refused(), UDPLimited: s&udpLimited != 0}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		q.addStats(&all)
	}
	return all
}

// DumpWritten writes the recorder's last written packets, from before they were
// joined, as a case of op coalesce. DumpRead writes the last packets that were read,
// as a case of op segment. why is the case's line of that name; "" stands for a dump
// that somebody asked for.
func (d *Device) DumpWritten(w io.Writer, why string) error {
	return d.rec.dump(w, pkts.OpCoalesce, why, d.name)
}

// DumpRead is like DumpWritten, for packets that were read.
func (d *Device) DumpRead(w io.Writer, why string) error {
	return d.rec.dump(w, pkts.OpSegment, why, d.name)
}

// Close closes all queues. Calls that wait return os.ErrClosed. An interface that is
// not persistent then disappears. A second Close does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	d.closed = true
	queues := d.queues
	d.mu.Unlock()
	var err error
	for _, q := range queues {
		if e := q.Close(); e != nil && !errors.Is(e, os.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
