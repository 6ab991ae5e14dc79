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

// instrumented are the packages that an engine looks into: what is tested, and what
// makes it of bytes. The model and the properties are not: where they branch says
// little of offload, and to count it takes several times as long.
var instrumented = []string{"offload", "fuzz/scenario", "corpus/pkts", "fuzz/capture/pcap", "fuzz/capture/hexdump", "fuzz/capture/check", "fuzz/packet", "fuzz/capture/compare", "fuzz/capture/anonymise"}

// Instrument returns the flags of go build and go test by which an engine sees which
// way an input takes.
func Instrument() []string {
	var flags []string
	for _, p := range instrumented {
		flags = append(flags, "-gcflags=tunproof/"+p+"=-d=libfuzzer")
	}
	return flags
}

// programs compiles what a campaign runs.
type programs struct {
	root    string // of the checkout
	dir     string // where they are put
	overlay string // flag of the go command, "" for none
	env     []string
}

// plant makes the programs be built with a bug.
func (p *programs) plant(b mutants.Bug) error {
	m, err := b.Plant(p.root)
	if err != nil {
		return err
	}
	overlay, err := m.Overlay(p.root, p.dir)
	p.overlay = "-overlay=" + overlay
	return err
}

// plain compiles the test program of fuzz/engine/native that executes inputs.
func (p *programs) plain(ctx context.Context) (string, error) {
	out := filepath.Join(p.dir, "plain.test")
	return out, p.run(ctx, "go", "test", "-c", "-o", out, "./fuzz/engine/native")
}

// BuildNative compiles the test program with the native fuzz functions of a checkout into
// a directory.
func BuildNative(ctx context.Context, root, dir string) (string, error) {
	return (&programs{root: root, dir: dir}).native(ctx)
}

func (p *programs) native(ctx context.Context) (string, error) {
	out := filepath.Join(p.dir, "native.test")
	return out, p.run(ctx, "go", append(append([]string{"test", "-c", "-o", out}, Instrument()...), "./fuzz/engine/native")...)
}

// clang returns the C compiler that links libFuzzer.
func clang() (string, error) {
	for _, name := range []string{"clang-19", "clang", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("libFuzzer needs clang and its runtime library, such as Debian's clang-19 and libclang-rt-19-dev")
}

// libfuzzer compiles fuzz/engine/libfuzzer, which reads the target's name from the environment.
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

// run runs a compiler.
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
