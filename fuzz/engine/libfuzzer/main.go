// SPDX-License-Identifier: MIT

//go:build libfuzzer

// Command libfuzzer is the entry point for libFuzzer, and for engines that run libFuzzer's
// targets. It is built as a C archive, in which the function LLVMFuzzerTestOneInput runs
// one fuzz target. The target's name is set when the archive is linked (-ldflags "-X
// main.name=Agree") or in the environment variable TUNPROOF_TARGET.
//
// Engines distinguish findings by the innermost functions of the stack, so each property
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

// name is the target's name, set by the linker or find.
var name string

// body is the function that checks one input: the Body of the target called name.
var body = find()

// find returns the Body of the target. It ends the process if there is no such target.
func find() func([]byte, *law.Tally) error {
	debug.SetGCPercent(400) // an execution leaves little garbage
	if name == "" {
		name = serve.FromEnviron().Target
	}
	t, ok := targets.Named(name)
	if !ok {
		fmt.Fprintf(os.Stderr, "libfuzzer: no fuzz target %q; TUNPROOF_TARGET must name one\n", name)
		os.Exit(2)
	}
	return t.Body
}

// LLVMFuzzerTestOneInput runs the target on one input. libFuzzer calls it.
//
//export LLVMFuzzerTestOneInput
func LLVMFuzzerTestOneInput(data *C.uint8_t, n C.size_t) C.int {
	b := make([]byte, int(n)) // a copy: the target may write it, and libFuzzer's buffer must not change
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(data)), int(n)))
	if err := body(b, nil); err != nil {
		fail(err)
	}
	return 0
}

// fail panics with err, in the function of the property that is violated.
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
