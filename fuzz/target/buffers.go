package target

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

// totalCoalesce is P1 and P7 for batches: what is borrowed is not written, and
// neither spare capacity nor shared memory nor what the Coalescer did before
// change a result.
func totalCoalesce(property string, s *scenario.Scenario, t *Tally) error {
	used := Coalescer(s.Config)
	for _, batch := range s.Batches {
		want, reasons := Coalesce(Coalescer(s.Config), batch)
		t.batch(len(batch), len(want), reasons)

		var arena []byte
		for _, b := range batch {
			arena = append(arena, b...)
		}
		arena = append(arena, bytes.Repeat([]byte{0xA5}, guardLen)...)
		before := bytes.Clone(arena)
		shared := make([][]byte, len(batch))
		at := 0
		for i, b := range batch {
			shared[i] = arena[at : at+len(b)] // its capacity is the rest of the arena
			at += len(b)
			for j := range i {
				if bytes.Equal(batch[j], b) {
					shared[i] = shared[j] // the very same memory
				}
			}
		}
		backwards := slices.Clone(batch)
		slices.Reverse(backwards)
		Coalesce(used, backwards)
		slicesBefore := slices.Clone(shared)
		got, gotReasons := Coalesce(used, shared)
		if !bytes.Equal(before, arena) || !slices.EqualFunc(slicesBefore, shared, sameSlice) {
			return Violated(property, "Coalesce wrote to the batch")
		}
		if !slices.Equal(reasons, gotReasons) {
			return Violated(property, "Reasons %v with shared memory, want %v", gotReasons, reasons)
		}
		if err := equalSupers(property, want, got); err != nil {
			return err
		}
		if err := buffers(property, used, shared, want); err != nil {
			return err
		}
	}
	return nil
}

// buffers checks that Buffers and AppendTo give the same bytes behind what was
// there, and VnetHdr at their front.
func buffers(property string, co *offload.Coalescer, batch [][]byte, want []Super) error {
	head := []byte("head")
	supers := co.Coalesce(batch)
	iovs := make([][][]byte, len(supers))
	for i := range supers {
		iovs[i] = supers[i].Buffers([][]byte{head})
	}
	// All of them are looked at only now, and after another Coalescer's work.
	if len(batch) > 1 {
		Coalesce(Coalescer(pkts.Config{}), batch[1:])
	}
	for i, p := range supers {
		appended := p.AppendTo(append(make([]byte, 0, 4096), head...))
		iov := iovs[i]
		if joined := bytes.Join(iov, nil); !bytes.Equal(appended, joined) {
			return Violated(property, "superpacket %d: Buffers has %d bytes, AppendTo others, %d", i, len(joined), len(appended))
		}
		if len(iov) != 2+len(p.Packets()) {
			return Violated(property, "superpacket %d of %d packets has %d buffers", i, len(p.Packets()), len(iov)-1)
		}
		wire := appended[len(head):]
		h, err := offload.ParseVnetHdr(wire)
		if err != nil || h != p.VnetHdr() || p.Len() != len(wire)-offload.VnetHdrLen || !bytes.Equal(wire[offload.VnetHdrLen:], want[i].Data) {
			return Violated(property, "superpacket %d as written is not what it says", i)
		}
	}
	return nil
}

// sameSlice says whether two slices are the same memory, length and capacity.
func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && cap(a) == cap(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// raw runs bytes that nobody made packets of: a VnetHdr and a packet, and the
// same bytes cut into a batch.
func raw(b []byte) error {
	if h, err := offload.ParseVnetHdr(b); (err != nil) != (len(b) < offload.VnetHdrLen) {
		return Violated("P1", "ParseVnetHdr of %d bytes: %v", len(b), err)
	} else if err == nil && !bytes.Equal(h.AppendTo(nil), b[:offload.VnetHdrLen]) {
		return Violated("P1", "VnetHdr %v is written otherwise than it was read", h)
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
	if err := totalSegment("P1", &s, nil); err != nil {
		return err
	}
	return totalCoalesce("P1", &s, nil)
}

// checksum is P8 for one string of bytes, at one alignment and with one seed:
// the sum of every implementation is the model's, and sums chain at even
// lengths.
func checksum(data []byte, align int, seed uint16) error {
	memory := append(make([]byte, align, align+len(data)), data...)
	b := memory[align:]
	want := uint16(model.Sum([]byte{byte(seed >> 8), byte(seed)}, b))
	for _, sum := range []struct {
		name string
		f    func([]byte, uint16) uint16
	}{{"Sum", offload.Sum}, {"Checksum", func(b []byte, s uint16) uint16 { return ^offload.Checksum(b, s) }}} {
		if got := sum.f(b, seed); got != want {
			return Violated("P8", "%s of %d bytes at alignment %d with seed %#x: %#04x, want %#04x", sum.name, len(b), align, seed, got, want)
		}
	}
	cut := len(b) / 2 &^ 1
	if got := offload.Sum(b[cut:], offload.Sum(b[:cut], seed)); got != want {
		return Violated("P8", "sums of %d and %d bytes chain to %#04x, want %#04x", cut, len(b)-cut, got, want)
	}
	if len(b) < 36 {
		return nil
	}
	for _, n := range []int{4, 16} {
		src, dst, proto, l4Len := b[:n], b[n:2*n], b[32], int(binary.BigEndian.Uint16(b[33:]))<<int(b[35]&7)
		want := model.Sum(src, dst, []byte{0, proto, 0, 0, byte(l4Len >> 24), byte(l4Len >> 16), byte(l4Len >> 8), byte(l4Len)})
		if got := offload.PseudoHeaderSum(proto, src, dst, l4Len); int(got) != want {
			return Violated("P8", "PseudoHeaderSum of %d bytes of L4: %#04x, want %#04x", l4Len, got, want)
		}
	}
	return nil
}
