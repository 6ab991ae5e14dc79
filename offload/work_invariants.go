// SPDX-License-Identifier: MIT

//go:build invariants

package offload

// work counts the work of a batch.
type work struct{ n int }

func (w *work) add(n int) { w.n += n }

func invariant(holds bool, what string) {
	if !holds {
		panic("offload: " + what)
	}
}
