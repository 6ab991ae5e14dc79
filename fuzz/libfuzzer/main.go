//go:build libfuzzer

// Command libfuzzer is the entry of libFuzzer, and of the engines that take its targets:
// an archive in which the function LLVMFuzzerTestOneInput runs one target of fuzz/target.
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

	"tunproof/fuzz/target"
)

var name string // of the target

var body = find()

func find() func([]byte, *target.Tally) error {
	debug.SetGCPercent(400) // an execution leaves little behind
	if name == "" {
		name = os.Getenv("TUNPROOF_TARGET")
	}
	t, ok := target.Named(name)
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
	var v *target.Violation
	if errors.As(err, &v) {
		if violated, ok := properties[v.Property]; ok {
			violated(err)
		}
	}
	panic(err)
}

var properties = map[string]func(error){
	"P1": violatedP1, "P2": violatedP2, "P3": violatedP3, "P4": violatedP4, "P5": violatedP5, "P6": violatedP6,
	"P7": violatedP7, "P8": violatedP8, "P11": violatedP11, "codec": violatedCodec, "pkts": violatedPkts,
	"pcap": violatedPcap, "hexdump": violatedHexdump, "judges": violatedJudges,
}

//go:noinline
func violatedP1(err error) { panic(err) }

//go:noinline
func violatedP2(err error) { panic(err) }

//go:noinline
func violatedP3(err error) { panic(err) }

//go:noinline
func violatedP4(err error) { panic(err) }

//go:noinline
func violatedP5(err error) { panic(err) }

//go:noinline
func violatedP6(err error) { panic(err) }

//go:noinline
func violatedP7(err error) { panic(err) }

//go:noinline
func violatedP8(err error) { panic(err) }

//go:noinline
func violatedP11(err error) { panic(err) }

//go:noinline
func violatedCodec(err error) { panic(err) }

//go:noinline
func violatedPkts(err error) { panic(err) }

//go:noinline
func violatedPcap(err error) { panic(err) }

//go:noinline
func violatedHexdump(err error) { panic(err) }

//go:noinline
func violatedJudges(err error) { panic(err) }

func main() {}
