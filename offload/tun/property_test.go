// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"tunproof/fuzz/scenario/draw"
	"tunproof/model"
	"tunproof/offload"
)

// machine is a state machine: several threads use a device on a simulated kernel, which
// changes and fails meanwhile. Its exported methods are the actions of rapid.
type machine struct {
	*world
	often int // one call in so many fails
}

// index draws an index of a list of n.
func index(t *rapid.T, n int, label string) int { return rapid.IntRange(0, n-1).Draw(t, label) }

// Use starts calls of the device.
func (m *machine) Use(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "calls") {
		if len(m.threads) > 5 {
			return
		}
		x := m.queues[index(t, len(m.queues), "queue")]
		switch rapid.IntRange(0, 9).Draw(t, "call") {
		case 0, 1, 2, 3:
			batch := m.batch(t)
			m.start(func() { x.writeBatch(batch) })
		case 4, 5, 6:
			offset := rapid.SampledFrom([]int{0, 4, 16}).Draw(t, "offset")
			bufs := patterned(rapid.SampledFrom([]int{3, 1, 2, 64, 128}).Draw(t, "buffers"), offset,
				rapid.SampledFrom([][]int{{600}, {1500, 200}, {200, 1}, {1}}).Draw(t, "room")...)
			m.start(func() { x.readBatch(bufs, offset) })
		case 7:
			wait, most := rapid.Bool().Draw(t, "wait"), rapid.IntRange(0, 5).Draw(t, "most")
			m.start(func() { x.readSuper(wait, most) })
		case 8:
			after := rapid.SampledFrom([]time.Duration{-1, 0, 1, 10}).Draw(t, "deadline")
			which := rapid.IntRange(0, 2).Draw(t, "which")
			m.start(func() { m.deadline(x, after, which) })
		case 9:
			m.more(t, x)
		}
	}
}

// more starts a rare call.
func (m *machine) more(t *rapid.T, x *simQueue) {
	switch rapid.IntRange(0, 10).Draw(t, "rare call") {
	case 0, 1:
		m.start(func() { m.sums(m.dev.Stats()); m.ops["Stats"]++ })
	case 2:
		if len(m.queues) < 6 {
			m.start(func() { m.addQueue() })
		}
	case 3, 4, 5:
		p := rapid.SampledFrom([]Protocols{TCPv4, TCPv6, UDP, allProtocols}).Draw(t, "protocols")
		off := rapid.IntRange(0, 2).Draw(t, "off") == 2
		m.start(func() { m.setDisabled(p, off) })
	case 6, 10:
		s := rapid.SampledFrom([]setting{mtuSetting, txQueueLenSetting}).Draw(t, "setting")
		v := rapid.SampledFrom([]int{0, 1280, 1420, 67, 68, 65535, 65536, -1, 1 << 20, 1<<20 + 1}).Draw(t, "value")
		m.start(func() { m.number(s, v) })
	case 7, 8:
		m.start(func() {
			err := x.q.Close()
			m.ops["Queue.Close"]++
			if err != nil && !errors.Is(err, os.ErrClosed) && !m.injected("close", nil) {
				m.Fatalf("Queue.Close: %v", err)
			}
		})
	case 9:
		m.start(m.close)
	}
}

// deadline sets deadlines.
func (m *machine) deadline(x *simQueue, after time.Duration, which int) {
	var at time.Time // none
	if after > 0 {
		at = m.now.Add(after * time.Second)
	} else if after < 0 {
		at = m.now
	}
	err := []func(time.Time) error{x.q.SetDeadline, x.q.SetReadDeadline, x.q.SetWriteDeadline}[which](at)
	m.ops["SetDeadline"]++
	if err != nil && !strings.Contains(err.Error(), "set deadline "+m.dev.Name()) || errors.Is(err, os.ErrClosed) && !x.q.closed.Load() {
		m.Fatalf("SetDeadline: %v", err)
	}
}

// batch draws packets to be written.
func (m *machine) batch(t *rapid.T) []outgoing {
	var list []outgoing
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		flow := index(t, len(m.flows), "flow")
		size := rapid.SampledFrom([]int{100, 4, 8, 500, 0, 1}).Draw(t, "size")
		for range rapid.SampledFrom([]int{3, 1, 2, 10, 70}).Draw(t, "packets") {
			list = append(list, outgoing{flow, m.packet(flow, size)})
		}
		if rapid.IntRange(0, 9).Draw(t, "junk") == 9 {
			junk := rapid.SampledFrom([][]byte{nil, {0x55, 1, 2, 3}, make([]byte, 60), {0x45}, {0x60, 1}, m.packet(flow, size)[:18]}).Draw(t, "of")
			list = append(list, outgoing{-1, junk})
		}
	}
	return list
}

// Run lets the threads go on.
func (m *machine) Run(t *rapid.T) {
	m.choose = func(n int) int { return index(t, n, "choice") }
	m.fault = func(call string) error {
		if rapid.IntRange(1, m.often).Draw(t, "fault") < m.often {
			return nil
		}
		return faults[call][index(t, len(faults[call]), "errno")]
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		if !m.step() {
			break
		}
	}
	m.fault = nil
}

// Send puts packets into the kernel's queues.
func (m *machine) Send(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "packets") {
		d := m.queues[index(t, len(m.queues), "queue")].d
		if d.link.gone || d.file.closing {
			continue
		}
		switch flow := index(t, len(m.flows), "flow"); rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0, 1:
			d.send(m.super(flow, rapid.SampledFrom([]int{3, 2, 45, 70}).Draw(t, "segments"), rapid.SampledFrom([]int{100, 8, 500}).Draw(t, "size")))
		case 2, 3:
			d.send(superpacket{data: m.packet(flow, 100)})
		case 4:
			for _, s := range draw.Supers().Draw(t, "scenario").Supers { // of any kind
				d.send(superOf(s.Hdr, s.Data))
			}
		case 5:
			n := rapid.SampledFrom([]int{0, 1, 65_575, 65_576, 70_000}).Draw(t, "length")
			d.send(superpacket{data: make([]byte, n)})
		case 6:
			p := m.tunnelled(index(t, 4, "tunnel"), flow, rapid.SampledFrom([]int{3, 2, 45, 70}).Draw(t, "segments"), rapid.SampledFrom([]int{100, 8, 500}).Draw(t, "size"))
			if rapid.IntRange(0, 3).Draw(t, "junk") == 0 {
				p.honest = false
				m.spoil(t, &p.hdr)
			}
			d.send(p)
		}
	}
}

// spoil changes a field of the VnetHdr of a superpacket in a tunnel.
func (m *machine) spoil(t *rapid.T, h *model.VnetHdr) {
	edge := rapid.SampledFrom([]uint16{0, 1, 19, 20, 21, 28, 40, 50, 70, 71, 255, 65535})
	switch rapid.IntRange(0, 6).Draw(t, "field") {
	case 0:
		h.OuterTHOffset = edge.Draw(t, "outer_th_offset")
	case 1:
		h.InnerNHOffset = edge.Draw(t, "inner_nh_offset")
	case 2:
		h.CsumStart = edge.Draw(t, "csum_start")
	case 3:
		h.GSOType = rapid.Byte().Draw(t, "gso_type")
	case 4:
		h.GSOSize = edge.Draw(t, "gso_size")
	case 5:
		h.Flags = rapid.Byte().Draw(t, "flags")
	case 6: // nothing: the kernel hands out what was not negotiated
	}
}

// Change changes the kernel.
func (m *machine) Change(t *rapid.T) {
	x := m.queues[index(t, len(m.queues), "queue")]
	switch rapid.IntRange(0, 11).Draw(t, "change") {
	case 0, 1, 2:
		x.d.makeRoom(rapid.SampledFrom([]int{0, 1, 5, 1 << 30}).Draw(t, "room"))
	case 3, 4:
		m.now = m.now.Add(time.Second)
	case 5:
		x.d.wake()
	case 6:
		m.link.down = !m.link.down
	case 7:
		of, most := rapid.SampledFrom([]Protocols{0, UDP, TCPv4, TCPv6, allProtocols}).Draw(t, "refused"), rapid.SampledFrom([]int{1, 64}).Draw(t, "most")
		m.link.refuses = func(h model.VnetHdr, n int) bool { return protocolOf(offload.GSOType(h.GSOType))&of != 0 && n > most }
	case 8:
		m.move(m.link, rapid.SampledFrom([]string{"tun0", "tun1", "vpn"}).Draw(t, "name"), m.link.ns)
		m.stranger(t)
	case 9:
		m.move(m.link, m.link.name, m.link.ns^1)
		m.stranger(t)
	case 10:
		m.link.dead = !m.link.dead
		x.d.wake()
	case 11:
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			m.delete(m.link)
		}
	}
}

// stranger gives the device's first name to another interface, if it is free.
func (m *machine) stranger(t *rapid.T) {
	if rapid.Bool().Draw(t, "stranger") && m.find("tun0", m.ns) == nil {
		l := m.add("tun0", unix.IFF_TUN)
		l.multi, l.persist = true, true
	}
}

// Check is called after each action: only calls that wait may last.
func (m *machine) Check(t *rapid.T) {
	if len(m.threads) == 0 {
		m.check()
	}
}

// TestDevice is the property of the device: for any sequence of calls, events and faults,
// each packet is in one counter, what is delivered is in order, and every call ends.
func TestDevice(t *testing.T) {
	t.Parallel()
	ops, faults, calls := map[string]int{}, map[fault]int{}, 0
	tunnelled, cut := uint64(0), 0
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.choose = func(n int) int { return index(t, n, "choice") }
		s.fine = rapid.Bool().Draw(t, "fine")
		defer s.stopAll()
		cfg := Config{MultiQueue: true, Queues: rapid.IntRange(1, 2).Draw(t, "queues"), Backpressure: rapid.Bool().Draw(t, "backpressure")}
		cfg.MTU = rapid.SampledFrom([]int{0, 68, 1420, 1500, 65535}).Draw(t, "MTU")
		cfg.TxQueueLen = rapid.SampledFrom([]int{0, 1, 16, 500}).Draw(t, "queue length")
		cfg.NoTunnels = rapid.IntRange(0, 3).Draw(t, "no tunnels") == 3
		s.noOffload = rapid.SampledFrom([]int{0, 0, 0, 0x80, 0x100, 0x180}).Draw(t, "no offload")
		s.noHdrLen = rapid.SampledFrom([]int{0, 0, 0, 24}).Draw(t, "no header")
		s.noFeature = uint32(rapid.SampledFrom([]int{0, iffBackpressure}).Draw(t, "no feature"))
		cfg.Coalesce.MaxUDPSegments = rapid.SampledFrom([]int{0, 128}).Draw(t, "most datagrams")
		cfg.Record.Packets = rapid.SampledFrom([]int{0, 3}).Draw(t, "record")
		m := &machine{newWorld(s, cfg, rapid.Bool().Draw(t, "observe")), rapid.SampledFrom([]int{1000, 10, 3, 30}).Draw(t, "faults")}
		t.Repeat(rapid.StateMachineActions(m))
		m.finish()
		calls += s.calls
		tunnelled, cut = tunnelled+m.dev.Stats().Read.Tunnelled, cut+m.cutInTunnels
		for k, n := range m.ops {
			ops[k] += n
		}
		for k, n := range s.faults {
			faults[k] += n
		}
	})
	var list []string
	all, failed := 0, 0
	for k, n := range faults {
		list = append(list, fmt.Sprintf("%s: %v: %d", k.call, k.err, n))
		failed += n
	}
	for _, n := range ops {
		all += n
	}
	slices.Sort(list)
	t.Logf("%d superpackets in tunnels, %d of them cut; %d calls of the device %v, %d system calls, %d faults:\n%s", tunnelled, cut, all, ops, calls, failed, strings.Join(list, "\n"))
}
