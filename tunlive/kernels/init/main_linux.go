// SPDX-License-Identifier: MIT

// Command init is the first process of a guest of package kernels. It mounts the file
// systems that a program expects, loads the modules, runs the program, and reports on
// the console how it ended. Then it switches the guest off.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/kernels"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Printf("init: %v\n", err)
		code = 125
	}
	tell("exit", code)
}

// tell reports how the program ended and switches the guest off.
func tell(how string, code int) {
	fmt.Printf("%s%s %d\n", kernels.Told, how, code)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // a kernel that cannot switch off is ended by the host
}

func run() (code int, err error) {
	for _, m := range []struct{ from, to, kind string }{
		{"devtmpfs", "/dev", "devtmpfs"}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"tmpfs", "/tmp", "tmpfs"}, {"tmpfs", "/run", "tmpfs"},
	} {
		if err := os.MkdirAll(m.to, 0o755); err != nil {
			return 0, err
		}
		if err := unix.Mount(m.from, m.to, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return 0, fmt.Errorf("mount %s: %w", m.to, err)
		}
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return 0, err
	}
	text, err := os.ReadFile("/task.json")
	if err != nil {
		return 0, err
	}
	var task kernels.Task
	if err := json.Unmarshal(text, &task); err != nil {
		return 0, err
	}
	for _, m := range task.Modules {
		if err := load("/modules/" + m); err != nil {
			fmt.Printf("init: %s: %v\n", m, err)
		}
	}
	if err := node(); err != nil {
		fmt.Printf("init: /dev/net/tun: %v\n", err)
	}
	if err := up("lo"); err != nil {
		fmt.Printf("init: lo: %v\n", err)
	}
	return program(task)
}

// load loads a module. The kernel unpacks a compressed one.
func load(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if strings.HasSuffix(name, ".xz") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return unix.FinitModule(int(f.Fd()), "", flags)
}

// node makes the TUN driver's device node usable by all users. If there is none, it
// makes one.
func node() error {
	if err := os.MkdirAll("/dev/net", 0o755); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return os.Chmod("/dev/net/tun", 0o666)
}

// up switches an interface on.
func up(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// program runs the program until it ends or its time is up.
func program(task kernels.Task) (code int, err error) {
	c := exec.Command("/program", task.Args...)
	c.Dir = "/tmp"
	c.Env = append([]string{"HOME=/tmp", "TMPDIR=/tmp", "PATH=/"}, task.Env...)
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		return 0, err
	}
	w.Close()
	said := make(chan struct{})
	go func() {
		defer close(said)
		say(r)
	}()
	var late atomic.Bool
	timer := time.AfterFunc(task.Limit, func() {
		late.Store(true)
		_ = c.Process.Signal(syscall.SIGQUIT)
		time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	})
	err = c.Wait()
	timer.Stop()
	select {
	case <-said:
	case <-time.After(5 * time.Second): // a process that it started still has its output open
	}
	if late.Load() {
		tell("timeout", 0)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// say writes the program's lines to the console, marked to distinguish them from the
// kernel's.
func say(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" || err == nil {
			fmt.Printf("%s%s\n", kernels.Said, line)
		}
		if err != nil {
			return
		}
	}
}
