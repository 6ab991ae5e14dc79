// SPDX-License-Identifier: MIT

package tun

import (
	"fmt"
	"log/slog"
	"strings"

	"tunproof/offload"
)

// maxRefused is the most bytes of a packet that a Refusal keeps.
const maxRefused = 128

// Refusal describes a write that the kernel or the guard refused. It shares no memory
// with the written packets.
type Refusal struct {
	Device  string          // the interface
	Err     error           // a syscall.Errno, or ErrFragment
	Hdr     offload.VnetHdr // as written
	Header  []byte          // all headers of a superpacket, or the first bytes of a packet; at most 128
	Len     int             // length of the packet in bytes, from the IP header on
	Packets int             // number of packets that it stood for
	Resent  bool            // its packets were sent again one by one
	Off     Protocols       // protocol switched off because of it
}

// String returns one line. The VnetHdr is written as in a case of the corpus and the
// header as a Go slice, so that "tunproof replay" reads the line.
func (r *Refusal) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: write of %d packets in %d bytes: %v", r.Device, r.Packets, r.Len, r.Err)
	if r.Resent {
		b.WriteString(", sent one by one")
	}
	if r.Off != 0 {
		fmt.Fprintf(&b, ", %v switched off", r.Off)
	}
	if len(r.Header) == 0 {
		return b.String() // an empty packet, which nothing could replay
	}
	fmt.Fprintf(&b, ": vnet %v %s", caseHdr(r.Hdr), hexOf(r.Header))
	return b.String()
}

// LogValue returns what String returns.
func (r *Refusal) LogValue() slog.Value { return slog.StringValue(r.String()) }

// hexOf returns b as a Go slice, which "tunproof replay" reads too.
func hexOf(b []byte) string {
	var w strings.Builder
	w.WriteString("[]byte{")
	for i, c := range b {
		if i > 0 {
			w.WriteString(", ")
		}
		fmt.Fprintf(&w, "0x%02x", c)
	}
	w.WriteString("}")
	return w.String()
}
