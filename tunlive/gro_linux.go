// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// toggle is kernel GRO on a TUN with IFF_NAPI. While gro_flush_timeout is long,
// written packets are held. When it is 0, the next write flushes all. The kernel also
// flushes a flow whose first packet is of an earlier jiffy, so a batch during which
// its clock ticks is repeated.
type toggle struct {
	tun       *tun
	in        *socket
	nl        *netlink
	timeout   *os.File
	clock     int // a TCP socket that never connects
	markers   markers
	collector collector
	tooMany   int // batches of this many packets or more take too long on this machine
}

// NewToggle returns the oracle of a TUN's own GRO. It needs a TUN device, root and
// sysfs; without them the error is a *Missing. The oracle is for one goroutine at a
// time.
func NewToggle() (GRO, error) {
	g := &toggle{tooMany: MaxBatch + 1, clock: -1}
	if err := g.open(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *toggle) open() (err error) {
	g.markers.init()
	if g.nl, err = openNetlink(); err != nil {
		return err
	}
	if os.Getenv(envSysfs) == "" {
		return &Missing{"a /sys of its own", "run it as root, where sysfs can be mounted", nil}
	}
	if g.tun, err = openTUN(unix.IFF_NAPI, noOffloads); err != nil {
		return err
	}
	timeout := "/sys/class/net/" + g.tun.name + "/gro_flush_timeout"
	if g.timeout, err = os.OpenFile(timeout, os.O_WRONLY, 0); err == nil {
		err = g.hold(false)
	}
	if err != nil {
		return &Missing{"permission to write gro_flush_timeout", "run it as root, with /sys mounted", err}
	}
	if takesUSO() {
		if _, err := setFeatures(g.tun.name, true, udpGROFeatures...); err != nil {
			return err
		}
	}
	if err := g.nl.discard(g.tun.index); err != nil {
		return err
	}
	if err := g.nl.setUp(g.tun.index, queueLen); err != nil {
		return err
	}
	if g.clock, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("TCP socket: %w", err)
	}
	if g.in, err = openSocket(g.tun.index, 0); err != nil {
		return err
	}
	return g.in.receive()
}

func (g *toggle) Close() error {
	var err error
	if g.in != nil {
		err = errors.Join(err, g.in.close())
	}
	if g.clock >= 0 {
		err = errors.Join(err, unix.Close(g.clock))
	}
	if g.timeout != nil {
		err = errors.Join(err, g.timeout.Close())
	}
	if g.tun != nil {
		err = errors.Join(err, g.tun.close())
	}
	if g.nl != nil {
		err = errors.Join(err, g.nl.close())
	}
	return err
}

func (g *toggle) hold(on bool) error {
	value := "0"
	if on {
		value = "1000000000" // nanoseconds
	}
	_, err := g.timeout.WriteAt([]byte(value), 0)
	return err
}

// jiffies returns the kernel's clock, exactly, in milliseconds: tcpi_last_data_sent
// of a socket that never sent counts from 0.
func (g *toggle) jiffies() (uint32, error) {
	var info [unix.SizeofTCPInfo]byte
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(g.clock), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("TCP_INFO: %w", errno)
	}
	const lastDataSent = 44 // offset in struct tcp_info
	return binary.NativeEndian.Uint32(info[lastDataSent:]), nil
}

func (g *toggle) Coalesce(batch [][]byte) ([]Packet, error) {
	late, most := 0, mostLate
	if len(batch) >= g.tooMany {
		most = 1
	}
	for range 1000 {
		took, err := g.write(batch)
		if err != nil {
			return nil, err
		}
		out, err := g.collector.collect(g.in, g.in.fd, g.markers.judge)
		if err != nil {
			return nil, err
		}
		if took == 0 {
			return out, nil
		}
		if took < lateBatch {
			late = 0
		} else if late++; late == most {
			break
		}
	}
	g.tooMany = len(batch)
	return nil, ErrSlow
}

const (
	lateBatch = 10 // milliseconds for a batch, one tick of the slowest clock: from here on it is late
	mostLate  = 8  // consecutive late batches after which the machine is too slow
)

// write writes the batch, then a marker, which flushes all packets including itself.
// It returns how far the clock advanced meanwhile, in milliseconds.
func (g *toggle) write(batch [][]byte) (took uint32, err error) {
	if len(batch) > MaxBatch {
		return 0, fmt.Errorf("a batch of %d packets, but one poll takes at most %d", len(batch), MaxBatch)
	}
	for _, b := range batch {
		if _, ok := etherType(b); !ok || len(b) > 65535 {
			return 0, ErrPacket
		}
	}
	if err := g.hold(true); err != nil {
		return 0, err
	}
	before, err := g.jiffies()
	if err != nil {
		return 0, err
	}
	for _, b := range batch {
		if err := g.tun.write(VnetHdr{}, b); err != nil {
			return 0, fmt.Errorf("write to %s: %w", g.tun.name, err)
		}
	}
	after, err := g.jiffies()
	if err != nil {
		return 0, err
	}
	if err := g.hold(false); err != nil {
		return 0, err
	}
	return after - before, g.tun.write(VnetHdr{}, g.markers.next())
}

// gate is kernel GRO on a veth, which an ordinary user can use. A token bucket filter
// in front of the wire is shut while a batch is sent. When it is opened, all packets
// pass at once, into one poll of the NAPI at the other end, which flushes everything
// when it ends. No clock is involved.
type gate struct {
	wire
	collector collector
	filler    []byte
}

const (
	smallBurst = 16384              // bytes; most batches have no longer frame
	largeBurst = wireMTU + etherLen // bytes of the longest frame

	shutRate  = 1             // bytes a second
	openRate  = 4_000_000_000 // bytes a second
	openBurst = 200_000_000   // bytes, more than any batch has
)

// NewGate returns the oracle of a veth's GRO. Kernels have it since 5.13. The oracle
// is for one goroutine at a time.
func NewGate() (GRO, error) {
	g := &gate{}
	if err := g.open(); err != nil {
		g.Close()
		return nil, err
	}
	out, err := g.Coalesce([][]byte{probeTCP(1, 0, 0, 100), probeTCP(2, 0, 100, 100)})
	if err == nil && len(out) != 1 {
		err = &Missing{What: "GRO on a veth", How: "Linux 5.13 or newer", Err: ErrKernel}
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *gate) open() error {
	features := groFeatures
	if takesUSO() {
		features = slices.Concat(features, udpGROFeatures)
	}
	if err := g.wire.open(segmentationFeatures, features); err != nil {
		return err
	}
	return g.nl.tokenBucket(g.near, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, openRate, openBurst)
}

func (g *gate) Coalesce(batch [][]byte) ([]Packet, error) {
	if len(batch) > MaxBatch {
		return nil, fmt.Errorf("a batch of %d packets, but one poll takes at most %d", len(batch), MaxBatch)
	}
	burst, used := smallBurst, memory(1, largeBurst)
	for _, b := range batch {
		used += memory(1, len(b))
		switch _, ok := etherType(b); {
		case !ok || len(b) > wireMTU:
			return nil, ErrPacket
		case len(b)+etherLen > burst:
			burst = largeBurst
		}
	}
	if used > g.in.room {
		return nil, ErrPacket
	}
	// Shut the gate, with a full bucket that one frame empties.
	if err := g.nl.tokenBucket(g.near, 0, shutRate, uint32(burst)); err != nil {
		return nil, err
	}
	if err := g.out.write(VnetHdr{}, g.fill(burst-etherLen)); err != nil {
		return nil, fmt.Errorf("filler: %w", err)
	}
	for i, b := range batch {
		if err := g.out.write(VnetHdr{}, b); err != nil {
			return nil, fmt.Errorf("packet %d of %d: %w", i, len(batch), err)
		}
	}
	if err := g.nl.tokenBucket(g.near, 0, openRate, openBurst); err != nil {
		return nil, err
	}
	if err := g.out.write(VnetHdr{}, g.markers.next()); err != nil {
		return nil, fmt.Errorf("marker: %w", err)
	}
	return g.collector.collect(g.in, g.in.fd, g.markers.judge)
}

// fill returns a packet of n bytes. Its headers do not count the filler bytes. It is
// read as a marker that is not the last one.
func (g *gate) fill(n int) []byte {
	g.filler = append(g.filler[:0], g.markers.next()...)
	g.filler = append(g.filler, make([]byte, n-len(g.filler))...)
	return g.filler
}
