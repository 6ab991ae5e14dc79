// SPDX-License-Identifier: MIT

package pkts

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// run returns n bytes from first on, each the one before plus step.
func run(n int, first, step byte) (b []byte) {
	for i := range n {
		b = append(b, first+step*byte(i))
	}
	return b
}

// TestFormatBytes compares bytes with their lines: 16 to a line, and runs of 256 or more of
// their own.
func TestFormatBytes(t *testing.T) {
	long := func(n int, first, step byte) string {
		var w strings.Builder
		for at, b := 0, run(n, first, step); at < n; at += 16 {
			w.WriteString(strings.ToLower(hex4(at)) + " ")
			for _, c := range b[at:min(n, at+16)] {
				w.WriteString(" " + strings.ToLower(hex4(int(c)))[2:])
			}
			w.WriteByte('\n')
		}
		return w.String()
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{nil, ""},
		{[]byte{0xAB}, "0000  ab\n"},
		{run(17, 0, 2), "0000  00 02 04 06 08 0a 0c 0e 10 12 14 16 18 1a 1c 1e\n0010  20\n"},
		{run(255, 7, 0), long(255, 7, 0)},
		{run(256, 7, 0), "# pad: 256 07\n"},
		{run(257, 7, 0), "# pad: 257 07\n"},
		{run(255, 7, 1), long(255, 7, 1)},
		{run(256, 7, 1), "# fill: 256 07\n"},
		{run(600, 7, 1), "# fill: 600 07\n"},
		{run(600, 7, 2), long(600, 7, 2)},
		{slices.Concat([]byte{1, 2, 4}, run(300, 7, 1), []byte{9}), "0000  01 02 04\n# fill: 300 07\n012f  09\n"},
		{slices.Concat(run(16, 0, 2), run(300, 0xEE, 0)), "0000  00 02 04 06 08 0a 0c 0e 10 12 14 16 18 1a 1c 1e\n# pad: 300 ee\n"},
		{slices.Concat(run(300, 1, 0), run(300, 5, 1)), "# pad: 300 01\n# fill: 300 05\n"},
	} {
		var w strings.Builder
		if formatBytes(&w, c.b); w.String() != c.want {
			t.Errorf("%x:\n%s\nwant:\n%s", c.b, w.String(), c.want)
		}
	}
}

// hex4 returns a number in four hexadecimal digits.
func hex4(n int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

// TestConfigText compares each setting with its text.
func TestConfigText(t *testing.T) {
	for want, c := range map[string]Config{
		"": {}, "order=reorder": {Reorder: true}, "atomic_ids=true": {AtomicIDs: true}, "max_segments=1": {MaxSegments: 1}, "max_udp_segments=1": {MaxUDPSegments: 1},
		"max_open=1": {MaxOpen: 1}, "max_per_flow=1": {MaxPerFlow: 1}, "tcp4=off": {DisableTCPv4: true}, "tcp6=off": {DisableTCPv6: true}, "udp=off": {DisableUDP: true},
	} {
		if got := c.String(); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

// TestRoundTrip checks that Parse reads back any case that Format writes, and that the text
// stays the same.
func TestRoundTrip(t *testing.T) {
	data := rapid.Custom(func(t *rapid.T) (b []byte) {
		for range rapid.IntRange(0, 2).Draw(t, "runs") {
			n := rapid.SampledFrom([]int{1, 3, 16, 17, 255, 256, 300}).Draw(t, "bytes")
			b = append(b, run(n, rapid.Byte().Draw(t, "first"), rapid.SampledFrom([]byte{0, 1, 2}).Draw(t, "step"))...)
		}
		return b
	})
	text := rapid.SampledFrom([]string{"w", "two words", "a: b", "# x = y", "~"})
	vnet := rapid.Custom(func(t *rapid.T) VnetHdr {
		n := rapid.Uint16()
		h := VnetHdr{Flags: rapid.Byte().Draw(t, "flags"), GSOType: rapid.Byte().Draw(t, "type"), HdrLen: n.Draw(t, "hdr_len"), GSOSize: n.Draw(t, "gso_size"), CsumStart: n.Draw(t, "csum_start"), CsumOffset: n.Draw(t, "csum_offset")}
		if rapid.Bool().Draw(t, "tunnel") {
			h.OuterTHOffset, h.InnerNHOffset = n.Draw(t, "outer"), n.Draw(t, "inner")
		}
		return h
	})
	asked := func(t *rapid.T, does *rapid.Generator[string]) (a Asked) {
		for range rapid.IntRange(0, 2).Draw(t, "kernels") {
			a.Kernel = append(a.Kernel, Kernel{rapid.SampledFrom([]string{"", "small-gso", "!cwr-2", "0-az9"}).Draw(t, "feature"), does.Draw(t, "does")})
		}
		if a.Kernel != nil && rapid.Bool().Draw(t, "diverges") {
			a.Diverges = text.Draw(t, "why")
		}
		return a
	}
	rapid.Check(t, func(t *rapid.T) {
		c := Case{Op: rapid.SampledFrom([]string{OpCoalesce, OpSegment, OpChecksum}).Draw(t, "op"), Why: text.Draw(t, "why"), Source: text.Draw(t, "source"),
			Rules: rapid.SampledFrom([][]string{nil, {"a+"}, {"C1.flow-", "-+"}}).Draw(t, "rules"), Batches: make([]Batch, 1)}
		if c.Op == OpCoalesce {
			b, n := rapid.Bool(), rapid.IntRange(0, 64)
			c.Config = Config{b.Draw(t, "reorder"), b.Draw(t, "atomic"), b.Draw(t, "absent"), n.Draw(t, "segments"), n.Draw(t, "udp"), n.Draw(t, "open"), n.Draw(t, "flow"), b.Draw(t, "4"), b.Draw(t, "6"), b.Draw(t, "udp")}
			c.Batches = make([]Batch, rapid.IntRange(1, 3).Draw(t, "batches"))
		}
		for i := range c.Batches {
			b := &c.Batches[i]
			for range rapid.IntRange(0, 3).Draw(t, "packets") {
				in := In{Data: data.Draw(t, "data")}
				switch c.Op {
				case OpCoalesce:
					in.Reason = rapid.SampledFrom([]string{"", "First", "j"}).Draw(t, "reason")
				case OpSegment:
					in.Vnet = vnet.Draw(t, "vnet")
					if in.Error = rapid.SampledFrom([]string{"", "", "CsumStart", "x=y"}).Draw(t, "error"); in.Error == "" {
						for range rapid.IntRange(0, 2).Draw(t, "segments") {
							in.Segments = append(in.Segments, data.Draw(t, "segment"))
						}
					}
					in.Asked = asked(t, rapid.SampledFrom(segmentAnswers))
				case OpChecksum:
					in.Seed, in.HasSum = rapid.Uint16().Draw(t, "seed"), rapid.Bool().Draw(t, "has sum")
					if in.HasSum {
						in.Sum = rapid.Uint16().Draw(t, "sum")
					}
				}
				b.In = append(b.In, in)
			}
			if c.Op == OpCoalesce && len(b.In) > 0 {
				for range rapid.IntRange(0, 2).Draw(t, "out") {
					b.Out = append(b.Out, Superpacket{rapid.SliceOfN(rapid.IntRange(0, len(b.In)-1), 1, 3).Draw(t, "members"), vnet.Draw(t, "vnet"), data.Draw(t, "data")})
				}
				b.Asked = asked(t, rapid.SampledFrom([]string{"0", []string{"0", "1 0", "2,0 1"}[len(b.In)-1]}))
			}
		}
		text := Format(&c)
		got, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if !reflect.DeepEqual(&c, got) {
			t.Fatalf("(-want +got):\n%s\n%s", cmp.Diff(&c, got), text)
		}
		if again := Format(got); !bytes.Equal(text, again) {
			t.Fatalf("%s\nthen\n%s", text, again)
		}
	})
}
