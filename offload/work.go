//go:build !invariants

package offload

// work counts, with the tag invariants, what a batch took.
type work struct{}

func (*work) add(int) {}

// invariant panics, with the tag invariants, if what must hold does not.
func invariant(bool, string) {}
