// SPDX-License-Identifier: MIT

package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// machine is how QEMU boots a kernel of an architecture. The processor is emulated:
// on machines that are virtual themselves, /dev/kvm is not reliable.
type machine struct {
	program, pkg string
	major        int // required version; 0 for any; backports are searched for it too
	args         []string
	console      string
	kernel       string // additional kernel command line
}

var machines = map[string]machine{
	// AVX is left out: emulating it takes longer than it saves.
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", 0, []string{"-M", "q35", "-cpu", "Nehalem", "-serial", "stdio"}, "ttyS0",
		"clocksource=hpet"}, // an emulated TSC runs fast on a busy machine
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", 0, []string{"-M", "virt", "-cpu", "cortex-a57", "-serial", "stdio"}, "ttyAMA0", ""},
	// With QEMU 7.2, 6.12 kernels get wrong checksums of packets.
	"s390x": {"qemu-system-s390x", "qemu-system-s390x", 10, []string{"-M", "s390-ccw-virtio", "-cpu", "max", "-chardev", "stdio,id=c0", "-device", "sclpconsole,chardev=c0"}, "ttysclp0", ""},
}

// QEMU is an emulator and how to call it.
type QEMU struct {
	machine
	root string // directory where it was unpacked, "" if it is installed
}

// QEMU returns the QEMU for an architecture. If the machine has none, it fetches a
// package and everything that the machine lacks for it, and unpacks them without
// installing.
func (c Cache) QEMU(ctx context.Context, arch string) (*QEMU, error) {
	q := &QEMU{machine: machines[arch]}
	if q.program == "" {
		return nil, fmt.Errorf("no machine of architecture %q", arch)
	}
	if path, err := exec.LookPath(q.program); err == nil && recent(ctx, path, q.major) {
		return q, nil
	}
	q.root = filepath.Join(c.Dir, "qemu-"+arch)
	if _, err := os.Stat(filepath.Join(q.root, "usr", "bin", q.program)); err == nil {
		return q, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("no %s, and no apt-get to fetch it", q.program)
	}
	tmp, err := temporary(q.root)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	a, err := newApt(filepath.Join(tmp, "apt"), "", nil, c.Log)
	if err != nil {
		return nil, err
	}
	if q.major > 0 {
		if err := a.backports(); err != nil {
			return nil, err
		}
	}
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	names, err := a.needs(ctx, q.pkg)
	if err != nil {
		return nil, err
	}
	debs, err := a.download(ctx, filepath.Join(tmp, "debs"), names...)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(tmp, "root")
	for _, deb := range debs {
		if _, err := a.run(ctx, tmp, "dpkg-deb", "-x", deb, root); err != nil {
			return nil, err
		}
	}
	return q, os.Rename(root, q.root)
}

// recent reports whether a QEMU has this major version or a newer one.
func recent(ctx context.Context, path string, major int) bool {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	var is int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "QEMU emulator version %d", &is)
	}
	return err == nil && is >= major
}

// command returns the command that runs QEMU with arguments.
func (q *QEMU) command(args ...string) *exec.Cmd {
	args = append(append([]string{}, q.args...), args...)
	if q.root == "" {
		return exec.Command(q.program, args...)
	}
	libs, _ := filepath.Glob(filepath.Join(q.root, "usr", "lib", "*-linux-gnu*"))
	more, _ := filepath.Glob(filepath.Join(q.root, "lib", "*-linux-gnu*"))
	deeper, _ := filepath.Glob(filepath.Join(q.root, "usr", "lib", "*-linux-gnu*", "*")) // such as pulseaudio
	for _, d := range deeper {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			more = append(more, d)
		}
	}
	for _, d := range []string{"qemu", "seabios"} {
		args = append(args, "-L", filepath.Join(q.root, "usr", "share", d))
	}
	c := exec.Command(filepath.Join(q.root, "usr", "bin", q.program), args...)
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(append(libs, more...), ":"))
	return c
}
