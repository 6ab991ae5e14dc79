package tun

import (
	"fmt"
	"strings"

	"tunproof/offload"
)

// maxRefused is how many bytes of a packet a Refusal keeps.
const maxRefused = 128

// Refusal is a write that the kernel refused, or the guard: a value of its own,
// which shares nothing with what was written.
type Refusal struct {
	Device  string          // the interface
	Err     error           // a syscall.Errno, or guard.ErrFragment
	Hdr     offload.VnetHdr // as it was written
	Header  []byte          // a superpacket's headers; of a packet the first bytes, at most 128
	Len     int             // of the packet in bytes, from the IP header on
	Packets int             // that it stood for
	Resent  bool            // they were sent again one by one
	Off     Protocols       // what was switched off because of it
}

// String returns one line. In it the VnetHdr is written as in a case of the corpus
// and the header as a slice of Go, so that "tunproof replay" reads the line.
func (r *Refusal) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: write of %d packets in %d bytes: %v", r.Device, r.Packets, r.Len, r.Err)
	if r.Resent {
		b.WriteString(", sent one by one")
	}
	if r.Off != 0 {
		fmt.Fprintf(&b, ", %v switched off", r.Off)
	}
	fmt.Fprintf(&b, ": vnet %v %s", caseHdr(r.Hdr), hexOf(r.Header))
	return b.String()
}

// hexOf is what Go and "tunproof replay" take for a slice of bytes.
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
