// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/mutants"
)

// instrumented are the packages whose branches an engine counts: the packages under test,
// and those that decode an input for them. The model and the properties are left out:
// their branches show little about offload, and counting them takes several times as long.
var instrumented = []string{"offload", "fuzz/scenario", "corpus/pkts", "fuzz/capture/pcap", "fuzz/capture/hexdump", "fuzz/capture/check", "fuzz/packet", "fuzz/capture/compare", "fuzz/capture/anonymise"}

// Instrument returns the flags of go build and go test that make an input's path visible
// to an engine.
func Instrument() []string {
	var flags []string
	for _, p := range instrumented {
		flags = append(flags, "-gcflags=tunproof/"+p+"=-d=libfuzzer")
	}
	return flags
}

// parts are the compiled parts of a campaign.
type parts struct {
	engine engine
	plain  string // program that executes inputs, see package execute
}

// A builder makes the parts of a campaign with config.Engine and config.Plant, in dir.
type builder func(ctx context.Context, config Config, dir string) (parts, error)

// compile is the builder of real campaigns.
func compile(ctx context.Context, config Config, dir string) (parts, error) {
	p := &programs{root: config.Root, dir: dir}
	if config.Plant != nil {
		if err := p.plant(*config.Plant); err != nil {
			return parts{}, err
		}
	}
	var made parts
	var program string
	var err error
	switch config.Engine {
	case "native":
		program, err = p.native(ctx)
		made.engine = native{program, config.Limits}
	case "libfuzzer":
		program, err = p.libfuzzer(ctx)
		made.engine = libfuzzer{program, config.Limits}
	default:
		err = fmt.Errorf("there is no engine %q", config.Engine)
	}
	if err == nil {
		made.plain, err = p.plain(ctx)
	}
	return made, err
}

// programs compiles the programs of a campaign.
type programs struct {
	root    string // directory of the checkout
	dir     string // directory to write them to
	overlay string // flag of the go command, "" for none
	env     []string
}

// plant makes the programs contain a bug.
func (p *programs) plant(b mutants.Bug) error {
	m, err := b.Plant(p.root)
	if err != nil {
		return err
	}
	overlay, err := m.Overlay(p.root, p.dir)
	p.overlay = "-overlay=" + overlay
	return err
}

// plain compiles the test program of fuzz/engine/native without instrumentation.
func (p *programs) plain(ctx context.Context) (string, error) {
	out := filepath.Join(p.dir, "plain.test")
	return out, p.run(ctx, "go", "test", "-c", "-o", out, "./fuzz/engine/native")
}

// BuildNative compiles the native fuzz functions of the checkout in root into dir. It
// returns the program's file.
func BuildNative(ctx context.Context, root, dir string) (string, error) {
	return (&programs{root: root, dir: dir}).native(ctx)
}

// native compiles the test program of fuzz/engine/native with instrumentation.
func (p *programs) native(ctx context.Context) (string, error) {
	out := filepath.Join(p.dir, "native.test")
	return out, p.run(ctx, "go", append(append([]string{"test", "-c", "-o", out}, Instrument()...), "./fuzz/engine/native")...)
}

// clang finds the C compiler that links libFuzzer.
func clang() (string, error) {
	for _, name := range []string{"clang-19", "clang", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("libFuzzer needs clang and its runtime library, such as Debian's clang-19 and libclang-rt-19-dev")
}

// libfuzzer compiles fuzz/engine/libfuzzer, a program that reads the name of its target from the
// environment.
func (p *programs) libfuzzer(ctx context.Context) (string, error) {
	cc, err := clang()
	if err != nil {
		return "", err
	}
	p.env = []string{"CGO_ENABLED=1", "CC=" + cc}
	defer func() { p.env = nil }()
	archive, out := filepath.Join(p.dir, "libfuzzer.a"), filepath.Join(p.dir, "libfuzzer")
	args := append([]string{"build", "-buildmode=c-archive", "-tags=libfuzzer", "-trimpath", "-o", archive}, Instrument()...)
	if err := p.run(ctx, "go", append(args, "./fuzz/engine/libfuzzer")...); err != nil {
		return "", err
	}
	return out, p.run(ctx, cc, "-fsanitize=fuzzer", archive, "-o", out)
}

// run runs a compiler. Its output is part of an error.
func (p *programs) run(ctx context.Context, name string, args ...string) error {
	if p.overlay != "" && name == "go" {
		args = append([]string{args[0], p.overlay}, args[1:]...)
	}
	c := process.Command(ctx, name, args...)
	c.Dir = p.root
	c.Env = append(os.Environ(), p.env...)
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}
