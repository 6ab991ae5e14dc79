// SPDX-License-Identifier: MIT

package tun

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"tunproof/corpus/pkts"
	"tunproof/offload"
)

// Record configures the flight recorder. It has two rings: the last packets that were
// read, as the kernel handed them out, and the last that were written, before they
// were joined. They are saved in the format of the corpus, which "tunproof replay"
// reads.
//
// Without Payload, the bytes after the TCP or UDP header, or after 8 bytes of another
// protocol's header, are recorded as zeros, except the first two: these hold the
// one's-complement sum of all the bytes that were replaced. So the checksum field is
// unchanged, and the data it covers has the same sum as before. A checksum that is
// right, partial, or wrong by some amount is so in the record too, and a packet joins
// in the record exactly if it did. The record shows only the length and the sum of
// the payload. (A payload of one byte is its own sum. Headers of more than 256 bytes
// are cut there.)
type Record struct {
	Packets int    // packets kept in each ring, at most 65,536; 0 for no recorder
	Payload bool   // record the payload too
	Dir     string // directory that exists, for a file when a superpacket is refused, at most 8 files a device; "" for none
}

const (
	maxKept  = 256 // bytes of headers
	maxFiles = 8

	maxRecord = 1 << 16 // two rings of these have 34 MB without payload
)

// recorder is the flight recorder of a device.
type recorder struct {
	Record
	mu    sync.Mutex
	in    ring
	out   ring
	batch uint64
	cfg   offload.Config // of the last batch
	files int
}

// ring holds the last packets. at is the index of the next one.
type ring struct {
	kept []kept
	at   int
	full bool // every element is in use
}

// kept is a packet: front, then zeros up to length.
type kept struct {
	batch  uint64
	hdr    offload.VnetHdr
	front  []byte
	length int
}

func newRecorder(r Record) *recorder {
	if r.Packets == 0 {
		return nil
	}
	rec := &recorder{Record: r}
	for _, ring := range []*ring{&rec.in, &rec.out} {
		ring.kept = make([]kept, r.Packets)
		fronts := make([]byte, r.Packets*(maxKept+2))
		for i := range ring.kept {
			at := i * (maxKept + 2)
			ring.kept[i].front = fronts[at : at : at+maxKept+2]
		}
	}
	return rec
}

// read records a packet that was read.
func (r *recorder) read(h offload.VnetHdr, packet []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(&r.in, h, packet)
}

// wrote records a batch, which is joined with cfg.
func (r *recorder) wrote(batch [][]byte, cfg offload.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch++
	r.cfg = cfg
	for _, packet := range batch[max(0, len(batch)-r.Packets):] {
		r.keep(&r.out, offload.VnetHdr{}, packet)
	}
}

func (r *recorder) keep(to *ring, h offload.VnetHdr, packet []byte) {
	k := &to.kept[to.at]
	if to.at++; to.at == len(to.kept) {
		to.at, to.full = 0, true
	}
	k.batch, k.hdr, k.length = r.batch, h, len(packet)
	if r.Payload {
		k.front = append(k.front[:0], packet...)
		return
	}
	n, end := headersOf(h, packet)
	k.front = append(k.front[:0], packet[:n]...)
	switch covered := packet[n:end]; len(covered) {
	case 0:
	case 1:
		k.front = append(k.front, covered[0])
	default:
		sum := offload.Sum(covered, 0)
		k.front = append(k.front, byte(sum>>8), byte(sum))
	}
}

// headersOf returns the length of a packet's headers, and the end of the data that
// its L4 checksum covers. Both are at an even distance from the start of that data.
func headersOf(h offload.VnetHdr, b []byte) (n, end int) {
	l4, proto, end := behindIP(b)
	if h.GSOType != offload.GSONone {
		end = len(b) // a superpacket's length fields are not read
	}
	partial := h.Flags&offload.NeedsCsum != 0 && int(h.CsumStart) < maxKept
	if partial && int(h.CsumStart) > l4 {
		l4 = int(h.CsumStart) // the checksum of an encapsulated packet
	}
	if h.GSOType&tunnelTypes != 0 && protocolOf(h.GSOType&^tunnelTypes)&(TCPv4|TCPv6) != 0 {
		proto = 6 // in the tunnel, where csum_start is
	}
	n = l4 + 8
	switch rest := b[min(l4, len(b)):]; {
	case proto == 6 && len(rest) >= 20:
		n = l4 + max(20, int(rest[12]>>4)*4)
	case proto == 17 && len(rest) >= 8 && h.GSOType == offload.GSONone:
		if udp := int(rest[4])<<8 | int(rest[5]); udp >= 8 {
			end = min(end, l4+udp)
		}
	}
	if partial {
		n = max(n, l4+(int(h.CsumOffset)+3)&^1) // the field itself is kept
	}
	n = min(n, maxKept-l4&1, len(b))
	return n, max(n, end)
}

// behindIP returns the offset of the header after the IP headers, its protocol (-1 in
// a fragment), and the end of the packet by its length field.
func behindIP(b []byte) (l4, proto, end int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		l4, proto, end = int(b[0]&15)*4, int(b[9]), int(b[2])<<8|int(b[3])
		if b[6]&0x3F|b[7] != 0 {
			proto = -1
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		l4, proto, end = 40, int(b[6]), 40+(int(b[4])<<8|int(b[5]))
		for (proto == 0 || proto == 43 || proto == 60) && l4+8 <= len(b) { // hop-by-hop, routing, destination options
			proto, l4 = int(b[l4]), l4+8+8*int(b[l4+1])
		}
	default:
		return 0, -1, len(b)
	}
	if end < l4 || end > len(b) {
		end = len(b)
	}
	return min(l4, len(b)), proto, end
}

// packets calls f with the packets of a ring, the oldest first.
func (r *ring) packets(f func(k *kept, data []byte)) {
	list := r.kept[:r.at]
	if r.full {
		list = append(append([]kept(nil), r.kept[r.at:]...), list...)
	}
	for i := range list {
		k := &list[i]
		f(k, append(make([]byte, 0, k.length), k.front...)[:k.length])
	}
}

var errNoRecord = errors.New("tun: nothing is recorded: Config.Record.Packets is 0")

// dump writes a ring as a case: op coalesce for written packets, op segment for read
// ones.
func (r *recorder) dump(w io.Writer, op, why, name string) error {
	if r == nil {
		return errNoRecord
	}
	why = strings.Join(strings.Fields(why), " ")
	if why == "" {
		why = "recorded on request"
	}
	c := &pkts.Case{Op: op, Why: why, Source: "the recorder of TUN " + name, Batches: make([]pkts.Batch, 1)}
	if !r.Payload {
		c.Source += ", payloads left out"
	}
	r.mu.Lock()
	from := &r.in
	if op == pkts.OpCoalesce {
		from, c.Config = &r.out, caseConfig(r.cfg)
	}
	var last uint64
	from.packets(func(k *kept, data []byte) {
		if op == pkts.OpCoalesce && k.batch != last && last != 0 {
			c.Batches = append(c.Batches, pkts.Batch{})
		}
		last = k.batch
		b := &c.Batches[len(c.Batches)-1]
		b.In = append(b.In, pkts.In{Data: data, Vnet: caseHdr(k.hdr)})
	})
	r.mu.Unlock()
	_, err := w.Write(pkts.Format(c))
	return err
}

// refused saves the written packets in a file, if a superpacket was refused.
func (r *recorder) refused(why *Refusal) error {
	if r.Dir == "" || why.Hdr.GSOType == offload.GSONone {
		return nil
	}
	r.mu.Lock()
	r.files++
	n := r.files
	r.mu.Unlock()
	if n > maxFiles {
		return nil
	}
	f, err := os.CreateTemp(r.Dir, "refused-"+strings.Map(plain, why.Device)+"-*.pkts")
	if err != nil {
		return err
	}
	return errors.Join(r.dump(f, pkts.OpCoalesce, why.String(), why.Device), f.Close())
}

// plain removes from a name what os.CreateTemp would take for a path or a pattern.
func plain(c rune) rune {
	if c == '/' || c == '\\' || c == '*' {
		return '_'
	}
	return c
}

func caseHdr(h offload.VnetHdr) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: uint8(h.Flags), GSOType: uint8(h.GSOType), HdrLen: h.HdrLen,
		GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset,
		OuterTHOffset: h.OuterTHOffset, InnerNHOffset: h.InnerNHOffset}
}

func caseConfig(c offload.Config) pkts.Config {
	return pkts.Config{Reorder: c.Order == offload.Reorder, AtomicIDs: c.AtomicIDs, AbsentChecksums: c.AbsentChecksums,
		MaxSegments: c.MaxSegments, MaxUDPSegments: c.MaxUDPSegments, MaxOpen: c.MaxOpen, MaxPerFlow: c.MaxPerFlow,
		DisableTCPv4: c.DisableTCPv4, DisableTCPv6: c.DisableTCPv6, DisableUDP: c.DisableUDP}
}
