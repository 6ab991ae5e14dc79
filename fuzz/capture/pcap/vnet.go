package pcap

import (
	"fmt"
	"strings"
	"tunproof/corpus/pkts"
)

// vnetPrefix starts the line of a comment that has a packet's VnetHdr.
const vnetPrefix = "vnet "

// Vnet reads the VnetHdr of a packet's comment.
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

// VnetComment is what Vnet reads.
func VnetComment(h pkts.VnetHdr) string { return vnetPrefix + h.String() }
