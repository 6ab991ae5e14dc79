// SPDX-License-Identifier: MIT

package pkts

import (
	"fmt"
	"strings"
)

// vnetFields are the fields of a VnetHdr. A file may leave out those from plainFields on.
var vnetFields = [...]string{"flags", "gso_type", "hdr_len", "gso_size", "csum_start", "csum_offset", "outer_th_offset", "inner_nh_offset"}

const plainFields = 6

// minRun is the shortest run of bytes that is written as a fill or pad.
const minRun = 256

// String returns the fields by name, in the form that a file has.
func (h VnetHdr) String() string {
	s := fmt.Sprintf("flags=%d gso_type=%d hdr_len=%d gso_size=%d csum_start=%d csum_offset=%d",
		h.Flags, h.GSOType, h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset)
	if h.OuterTHOffset != 0 || h.InnerNHOffset != 0 {
		s += fmt.Sprintf(" outer_th_offset=%d inner_nh_offset=%d", h.OuterTHOffset, h.InnerNHOffset)
	}
	return s
}

// Format writes a case in the form that Parse reads. Format(Parse(text)) equals text,
// except where text writes a run of bytes in another way.
func Format(c *Case) []byte {
	var w strings.Builder
	fmt.Fprintf(&w, "# format: 1\n# op: %s\n# why: %s\n# source: %s\n", c.Op, c.Why, c.Source)
	if len(c.Rules) > 0 {
		fmt.Fprintf(&w, "# rules: %s\n", strings.Join(c.Rules, " "))
	}
	if s := formatConfig(c.Config); s != "" {
		fmt.Fprintf(&w, "# config: %s\n", s)
	}
	for _, b := range c.Batches {
		w.WriteString("# batch:\n")
		for _, in := range b.In {
			formatIn(&w, c.Op, in)
		}
		for _, s := range b.Out {
			list := strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Packets), " ", ","), "[]")
			fmt.Fprintf(&w, "# out: packets=%s %v\n", list, s.Vnet)
			formatBytes(&w, s.Data)
		}
		formatAsked(&w, b.Asked)
	}
	return []byte(w.String())
}

func formatIn(w *strings.Builder, op string, in In) {
	switch op {
	case OpCoalesce:
		w.WriteString(strings.TrimSuffix("# in: "+in.Reason, " ") + "\n")
	case OpSegment:
		fmt.Fprintf(w, "# in: %v\n", in.Vnet)
	case OpChecksum:
		fmt.Fprintf(w, "# in: seed=0x%04x\n", in.Seed)
	}
	formatBytes(w, in.Data)
	if in.Error != "" {
		fmt.Fprintf(w, "# error: %s\n", in.Error)
	}
	for _, s := range in.Segments {
		w.WriteString("# out:\n")
		formatBytes(w, s)
	}
	if in.HasSum {
		fmt.Fprintf(w, "# sum: 0x%04x\n", in.Sum)
	}
	formatAsked(w, in.Asked)
}

func formatAsked(w *strings.Builder, a Asked) {
	for _, k := range a.Kernel {
		if k.Feature != "" {
			fmt.Fprintf(w, "# kernel: if %s %s\n", k.Feature, k.Does)
		} else {
			fmt.Fprintf(w, "# kernel: %s\n", k.Does)
		}
	}
	if a.Diverges != "" {
		fmt.Fprintf(w, "# diverges: %s\n", a.Diverges)
	}
}

func formatConfig(c Config) string {
	var list []string
	add := func(on bool, s string) {
		if on {
			list = append(list, s)
		}
	}
	add(c.Reorder, "order=reorder")
	add(c.AtomicIDs, "atomic_ids=true")
	add(c.AbsentChecksums, "absent_checksums=true")
	add(c.MaxSegments != 0, fmt.Sprintf("max_segments=%d", c.MaxSegments))
	add(c.MaxUDPSegments != 0, fmt.Sprintf("max_udp_segments=%d", c.MaxUDPSegments))
	add(c.MaxOpen != 0, fmt.Sprintf("max_open=%d", c.MaxOpen))
	add(c.MaxPerFlow != 0, fmt.Sprintf("max_per_flow=%d", c.MaxPerFlow))
	add(c.DisableTCPv4, "tcp4=off")
	add(c.DisableTCPv6, "tcp6=off")
	add(c.DisableUDP, "udp=off")
	return strings.Join(list, " ")
}

// String returns the settings that differ from the defaults, in the form that a file
// has.
func (c Config) String() string { return formatConfig(c) }

// formatBytes writes b as lines of 16 bytes. Long runs of bytes that count up or are
// equal become fills and pads.
func formatBytes(w *strings.Builder, b []byte) {
	for at := 0; at < len(b); {
		if key, n := longRun(b[at:]); n > 0 {
			fmt.Fprintf(w, "# %s: %d %02x\n", key, n, b[at])
			at += n
			continue
		}
		end := at + 1
		for end < len(b) && end < at+16 {
			if _, n := longRun(b[end:]); n > 0 {
				break
			}
			end++
		}
		fmt.Fprintf(w, "%04x  %s\n", at, formatHex(b[at:end]))
		at = end
	}
}

// longRun returns the number of bytes at the start of b that deserve a key of their
// own, and the key. The number is 0 if there are none.
func longRun(b []byte) (string, int) {
	for step, key := range []string{"pad", "fill"} {
		n := 1
		for n < len(b) && b[n] == b[n-1]+byte(step) {
			n++
		}
		if n >= minRun {
			return key, n
		}
	}
	return "", 0
}

func formatHex(b []byte) string { return fmt.Sprintf("% x", b) }
