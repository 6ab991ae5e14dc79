// SPDX-License-Identifier: MIT

package kernels

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Kernel is a kernel that has been fetched.
type Kernel struct {
	Series   string            `json:"series"`
	Arch     string            `json:"arch"`
	Release  string            `json:"release"` // as uname has it
	Packages []string          `json:"packages"`
	Modules  []string          `json:"modules"` // that were asked for
	Files    map[string]string `json:"files"`   // SHA-256, by name: vmlinuz, modules

	dir string
}

// modules are the modules that a TUN and the oracles of package tunlive need, unless
// they are built in. Each depends only on earlier ones.
var modules = []string{"tun", "veth", "sch_ingress", "cls_u32", "act_mirred", "sch_tbf", "udp_tunnel", "ip6_udp_tunnel", "vxlan", "geneve"}

// Cache is a directory with kernels and, if the machine has none, QEMU.
type Cache struct {
	Dir string
	Log func(format string, args ...any)
}

// Get returns the kernel of a series and the QEMU that boots it.
func (c Cache) Get(ctx context.Context, s Series) (*Kernel, *QEMU, error) {
	k, err := c.Kernel(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	q, err := c.QEMU(ctx, s.Arch)
	return k, q, err
}

// Kernel returns the kernel of a series and checks it. If it is missing, or was fetched for
// other modules, Kernel fetches it.
func (c Cache) Kernel(ctx context.Context, s Series) (*Kernel, error) {
	dir := filepath.Join(c.Dir, s.Name)
	k, err := load(dir)
	switch {
	case err == nil && slices.Equal(k.Modules, modules):
		return k, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, errors.New("apt-get, which fetches it, is missing")
	}
	tmp, err := temporary(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	k = &Kernel{Series: s.Name, Arch: s.Arch, Modules: modules, Files: map[string]string{}}
	a, err := c.find(ctx, s, k, filepath.Join(tmp, "apt"))
	if err != nil {
		return nil, err
	}
	debs, err := a.download(ctx, filepath.Join(tmp, "debs"), k.Packages...)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(tmp, "kernel")
	if err := os.Mkdir(out, 0o755); err != nil {
		return nil, err
	}
	for _, deb := range debs {
		if err := k.unpack(ctx, deb, out); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(deb), err)
		}
	}
	if k.Release == "" || k.Files["vmlinuz"] == "" {
		return nil, fmt.Errorf("%s: no kernel in it", strings.Join(k.Packages, ", "))
	}
	b, err := json.MarshalIndent(k, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join(out, "kernel.json"), b, 0o644)
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = os.Rename(out, dir) // so that it is complete or missing
	}
	if err != nil {
		return nil, err
	}
	return load(dir)
}

// find looks for a series in all its suites together. If one suite is not available,
// it tries them one by one.
func (c Cache) find(ctx context.Context, s Series, k *Kernel, dir string) (*apt, error) {
	tries := [][]string{s.Suites}
	if len(s.Suites) > 1 {
		for _, one := range s.Suites {
			tries = append(tries, []string{one})
		}
	}
	var all error
	for n, suites := range tries {
		a, err := newApt(filepath.Join(dir, fmt.Sprint(n)), s.Arch, suites, c.Log)
		if err != nil {
			return nil, err
		}
		if err = a.update(ctx); err == nil {
			var names []string
			if names, err = a.names(ctx, "linux-"); err == nil {
				if k.Packages, err = s.packages(names); err == nil {
					return a, nil
				}
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = errors.Join(all, fmt.Errorf("%s: %w", strings.Join(suites, ", "), err))
	}
	return nil, all
}

// temporary makes a directory next to dir, which is to replace dir later.
func temporary(dir string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", err
	}
	return filepath.Abs(tmp)
}

// load reads a fetched kernel and checks its files.
func load(dir string) (*Kernel, error) {
	b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return nil, err
	}
	k := &Kernel{dir: dir}
	if err := json.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "kernel.json"), err)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Files)) {
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("the kernel of %s is not whole, remove %s: %v", k.Series, dir, err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != k.Files[name] {
			return nil, fmt.Errorf("%s is not what was fetched: remove %s", file, dir)
		}
	}
	return k, nil
}

// unpack takes the kernel and the modules out of a package.
func (k *Kernel) unpack(ctx context.Context, deb, dir string) error {
	return eachFile(ctx, deb, func(name string, r io.Reader) error {
		base, to := path.Base(name), ""
		switch {
		case strings.HasPrefix(name, "boot/vmlinuz-"):
			to, k.Release = "vmlinuz", strings.TrimPrefix(base, "vmlinuz-")
		case base == "vmlinuz" && strings.Contains(name, "lib/modules/"):
			to, k.Release = "vmlinuz", path.Base(path.Dir(name))
		case strings.Contains(name, "lib/modules/") && slices.Contains(modules, strings.TrimSuffix(strings.TrimSuffix(base, ".xz"), ".ko")):
			to = base
		default:
			return nil
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		k.Files[to] = hex.EncodeToString(sum[:])
		return os.WriteFile(filepath.Join(dir, to), b, 0o644)
	})
}

// eachFile calls f for each regular file of a Debian package.
func eachFile(ctx context.Context, deb string, f func(name string, r io.Reader) error) error {
	c := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	bound(c)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	for t := tar.NewReader(out); err == nil; {
		var h *tar.Header
		if h, err = t.Next(); err == nil && h.Typeflag == tar.TypeReg {
			err = f(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), t)
		}
	}
	if err == io.EOF {
		_, err = io.Copy(io.Discard, out)
	} else {
		out.Close() // so that the program ends
	}
	return errors.Join(err, c.Wait())
}
