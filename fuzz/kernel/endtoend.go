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

// bridge is offload between two TUNs.
type bridge struct {
	seg      offload.Segmenter
	co       *offload.Coalescer
	complete bool // write complete checksums and flags 0, which the kernel verifies
	frame    []byte
	buf      []byte
}

func newBridge(complete, uso bool) func() tunlive.Offload {
	return func() tunlive.Offload {
		co, err := offload.NewCoalescer(offload.Config{DisableUDP: !uso})
		if err != nil {
			panic(err) // it is valid
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
		// TCP as one long packet, UDP as its datagrams: the checksum of each is
		// completed here, and verified by the receiver.
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

// Path is one kind of traffic end to end.
type Path struct {
	Name            string
	V6, GSO         bool
	Complete        bool
	Impaired        bool
	Bytes, Datagram int // in the short run
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

// Share is the path with so many percent of its traffic.
func (p Path) Share(percent int) Path {
	p.Bytes, p.Datagram = p.Bytes*percent/100, p.Datagram*percent/100
	return p
}

// lossIdle is how long a sender waits before the first loss, where losses are made.
const lossIdle = 100 * time.Millisecond

// pathTime is far more than a path takes.
const pathTime = 3 * time.Minute

// EndToEnd is K5: sockets at both ends of our code get what was sent, and the
// kernels' stacks count no error. Without uso, the feature, UDP is not joined. It
// returns what was carried.
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
		return r, law.Violatedf("K5", "it stalls: %d bytes of TCP and %d datagrams in %v", r.Bytes, r.Received, pathTime)
	case errors.As(err, &traffic):
		return r, law.Violatedf("K5", "%v", err)
	case err != nil:
		return r, err
	}
	switch {
	case len(r.Counters) > 0:
		return r, law.Violatedf("K5", "error counters moved: %s", strings.Join(r.Counters, ", "))
	case r.Bytes != int64(2*p.Bytes):
		return r, law.Violatedf("K5", "%d bytes of TCP arrived, not %d", r.Bytes, 2*p.Bytes)
	case !p.Impaired && (r.Received != r.Sent || r.Distinct != r.Sent):
		return r, law.Violatedf("K5", "%d datagrams arrived of %d, and none was lost on the way", r.Received, r.Sent)
	case p.Datagram > 0 && r.Received < r.Sent/2:
		return r, law.Violatedf("K5", "%d datagrams arrived of %d", r.Received, r.Sent)
	}
	return r, nil
}
