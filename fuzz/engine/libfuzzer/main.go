//go:build libfuzzer

// Command libfuzzer is the entry of libFuzzer, and of the engines that take its targets:
// an archive in which the function LLVMFuzzerTestOneInput runs one target of fuzz/law.
// The target is linked in (-ldflags "-X main.name=Agree") or named by TUNPROOF_TARGET.
//
// Engines tell findings apart by the innermost functions of the stack: each property
// panics in a function of its own.
package main

// #include <stddef.h>
// #include <stdint.h>
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"unsafe"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
)

var name string // of the target

var body = find()

func find() func([]byte, *law.Tally) error {
	debug.SetGCPercent(400) // an execution leaves little behind
	if name == "" {
		name = serve.FromEnviron().Target
	}
	t, ok := targets.Named(name)
	if !ok {
		fmt.Fprintf(os.Stderr, "TUNPROOF_TARGET is %q, which is no fuzz target\n", name)
		os.Exit(2)
	}
	return t.Body
}

//export LLVMFuzzerTestOneInput
func LLVMFuzzerTestOneInput(data *C.uint8_t, n C.size_t) C.int {
	b := make([]byte, int(n)) // the target's own: libFuzzer's must not be written
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(data)), int(n)))
	if err := body(b, nil); err != nil {
		fail(err)
	}
	return 0
}

func fail(err error) {
	var v *law.Violation
	if errors.As(err, &v) {
		if of, ok := violated[v.Property]; ok {
			of(err)
		}
	}
	panic(err)
}

func main() {}
