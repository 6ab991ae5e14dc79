// SPDX-License-Identifier: MIT

package kernel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/offload"
	"tunproof/tunlive"
)

// bridge carries packets between two TUNs with package offload.
type bridge struct {
	seg      offload.Segmenter
	co       *offload.Coalescer
	complete bool // write complete checksums and flags 0, so that the kernel verifies them
	frame    []byte
	buf      []byte
}

// newBridge returns a constructor of bridges. Without uso they do not join UDP.
func newBridge(complete, uso bool) func() tunlive.Offload {
	return func() tunlive.Offload {
		co, err := offload.NewCoalescer(offload.Config{DisableUDP: !uso})
		if err != nil {
			panic(err) // this Config is valid
		}
		return &bridge{co: co, complete: complete}
	}
}

func (b *bridge) Segment(h tunlive.VnetHdr, packet []byte, emit func([]byte)) error {
	if err := b.seg.Reset(law.OffloadHdr(pkts.VnetHdr(h)), packet); err != nil {
		return err
	}
	for p := range b.seg.InPlace() {
		emit(p)
	}
	return nil
}

func (b *bridge) Coalesce(batch [][]byte, write func(tunlive.VnetHdr, []byte) error) error {
	for _, p := range b.co.Coalesce(batch) {
		h := p.VnetHdr()
		b.frame = p.AppendTo(b.frame[:0])
		packet := b.frame[offload.VnetHdrLen:]
		if !b.complete || h.GSOType == offload.GSONone {
			if err := write(tunlive.VnetHdr(law.PktsHdr(h)), packet); err != nil {
				return fmt.Errorf("write of %+v, %d bytes: %w", h, len(packet), err)
			}
			continue
		}
		// TCP is written as one long packet, UDP as datagrams. Their checksums are
		// completed here, and the receiver verifies them.
		if h.GSOType != offload.GSOUDPL4 {
			h.GSOType, h.GSOSize = offload.GSONone, 0
		}
		if err := b.seg.Reset(h, packet); err != nil {
			return err
		}
		for b.seg.Len() > 0 {
			b.buf = append(b.buf[:0], make([]byte, b.seg.NextLen())...)
			if _, err := b.seg.Next(b.buf); err != nil {
				return err
			}
			if err := write(tunlive.VnetHdr{}, b.buf); err != nil {
				return fmt.Errorf("write of %d bytes: %w", len(b.buf), err)
			}
		}
	}
	return nil
}

// Path is one kind of traffic between two hosts.
type Path struct {
	Name            string
	V6, GSO         bool // IPv6; superpackets
	Complete        bool // complete checksums, which the receiver verifies
	Impaired        bool // with loss, duplicates and reordering
	Bytes, Datagram int  // TCP bytes each way and number of datagrams, at 100 percent
}

// Paths are the variants of K5.
var Paths = []Path{
	{"tcp4 udp4", false, true, false, false, 64 << 20, 20_000},
	{"tcp6 udp6", true, true, false, false, 64 << 20, 20_000},
	{"plain datagrams, IPv4", false, false, false, false, 0, 20_000},
	{"plain datagrams, IPv6", true, false, false, false, 0, 20_000},
	{"complete checksums, IPv4", false, true, true, false, 32 << 20, 10_000},
	{"complete checksums, IPv6", true, true, true, false, 32 << 20, 10_000},
	{"loss, duplicates, reordering, IPv4", false, true, false, true, 4 << 20, 10_000},
	{"loss, duplicates, reordering, IPv6", true, true, false, true, 4 << 20, 10_000},
	{"the same with complete checksums", false, true, true, true, 4 << 20, 5_000},
}

// Share returns the path with a percentage of its traffic.
func (p Path) Share(percent int) Path {
	p.Bytes, p.Datagram = p.Bytes*percent/100, p.Datagram*percent/100
	return p
}

// lossIdle is how long a sender on an impaired link waits before it takes a datagram for
// lost.
const lossIdle = 100 * time.Millisecond

// pathTime limits the time of a path. It is far more than a path needs.
const pathTime = 3 * time.Minute

// EndToEnd checks K5: sockets in two namespaces, with offload between them, receive what
// was sent, and the network stacks count no error. Without the feature uso, UDP is not
// joined. It returns a report of the traffic.
func EndToEnd(ctx context.Context, p Path, seed uint64, uso bool) (*tunlive.Report, error) {
	e := tunlive.EndToEnd{V6: p.V6, GSO: p.GSO, Bytes: p.Bytes, Datagrams: p.Datagram, Offload: newBridge(p.Complete, uso)}
	if p.Impaired {
		e.Impairment = tunlive.Impairment{Seed: seed, Lose: 200, Double: 150, Swap: 150}
		e.Idle = lossIdle
	}
	limited, cancel := context.WithTimeout(ctx, pathTime)
	defer cancel()
	r, err := e.Run(limited)
	var traffic *tunlive.TrafficError
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case limited.Err() != nil:
		return r, law.Violatedf("K5", "the traffic stalls: %d bytes of TCP and %d datagrams in %v", r.Bytes, r.Received, pathTime)
	case errors.As(err, &traffic):
		return r, law.Violatedf("K5", "%v", err)
	case err != nil:
		return r, err
	}
	return r, p.judge(r)
}

// judge checks what arrived, and that no error was counted.
func (p Path) judge(r *tunlive.Report) error {
	switch {
	case len(r.Counters) > 0:
		return law.Violatedf("K5", "error counters increased: %s", strings.Join(r.Counters, ", "))
	case r.Bytes != int64(2*p.Bytes):
		return law.Violatedf("K5", "%d bytes of TCP arrived, not %d", r.Bytes, 2*p.Bytes)
	case !p.Impaired && (r.Received != r.Sent || r.Distinct != r.Sent):
		return law.Violatedf("K5", "%d of %d datagrams arrived, %d of them different, although none was dropped on purpose", r.Received, r.Sent, r.Distinct)
	case p.Datagram > 0 && r.Received < r.Sent/2:
		return law.Violatedf("K5", "%d of %d datagrams arrived", r.Received, r.Sent)
	}
	return nil
}
