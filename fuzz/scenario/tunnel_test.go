package scenario

import (
	"bytes"
	"testing"

	"tunproof/model"
)

// TestTunnel checks that the model cuts superpackets in every kind of tunnel, and that
// Unwrap undoes Wrap.
func TestTunnel(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, options := range []int{0, 4, 40} {
			for _, csum := range []bool{false, true} {
				tunnel := VXLAN()
				tunnel.Outer.V6, tunnel.Geneve, tunnel.Options, tunnel.Csum = v6, options > 0, Fill(options, 1), csum
				for _, p := range []Packet{TCP4(250), TCP6(250), UDP4(250), UDP6(250)} {
					h, b := p.Super(100)
					outerHdr, outer := tunnel.Wrap(h, b)
					if segments, err := model.Segment(model.VnetHdr(outerHdr), outer); err != nil || len(segments) != 3 {
						t.Errorf("%v: %d segments, %v", outerHdr, len(segments), err)
					}
					zero, bytes0 := tunnel.ZeroSum(h, b).Wrap(h, b)
					if segments, err := model.Segment(model.VnetHdr(zero), bytes0); err != nil || csum && string(segments[0][zero.OuterTHOffset+6:][:2]) != "\xFF\xFF" {
						t.Errorf("%v: the outer checksum is not zero, %v", zero, err)
					}
					back, ok := Unwrap(Super{outerHdr, outer})
					if !ok || back.Hdr != h || !bytes.Equal(back.Data, b) {
						t.Errorf("%v comes back as %v, %v", h, back.Hdr, ok)
					}
					if _, ok := Unwrap(Super{h, b}); ok {
						t.Errorf("%v is in a tunnel", h)
					}
				}
			}
		}
	}
}
