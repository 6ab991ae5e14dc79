// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/packet"
	"tunproof/model"
	"tunproof/tunlive"
)

// maxBatch is the number of packets that are sent at once. They fit in any TUN's queue.
const maxBatch = 62

// lostAfter is the silence after which missing packets count as lost.
const lostAfter = 200 * time.Millisecond

// patience is how long to wait for the end of a program that must end.
const patience = time.Minute

// box is a program with a TUN on either side. It is started if it does not run, and again
// after it ended.
type box struct {
	argv     []string
	from, to string
	start    time.Duration // how long to wait for the program's links
	quiet    time.Duration // silence after which missing packets count as lost
	atomic   bool          // do not compare the IDs of packets with DF
	out      io.Writer     // output of the program
	ctx      context.Context
	stop     func() // ends the exploration, if the program cannot be started again

	program *exec.Cmd
	ended   chan error
	between *tunlive.Between
	markers uint64 // number of markers that were sent
	failed  error  // why it was not started again
}

// impl returns the box as an implementation. The program's near end cuts, and its far end
// joins. All packets pass both, so each is judged together with the other. With all it is
// given every packet that a socket can send, otherwise only well-formed ones.
func (b *box) impl(all bool) conform.Impl {
	i := conform.Impl{
		Name: b.argv[0], MaxBatch: maxBatch, MaxPacket: mtu(b.from), AtomicIDs: b.atomic,
		NewCoalescer: func() conform.Coalesce {
			return func(batch [][]byte) (frames [][]byte, err error) {
				var packets []tunlive.Packet
				for _, p := range batch {
					packets = append(packets, tunlive.Packet{Data: p})
				}
				got, err := b.pass(packets, len(batch))
				for _, p := range got {
					frames = append(frames, conform.Frame(pkts.VnetHdr(p.Hdr), p.Data))
				}
				return frames, err
			}
		},
		NewSegmenter: func() conform.Segment {
			return func(frame []byte) (segments [][]byte, err error) {
				h, packet := conform.Split(frame)
				want, err := model.Segment(model.VnetHdr(h), packet)
				if err != nil {
					return nil, err
				}
				got, err := b.pass([]tunlive.Packet{{Hdr: tunlive.VnetHdr(h), Data: packet}}, len(want))
				for _, p := range got {
					segments = append(segments, cut(p)...)
				}
				return segments, err
			}
		},
	}
	i.Takes = packet.WellFormed // a VPN may drop or trim others
	if all {
		i.Takes = func(p []byte) bool { return len(p) > 0 && (p[0]>>4 == 4 || p[0]>>4 == 6) } // a socket cannot send others
	}
	return i
}

// cut returns the packets that a superpacket stands for. If p is not a superpacket, it
// returns p's data.
func cut(p tunlive.Packet) [][]byte {
	if segments, err := model.Segment(model.VnetHdr(p.Hdr), p.Data); err == nil {
		return segments
	}
	return [][]byte{p.Data}
}

// pass sends packets through the program, followed by a marker, and waits until n packets
// and the marker come out. If the program ended, pass panics, so that the call counts as
// one that panicked.
func (b *box) pass(packets []tunlive.Packet, n int) ([]tunlive.Packet, error) {
	if b.program == nil {
		if b.failed == nil {
			b.failed = b.run()
		}
		if b.failed != nil {
			b.stop()
			return nil, b.failed
		}
	}
	marker := b.marker()
	got, err := b.between.Pass(append(packets, tunlive.Packet{Data: marker}), func(got []tunlive.Packet) bool {
		k, seen := 0, false
		for _, p := range got {
			seen = seen || bytes.Equal(p.Data, marker)
			k += len(cut(p))
		}
		return seen && k > n
	}, b.quiet)
	wait := time.Duration(0)
	if err != nil {
		wait = patience // the links are gone: the program ended, or is about to
	}
	select {
	case ended := <-b.ended:
		b.ended <- ended
		_ = b.close()
		panic(fmt.Sprint("the program ended: ", ended))
	case <-time.After(wait):
		return slices.DeleteFunc(got, func(p tunlive.Packet) bool { return isMarker(p.Data) }), err
	}
}

// markerProtocol is the protocol of markers. It is one for experiments (RFC 3692), which no
// offload joins.
const markerProtocol = 253

// marker returns a packet that was not sent before.
func (b *box) marker() []byte {
	b.markers++
	m := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, markerProtocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	sum := ^model.Sum(nil, m)
	m[10], m[11] = byte(sum>>8), byte(sum)
	return binary.BigEndian.AppendUint64(m, b.markers)
}

// isMarker reports whether a packet is a marker. No generated packet has their protocol
// and length.
func isMarker(p []byte) bool { return len(p) == 28 && p[0] == 0x45 && p[9] == markerProtocol }

// run starts the program and waits for its links.
func (b *box) run() error {
	c := process.Command(b.ctx, b.argv[0], b.argv[1:]...)
	c.Env = append(os.Environ(), "TUN_FROM="+b.from, "TUN_TO="+b.to)
	c.Stdout, c.Stderr = b.out, b.out
	if err := c.Start(); err != nil {
		return err
	}
	b.program, b.ended = c, make(chan error, 1)
	go func() {
		err := c.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		b.ended <- err
	}()
	for until := time.Now().Add(b.start); ; {
		_, from := net.InterfaceByName(b.from)
		_, to := net.InterfaceByName(b.to)
		if from == nil && to == nil {
			break
		}
		select {
		case err := <-b.ended:
			b.ended <- err
			return errors.Join(fmt.Errorf("%s ended before it opened the links %s and %s: %w", b.argv[0], b.from, b.to, err), b.close())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(until) {
			return errors.Join(fmt.Errorf("%s did not open the links %s and %s in %v; their names are in TUN_FROM and TUN_TO", b.argv[0], b.from, b.to, b.start), b.close())
		}
	}
	var err error
	if b.between, err = tunlive.NewBetween(b.from, b.to); err != nil {
		return errors.Join(err, b.close())
	}
	return b.ready()
}

// ready waits until the program carries packets and none is on its way.
func (b *box) ready() error {
	for until := time.Now().Add(b.start); time.Now().Before(until); {
		got, err := b.between.Pass([]tunlive.Packet{{Data: b.marker()}}, func(got []tunlive.Packet) bool { return false }, b.quiet)
		if err != nil {
			return errors.Join(err, b.close())
		}
		if slices.ContainsFunc(got, func(p tunlive.Packet) bool { return isMarker(p.Data) }) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("%s carried nothing from %s to %s in %v", b.argv[0], b.from, b.to, b.start), b.close())
}

// close ends the program.
func (b *box) close() error {
	var err error
	if b.between != nil {
		err = b.between.Close()
	}
	if b.program != nil {
		_ = process.Kill(b.program) // it may have ended
		select {
		case <-b.ended:
		case <-time.After(patience):
			err = errors.Join(err, fmt.Errorf("%s does not end", b.argv[0]))
		}
	}
	b.program, b.between = nil, nil
	return err
}

// mtu returns the MTU of a link, or 0 if there is no such link.
func mtu(name string) int {
	if i, err := net.InterfaceByName(name); err == nil {
		return i.MTU
	}
	return 0
}
