// SPDX-License-Identifier: MIT

package tunlive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pump carries packets in one direction: it reads superpackets and cuts them; drops,
// duplicates and swaps packets; joins the rest and writes it.
type pump struct {
	from, to   *tun
	offload    Offload
	report     *Report
	impairment Impairment
	rand       *rand.Rand
	arena      []byte
	batch      [][]byte
}

// maxPumped is the most packets joined at once.
const maxPumped = 128

func (p *pump) run(ctx context.Context) error {
	buf := make([]byte, maxRead)
	for ctx.Err() == nil {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.from.fd), Events: unix.POLLIN}}, 20)
		if err != nil && err != unix.EINTR {
			return err
		}
		for err = nil; err == nil; {
			p.arena, p.batch = p.arena[:0], p.batch[:0]
			for err == nil && len(p.batch) < maxPumped {
				err = p.take(buf)
			}
			if err != nil && err != unix.EAGAIN && err != unix.EINTR {
				return err
			}
			if err := p.give(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take reads one superpacket and adds its packets to the batch.
func (p *pump) take(buf []byte) error {
	in, err := p.from.read(buf)
	if err != nil {
		return err
	}
	atomic.AddInt64(&p.report.Superpackets, 1)
	err = p.offload.Segment(in.Hdr, in.Data, func(packet []byte) {
		atomic.AddInt64(&p.report.Packets, 1)
		if len(p.arena)+len(packet) > cap(p.arena) {
			p.arena = make([]byte, 0, 1<<20+len(packet)) // packets of the batch stay in the old one
		}
		at := len(p.arena)
		p.arena = append(p.arena, packet...)
		p.batch = append(p.batch, p.arena[at:len(p.arena):len(p.arena)])
	})
	if err != nil {
		return fmt.Errorf("%+v, %d bytes: %w", in.Hdr, len(in.Data), err)
	}
	return nil
}

// give impairs and writes the batch.
func (p *pump) give() error {
	out := p.batch[:0:0]
	im := p.impairment
	happens := func(chance int) bool { return chance > 0 && p.rand.IntN(chance) == 0 }
	for _, b := range p.batch {
		if happens(im.Lose) {
			atomic.AddInt64(&p.report.Lost, 1)
			continue
		}
		out = append(out, b)
		if happens(im.Double) {
			atomic.AddInt64(&p.report.Doubled, 1)
			out = append(out, b)
		}
		if n := len(out); n > 1 && happens(im.Swap) {
			atomic.AddInt64(&p.report.Swapped, 1)
			k := max(0, n-2-p.rand.IntN(4))
			out[n-1], out[k] = out[k], out[n-1]
		}
	}
	return p.offload.Coalesce(out, func(h VnetHdr, packet []byte) error {
		atomic.AddInt64(&p.report.Written, 1)
		return p.to.write(h, packet)
	})
}
