// SPDX-License-Identifier: MIT

package conform

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/packet"
	"tunproof/model"
	"tunproof/offload"
)

// ours returns package offload as an implementation.
func ours(order offload.Order) Impl {
	return Impl{
		Name: "offload",
		NewCoalescer: func() Coalesce {
			co, err := offload.NewCoalescer(offload.Config{Order: order})
			if err != nil {
				panic(err)
			}
			return func(batch [][]byte) (frames [][]byte, err error) {
				supers := co.Coalesce(batch)
				for i := range supers {
					frames = append(frames, supers[i].AppendTo(nil))
				}
				return frames, nil
			}
		},
		NewSegmenter: func() Segment {
			var s offload.Segmenter
			return func(frame []byte) (segments [][]byte, err error) {
				h, err := offload.ParseVnetHdr(frame)
				if err != nil {
					return nil, err
				}
				if err := s.Reset(h, frame[offload.VnetHdrLen:]); err != nil {
					return nil, err
				}
				for seg := range s.InPlace() {
					segments = append(segments, bytes.Clone(seg))
				}
				return segments, nil
			}
		},
		Sum: offload.Sum,
	}
}

// TestOffload checks that package offload conforms.
func TestOffload(t *testing.T) {
	checks := 2000
	if testing.Short() {
		checks = 500
	}
	Run(t, ours(offload.InOrder), Options{Corpus: true, Seed: 20261121, Checks: checks})
}

// FuzzOffload checks that package offload conforms on the corpus. With -fuzz, Go's engine
// makes further inputs of it.
func FuzzOffload(f *testing.F) {
	impl := ours(offload.InOrder)
	if os.Getenv(envChild) != "" {
		impl = forgetful()
	}
	Fuzz(f, impl)
}

// explore looks for violations of a variant until one has a key that starts with want. It
// returns all keys.
func explore(t *testing.T, impl Impl, want string) []string {
	t.Helper()
	r, err := Explore(t.Context(), impl, Options{Corpus: true, Seed: 7, Checks: 500, Enough: func(f Found) bool { return strings.HasPrefix(f.Key(), want) }})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, f := range r.Found {
		keys = append(keys, f.Key())
		if f.Case == nil && f.Property != "P8" {
			t.Errorf("%s has no case", f.Key())
		}
	}
	return keys
}

// TestVariants checks that faults in package offload's output are detected, each with the
// right key.
func TestVariants(t *testing.T) {
	frames := func(change func(frames [][]byte) ([][]byte, error)) Impl {
		impl := ours(offload.InOrder)
		join := impl.NewCoalescer
		impl.NewCoalescer = func() Coalesce {
			f := join()
			return func(batch [][]byte) ([][]byte, error) {
				frames, err := f(batch)
				if err != nil {
					return nil, err
				}
				return change(frames)
			}
		}
		return impl
	}
	each := func(change func(frame []byte)) Impl {
		return frames(func(frames [][]byte) ([][]byte, error) {
			for _, f := range frames {
				change(f)
			}
			return frames, nil
		})
	}
	cut := func(change func(segments [][]byte) ([][]byte, error)) Impl {
		impl := ours(offload.InOrder)
		segment := impl.NewSegmenter
		impl.NewSegmenter = func() Segment {
			f := segment()
			return func(frame []byte) ([][]byte, error) {
				segments, err := f(frame)
				if err != nil {
					return nil, err
				}
				return change(segments)
			}
		}
		return impl
	}
	for _, v := range []struct {
		name string
		impl Impl
		want string // a key
	}{
		{"a frame lost", frames(func(f [][]byte) ([][]byte, error) { return f[min(1, len(f)):], nil }), "P2: lost: TCP data"},
		{"a frame doubled", frames(func(f [][]byte) ([][]byte, error) { return append(f, f[:min(1, len(f))]...), nil }), "P2: a packet that nobody sent"},
		{"the last first", frames(func(f [][]byte) ([][]byte, error) { slices.Reverse(f); return f, nil }), "P3: TCP data overtakes TCP data"},
		{"an error", frames(func(f [][]byte) ([][]byte, error) {
			if len(f) == 3 {
				return nil, errors.New("three frames")
			}
			return f, nil
		}), "P2: an error loses the batch: three frames"},
		{"a panic", frames(func(f [][]byte) ([][]byte, error) { return f[:2], nil }), "P1: Coalesce panics: runtime error: slice bounds out of range [:] with capacity "},
		{"another TTL", each(func(f []byte) {
			if len(f) > 30 && f[10] == 0x45 {
				f[18]--
			}
		}), "P2: ip.ttl changes"},
		{"another ID", each(func(f []byte) {
			if len(f) > 30 && f[10] == 0x45 {
				f[15]++
			}
		}), "P2: ip.id changes, TCP with DF"},
		{"another hop limit", each(func(f []byte) {
			if len(f) > 50 && f[10]>>4 == 6 {
				f[17]--
			}
		}), "P2: ip.hop_limit changes"},
		{"another csum_offset", each(func(f []byte) {
			if f[1] != 0 {
				f[8]++
			}
		}), "P11: a superpacket that is refused: CsumOffset"},
		{"no VnetHdr", frames(func(f [][]byte) ([][]byte, error) { return [][]byte{{1}}, nil }), "P11: no VnetHdr"},
		{"a segment lost", cut(func(s [][]byte) ([][]byte, error) { return s[1:], nil }), "P4: another number of segments"},
		{"another flag", cut(func(s [][]byte) ([][]byte, error) {
			for _, b := range s {
				if proto(b) == 6 {
					b[packet.Parse(b).L4Off+13] ^= 0x80
				}
			}
			return s, nil
		}), "P4: tcp.flags is another: CWR new"},
		{"refused", cut(func(s [][]byte) ([][]byte, error) { return nil, errors.New("no") }), "P4: refuses what a kernel hands out: no"},
		{"a sum", Impl{Sum: func(b []byte, i uint16) uint16 { return offload.Sum(b, i) | 1 }}, "P8: another sum"},
	} {
		if keys := explore(t, v.impl, v.want); !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, v.want) }) {
			t.Errorf("%s: want %q in %q", v.name, v.want, keys)
		}
	}
}

// TestReorder checks that package offload with Order = Reorder lets TCP data overtake TCP,
// as documented, and violates nothing else.
func TestReorder(t *testing.T) {
	for _, k := range explore(t, ours(offload.Reorder), "all there is") {
		if !strings.HasPrefix(k, "P3: TCP data overtakes ") {
			t.Error(k)
		}
	}
}

// TestStreams checks the violations of a stack that joins for itself: bytes that it keeps
// back, adds or changes. Other things it may do.
func TestStreams(t *testing.T) {
	packet := func(source byte, data string) []byte {
		b := []byte{0x60, 0, 0, 0, 0, byte(20 + len(data)), 6, 64}
		b = append(b, make([]byte, 32)...)
		b[8+15], b[24+15] = source, 9
		b = append(b, 5, 0xDC, 31, 64, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0)
		b = append(b, data...)
		sum := ^model.Sum(nil, b[8:40], []byte{0, 0, 0, byte(20 + len(data)), 0, 0, 0, 6}, b[40:])
		b[56], b[57] = byte(sum>>8), byte(sum)
		return b
	}
	one, two := packet(1, "ab"), packet(2, "cd") // two flows to one host
	damaged := bytes.Clone(one)
	damaged[56] ^= 1
	short := bytes.Clone(one)
	short[5]-- // the last byte is after the packet, but the checksum includes it
	out := func(packets ...[]byte) (frames [][]byte) {
		for _, p := range packets {
			frames = append(frames, append(make([]byte, hdrLen), p...))
		}
		return frames
	}
	for _, c := range []struct {
		name string
		in   [][]byte
		out  [][]byte
		want string
	}{
		{"as they came", [][]byte{one, two}, out(one, two), ""},
		{"flows change places", [][]byte{one, two}, out(two, one), ""},
		{"what is damaged overtakes", [][]byte{one, damaged}, out(damaged, one), ""},
		{"kept back", [][]byte{one, two}, out(one), "P2: bytes of a TCP flow do not come out"},
		{"changed", [][]byte{one, two}, out(one, packet(2, "ce")), "P2: bytes of a TCP flow do not come outP2: bytes of a TCP flow come out that nobody sent"},
		{"what is short is joined", [][]byte{short}, out(one), "P2: bytes of a TCP flow come out that nobody sent"},
	} {
		got := ""
		for _, v := range streams(c.in, c.out) {
			got += v.Key()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	batch := 0
	late := Impl{Stack: true, NewCoalescer: func() Coalesce {
		return func([][]byte) ([][]byte, error) { batch++; return out([][]byte{nil, one, two}[1:batch]...), nil }
	}}
	if list, n := late.batches([][][]byte{{one, two}, {one}, {}}); n != 3 || len(list) > 0 { // all came, late
		t.Errorf("%d batches, %v", n, list)
	}
}

// TestAlike checks that packets that differ only in their IDs are not reported to have
// changed places.
func TestAlike(t *testing.T) {
	packet := func(id byte, data string) []byte {
		b := []byte{0x45, 0, 0, byte(28 + len(data)), 0, id, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 5, 0xDC, 31, 64, 0, byte(8 + len(data)), 0, 0}
		sum := ^model.Sum(nil, b[:20])
		b[10], b[11] = byte(sum>>8), byte(sum)
		return append(b, data...)
	}
	batch := [][]byte{packet(1, "ab"), packet(5, "cd"), packet(3, "cd")}
	var frames [][]byte
	for _, p := range [][]byte{packet(1, "ab"), packet(2, "cd"), packet(3, "cd")} { // 5 came out as 2
		frames = append(frames, append(make([]byte, hdrLen), p...))
	}
	list := Impl{}.judge(batch, frames)
	if len(list) != 1 || list[0].Key() != "P2: ip.id changes, UDP without DF" {
		t.Errorf("%v", list)
	}
	if list := (Impl{}).judge([][]byte{batch[0], batch[1]}, [][]byte{frames[1], frames[0]}); len(list) != 2 || list[1].Property != "P3" && list[0].Property != "P3" {
		t.Errorf("%v", list)
	}
}
