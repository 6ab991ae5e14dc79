// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tunproof/fuzz/scenario/draw"
)

// TestPrefixes reads packets from kernel logs whose dumps have addresses, or nothing, in front
// of a row. A packet may be followed by another message, or by the next packet at once.
func TestPrefixes(t *testing.T) {
	source, r := draw.NewSource(draw.Kinds{Batches: true}, 23), rand.New(rand.NewPCG(9, 9))
	read := 0
	for i := range 60 {
		list := drawn(source, i)
		if len(list) == 0 {
			continue
		}
		prefix := r.IntN(3) // an offset, an address, or nothing
		stamp := []string{"[   12.345678] ", "May  3 10:00:00 host kernel: ", "[   12.345678][  T12] ", "[Sat May  3 10:00:00 2025] "}[r.IntN(4)]
		name := []string{"", "tun: ", "vpn rx: "}[r.IntN(3)]
		var text strings.Builder
		for _, b := range list {
			if r.IntN(2) == 0 || len(b)%perRow == 0 { // only the IP header shows the end of a full last row
				fmt.Fprintf(&text, "%s%sunexpected GSO type: 0x0, gso_size 1348, hdr_len 60\n", stamp, name)
			}
			for k := 0; k < len(b); k += perRow {
				row := b[k:min(k+perRow, len(b))]
				text.WriteString(stamp + name)
				switch prefix {
				case 0:
					fmt.Fprintf(&text, "%08x: ", k)
				case 1:
					fmt.Fprintf(&text, "%016x: ", r.Uint64()) // the kernel hashes it
				}
				fmt.Fprintf(&text, "% x", row)
				if r.IntN(2) == 0 {
					fmt.Fprintf(&text, "%s  %s", strings.Repeat("   ", perRow-len(row)), strings.Repeat("`", len(row)))
				}
				text.WriteByte('\n')
			}
		}
		got, err := Parse([]byte(text.String()))
		if err != nil || len(got) != len(list) {
			t.Fatalf("%d packets, want %d: %v\n%s", len(got), len(list), err, text.String())
		}
		for k, p := range got {
			if !bytes.Equal(p.Data, list[k]) || p.Left != "" {
				t.Fatalf("packet %d: %+v\nwant %x\n%s", k, p, list[k], text.String())
			}
			read++
		}
	}
	if read < 100 {
		t.Errorf("%d packets", read)
	}
}
