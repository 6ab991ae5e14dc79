package main

import (
	"errors"
	"os"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
	"tunproof/tunlive"
)

// kernel is the GRO of the kernel that this runs on, as a baseline: what it joins for its
// own stack and for forwarding. It is judged as a TUN's offload, which it is not: it lets
// packets overtake each other that it need not keep in order. How it cuts is what the
// others are judged by.
func kernel() (conform.Impl, error) {
	gro, err := tunlive.NewGate()
	if err != nil {
		return conform.Impl{}, err
	}
	return conform.Impl{
		Name: "linux", Version: record.Here().Kernel, MaxBatch: tunlive.MaxBatch, MaxPacket: 9000,
		NewCoalescer: func() conform.Coalesce {
			return func(batch [][]byte) ([][]byte, error) {
				out, err := gro.Coalesce(batch)
				if errors.Is(err, tunlive.ErrPacket) {
					out = nil
					for _, p := range batch { // none that reaches it
						out = append(out, tunlive.Packet{Data: p})
					}
					err = nil
				}
				var frames [][]byte
				for _, p := range out {
					frames = append(frames, conform.Frame(pkts.VnetHdr(p.Hdr), p.Data))
				}
				return frames, err
			}
		},
	}, nil
}

// enter puts this process into namespaces of its own, if it can be.
func enter() error {
	err := tunlive.Enter()
	var missing *tunlive.Missing
	if errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require" {
		return nil // the row is left out
	}
	return err
}
