// SPDX-License-Identifier: MIT

package kernels

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Program is a program to run in a guest.
type Program struct {
	Path  string // a static program for the kernel's architecture
	Args  []string
	Env   []string
	Limit time.Duration // after it the program gets SIGQUIT, and Go programs print their stacks; 0 is 5 minutes
	Init  string        // the program tunlive/kernels/init for that architecture
}

// Ended is how a boot ended.
type Ended int

const (
	Exited   Ended = iota // the program ended by itself, with a code
	TimedOut              // the program was ended at its limit
	Panicked              // the kernel panicked
	Stuck                 // the guest was silent too long
	Stopped               // the context was cancelled
)

func (e Ended) String() string {
	return [...]string{"exited", "timed out", "kernel panic", "guest stuck", "stopped"}[e]
}

// Outcome is the result of a boot.
type Outcome struct {
	Ended   Ended
	Code    int
	Seconds float64
	Console string // the last output of the kernel and init
}

// OK reports whether the program ended with code 0.
func (o Outcome) OK() bool { return o.Ended == Exited && o.Code == 0 }

func (o Outcome) String() string {
	if o.Ended == Exited {
		return fmt.Sprintf("exit code %d", o.Code)
	}
	return o.Ended.String()
}

// Task is the input of init.
type Task struct {
	Args    []string
	Env     []string
	Limit   time.Duration
	Modules []string
}

// These mark init's lines on the console: lines with Said are lines of the program,
// lines with Told report how it ended.
const (
	Said = "\x1e"
	Told = "\x1dtunproof "
)

const (
	memory    = "3072"           // MB, for tests that fill queues in the kernel
	bootTime  = 60 * time.Second // until the program runs, and from its limit until the guest is off; with emulation
	tailLines = 60
)

// Boot boots a kernel, runs a program in it and copies its lines to out as they
// arrive.
func (k *Kernel) Boot(ctx context.Context, q *QEMU, p Program, out io.Writer) (Outcome, error) {
	if p.Limit == 0 {
		p.Limit = 5 * time.Minute
	}
	tmp, err := os.MkdirTemp("", "tunproof-boot-")
	if err != nil {
		return Outcome{}, err
	}
	defer os.RemoveAll(tmp)
	initramfs := filepath.Join(tmp, "initramfs")
	if err := k.initramfs(initramfs, p); err != nil {
		return Outcome{}, err
	}
	c := q.command("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg", "-m", memory, "-smp", "1", "-nic", "none",
		"-kernel", filepath.Join(k.dir, "vmlinuz"), "-initrd", initramfs,
		"-append", "console="+q.console+" panic=-1 loglevel=4 mitigations=off nokaslr random.trust_cpu=on no_timer_check nmi_watchdog=0 "+q.kernel)
	bound(c)
	// With a pipe of our own we need not wait for other processes that have its end
	// open.
	console, w, err := os.Pipe()
	if err != nil {
		return Outcome{}, err
	}
	defer console.Close()
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = w, &stderr
	start := time.Now()
	err = c.Start()
	w.Close()
	if err != nil {
		return Outcome{}, err
	}
	ended := Exited
	var once sync.Once
	end := func(why Ended) {
		once.Do(func() {
			ended = why
			_ = c.Process.Kill()
		})
	}
	late := time.AfterFunc(p.Limit+bootTime, func() { end(Stuck) })
	defer late.Stop()
	stop := context.AfterFunc(ctx, func() { end(Stopped) })
	defer stop()
	g := guest{out: out}
	readErr := g.read(console, func() { // the guest switches off soon, or is switched off
		time.AfterFunc(5*time.Second, func() { _ = c.Process.Kill() })
	})
	waitErr := c.Wait()
	once.Do(func() {}) // later events change nothing
	o := Outcome{Ended: ended, Code: g.code, Seconds: time.Since(start).Seconds(), Console: strings.Join(g.console, "\n")}
	switch {
	case readErr != nil:
		return o, readErr
	case g.told == "exit" || g.told == "timeout" && ended != Stopped:
		o.Ended = map[string]Ended{"exit": Exited, "timeout": TimedOut}[g.told]
	case ended == Stopped:
		return o, context.Cause(ctx)
	case ended == Stuck:
	case g.panicked || g.booted:
		o.Ended = Panicked
	default:
		var exit *exec.ExitError
		if waitErr == nil || errors.As(waitErr, &exit) {
			return o, fmt.Errorf("%s did not boot Linux %s: %v\n%s%s", q.program, k.Release, waitErr, stderr.Bytes(), o.Console)
		}
		return o, waitErr
	}
	return o, nil
}

// initramfs writes the file system that the kernel starts with.
func (k *Kernel) initramfs(file string, p Program) error {
	task := Task{Args: p.Args, Env: p.Env, Limit: p.Limit}
	list := []entry{{"modules", directory | 0o755, nil}}
	for _, name := range modules { // in this order
		for _, f := range slices.Sorted(maps.Keys(k.Files)) {
			if f != name+".ko" && f != name+".ko.xz" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(k.dir, f))
			if err != nil {
				return err
			}
			task.Modules = append(task.Modules, f)
			list = append(list, entry{"modules/" + f, regular | 0o644, b})
		}
	}
	text, err := json.Marshal(task)
	if err != nil {
		return err
	}
	list = append(list, entry{"task.json", regular | 0o644, text})
	for name, from := range map[string]string{"init": p.Init, "program": p.Path} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if arch, static, err := Arch(from); err != nil || arch != k.Arch || !static {
			return fmt.Errorf("%s is not a static program for %s: it is for %s (static: %v) %v", from, k.Arch, arch, static, err)
		}
		list = append(list, entry{name, regular | 0o755, b})
	}
	return os.WriteFile(file, cpio(list), 0o644)
}

// Arch returns the architecture of a program, by Go's name, and reports whether it is
// static.
func Arch(file string) (arch string, static bool, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	static = !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	arch = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_S390: "s390x", elf.EM_386: "386"}[f.Machine]
	if arch == "" {
		arch = f.Machine.String()
	}
	return arch, static, nil
}

// guest reads the console of a guest.
type guest struct {
	out      io.Writer
	console  []string // its last lines
	booted   bool     // init has run
	panicked bool
	told     string // how the program ended
	code     int
}

// read reads the console to its end. It calls done when the program has ended.
func (g *guest) read(r io.Reader, done func()) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if e := g.line(line, done); e != nil {
			return e
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (g *guest) line(line string, done func()) error {
	if at := strings.Index(line, Said); at >= 0 { // the kernel may have begun the line
		_, err := io.WriteString(g.out, line[at+len(Said):]+"\n")
		g.booted = true
		return err
	}
	if at := strings.Index(line, Told); at >= 0 {
		g.booted = true
		if _, err := fmt.Sscan(line[at+len(Told):], &g.told, &g.code); err == nil {
			done()
		}
		return nil
	}
	g.panicked = g.panicked || strings.Contains(line, "Kernel panic - not syncing")
	if line != "" {
		if g.console = append(g.console, line); len(g.console) > tailLines {
			g.console = g.console[1:]
		}
	}
	return nil
}
