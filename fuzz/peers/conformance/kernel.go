// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
	"tunproof/tunlive"
)

// kernel returns the GRO of this machine's kernel, as a baseline. The kernel joins for its
// own stack and for forwarding, but here it is judged as the offload of a TUN. So its
// violations of the order are not errors: it need not keep that order. Its segmentation is
// the standard for the others, and is not judged.
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
					for _, p := range batch { // the oracle cannot send one of them, so none is joined
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

// enter puts this process into namespaces of its own, if the machine allows it.
func enter() error {
	err := tunlive.Enter()
	var missing *tunlive.Missing
	if errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require" {
		return nil // without the kernel's column
	}
	return err
}
