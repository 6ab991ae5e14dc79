// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// contractCoalesce is P1 for batches: Coalesce, Buffers, AppendTo and Packets neither
// panic nor write to the packets of the batch. AppendTo writes only the bytes that it
// appends.
func contractCoalesce(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		arena, borrowed := layOut(batch, false)
		before, slicesBefore := bytes.Clone(arena), slices.Clone(borrowed)
		supers := co.Coalesce(borrowed)
		var reasons []string
		for i := range borrowed {
			reasons = append(reasons, co.Reason(i).String())
		}
		t.batch(len(batch), len(supers), reasons)
		for i, p := range supers {
			p.Packets()
			p.VnetHdr()
			p.Buffers(nil)
			if err := appends(i, p); err != nil {
				return err
			}
		}
		if !bytes.Equal(before, arena) || !slices.EqualFunc(slicesBefore, borrowed, sameSlice) {
			return Violatedf("P1", "Coalesce wrote to the batch of %d packets", len(batch))
		}
	}
	return nil
}

// appends checks that AppendTo changes no byte before or after those that it appends.
func appends(i int, p Superpacket) error {
	const head = 5
	n := p.Len() + offload.VnetHdrLen
	memory := bytes.Repeat([]byte{0xA5}, head+n+guardLen)
	got := p.AppendTo(memory[:head])
	rest := slices.Concat(memory[:head], memory[head+n:])
	if len(got) != head+n || bytes.Count(rest, []byte{0xA5}) != len(rest) {
		return Violatedf("P1", "superpacket %d: AppendTo appends %d bytes, want %d, or writes elsewhere", i, len(got)-head, n)
	}
	return nil
}

// layOut copies a batch into one arena, packet after packet. If touch is false there is
// a red zone after each packet. The capacity of each packet is the rest of the arena.
func layOut(batch [][]byte, touch bool) (arena []byte, laid [][]byte) {
	zone := bytes.Repeat([]byte{0xA5}, guardLen)
	var ends []int
	for _, b := range batch {
		arena = append(arena, b...)
		ends = append(ends, len(arena))
		if !touch {
			arena = append(arena, zone...)
		}
	}
	arena = append(arena, zone...)
	for i, b := range batch {
		laid = append(laid, arena[ends[i]-len(b):ends[i]])
	}
	return arena, laid
}

// memoryCoalesce is P7 for batches: the results are the same with spare capacity, with
// packets that share memory, and from a Coalescer that was used before.
func memoryCoalesce(u Subject, s *scenario.Scenario, t *Tally) error {
	used := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		want, reasons := Coalesce(u.NewCoalescer(s.Config), clipped(batch))
		t.batch(len(batch), len(want), reasons)
		_, shared := layOut(batch, true)
		for i, b := range batch {
			if j := slices.IndexFunc(batch[:i], func(c []byte) bool { return bytes.Equal(b, c) }); j >= 0 {
				shared[i] = shared[j] // equal packets become one slice
			}
		}
		backwards := slices.Clone(batch)
		slices.Reverse(backwards)
		Coalesce(used, backwards)
		got, gotReasons := Coalesce(used, shared)
		if !slices.Equal(reasons, gotReasons) {
			return Violatedf("P7", "Reasons %v with shared memory, want %v", gotReasons, reasons)
		}
		if err := equalSupers("P7", want, got); err != nil {
			return err
		}
		if err := buffers(u, used, shared, want); err != nil {
			return err
		}
	}
	return nil
}

// clipped returns copies of the packets without spare capacity.
func clipped(batch [][]byte) [][]byte {
	var list [][]byte
	for _, b := range batch {
		list = append(list, slices.Clip(bytes.Clone(b)))
	}
	return list
}

// buffers checks that Buffers and AppendTo keep what was in the slice and add the same
// bytes: the VnetHdr, then the superpacket. Another Coalescer works in between.
func buffers(u Subject, co Coalescer, batch [][]byte, want []Super) error {
	head := []byte("head")
	supers := co.Coalesce(batch)
	iovs := make([][][]byte, len(supers))
	for i := range supers {
		iovs[i] = supers[i].Buffers([][]byte{head})
	}
	// A Coalescer that shares state with others would destroy its results here.
	if len(batch) > 1 {
		Coalesce(u.NewCoalescer(pkts.Config{}), batch[1:])
	}
	for i, p := range supers {
		appended := p.AppendTo(append(make([]byte, 0, 4096), head...))
		iov := iovs[i]
		if joined := bytes.Join(iov, nil); !bytes.Equal(appended, joined) {
			return Violatedf("P7", "superpacket %d: Buffers gives %d bytes, AppendTo %d other ones", i, len(joined), len(appended))
		}
		if len(iov) != 2+len(p.Packets()) {
			return Violatedf("P7", "superpacket %d of %d packets has %d buffers", i, len(p.Packets()), len(iov)-1)
		}
		wire := appended[len(head):]
		h, err := offload.ParseVnetHdr(wire)
		if err != nil || h != p.VnetHdr() || p.Len() != len(wire)-offload.VnetHdrLen || !bytes.Equal(wire[offload.VnetHdrLen:], want[i].Data) {
			return Violatedf("P7", "superpacket %d as written differs from VnetHdr, Len or the bytes that a new Coalescer gives", i)
		}
	}
	return nil
}

// sameSlice reports whether two slices have the same memory, length and capacity.
func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && cap(a) == cap(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// raw is P1 for any bytes. It takes them as a VnetHdr and a packet to segment, and cuts
// them into packets to coalesce.
func raw(u Subject, b []byte) error {
	if h, err := offload.ParseVnetHdr(b); (err != nil) != (len(b) < offload.VnetHdrLen) {
		return Violatedf("P1", "ParseVnetHdr of %d bytes: %v", len(b), err)
	} else if err == nil && !bytes.Equal(h.AppendTo(nil), b[:offload.VnetHdrLen]) {
		return Violatedf("P1", "VnetHdr %v: AppendTo writes other bytes than ParseVnetHdr read", h)
	}
	if len(b) < 12 {
		return nil
	}
	var s scenario.Scenario
	h := decodeLE(b)
	s.Supers = []scenario.Super{{Hdr: h, Data: b[10:]}}
	size := 1 + int(binary.LittleEndian.Uint16(b))%200
	var batch [][]byte
	for rest := b[2:]; len(rest) > 0 && len(batch) < 64; {
		n := min(size, len(rest))
		batch = append(batch, rest[:n])
		rest = rest[n:]
	}
	s.Batches = [][][]byte{batch}
	return both(contractSegment, contractCoalesce)(u, &s, nil)
}

// sums are the functions that P8 judges.
type sums struct {
	sum, checksum func(b []byte, seed uint16) uint16
	pseudo        func(proto uint8, src, dst []byte, l4Len int) uint16
}

// produced are offload's.
var produced = sums{offload.Sum, offload.Checksum, offload.PseudoHeaderSum}

// check is P8 for one string of bytes, at one alignment and with one seed: the sums are the
// model's, and a sum continues from the sum of an even number of bytes.
func (s sums) check(data []byte, align int, seed uint16) error {
	memory := append(make([]byte, align, align+len(data)), data...)
	b := memory[align:]
	want := uint16(model.Sum([]byte{byte(seed >> 8), byte(seed)}, b))
	for _, sum := range []struct {
		name string
		f    func([]byte, uint16) uint16
	}{{"Sum", s.sum}, {"Checksum", func(b []byte, seed uint16) uint16 { return ^s.checksum(b, seed) }}} {
		if got := sum.f(b, seed); got != want {
			return Violatedf("P8", "%s of %d bytes at alignment %d with seed %#x: %#04x, want %#04x", sum.name, len(b), align, seed, got, want)
		}
	}
	cut := len(b) / 2 &^ 1
	if got := s.sum(b[cut:], s.sum(b[:cut], seed)); got != want {
		return Violatedf("P8", "the sum of %d bytes, continued over %d, is %#04x, want %#04x", cut, len(b)-cut, got, want)
	}
	if len(b) < 36 {
		return nil
	}
	for _, n := range []int{4, 16} {
		src, dst, proto, l4Len := b[:n], b[n:2*n], b[32], int(binary.BigEndian.Uint16(b[33:]))<<int(b[35]&7)
		want := model.Sum(src, dst, []byte{0, proto, 0, 0, byte(l4Len >> 24), byte(l4Len >> 16), byte(l4Len >> 8), byte(l4Len)})
		if got := s.pseudo(proto, src, dst, l4Len); int(got) != want {
			return Violatedf("P8", "PseudoHeaderSum for %d bytes of TCP or UDP: %#04x, want %#04x", l4Len, got, want)
		}
	}
	return nil
}
