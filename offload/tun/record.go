package tun

import "tunproof/offload"

// Record is how the flight recorder works.
type Record struct {
	Packets int // how many it keeps, 0 for no recorder
}

type recorder struct{}

func newRecorder(Config) *recorder                        { return nil }
func (r *recorder) read(h offload.VnetHdr, packet []byte) {}
func (r *recorder) wrote(pkts [][]byte)                   {}
func (r *recorder) refused(*Refusal) error                { return nil }
