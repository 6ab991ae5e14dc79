// SPDX-License-Identifier: MIT

package pcap

import (
	"fmt"
	"strings"

	"tunproof/corpus/pkts"
)

// vnetPrefix starts the comment line that holds a packet's VnetHdr.
const vnetPrefix = "vnet "

// Vnet returns the VnetHdr in a packet's comment, and whether there is one. One that
// cannot be read is an error.
func Vnet(comment string) (h pkts.VnetHdr, has bool, err error) {
	for line := range strings.Lines(comment) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), vnetPrefix); is {
			h, err := pkts.ParseVnet(strings.TrimSpace(text))
			if err != nil {
				return h, false, fmt.Errorf("comment %q: %w", strings.TrimSpace(line), err)
			}
			return h, true, nil
		}
	}
	return h, false, nil
}

// WithoutVnet returns a packet's comment without the lines that Vnet may read.
func WithoutVnet(comment string) string {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		if !strings.HasPrefix(strings.TrimSpace(line), vnetPrefix) {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}

// VnetComment returns the comment from which Vnet reads h.
func VnetComment(h pkts.VnetHdr) string { return vnetPrefix + h.String() }
