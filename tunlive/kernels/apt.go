// SPDX-License-Identifier: MIT

package kernels

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// keyring has the keys that sign the distribution's archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt is apt-get with its own configuration and state. It installs nothing, does not
// change the machine, and needs no root. It verifies its downloads.
type apt struct {
	dir    string
	log    func(format string, args ...any)
	target string // preferred release of packages, "" for none
}

// newApt configures an apt for the packages of an architecture in suites, or, without
// suites, for the machine's own packages.
func newApt(dir, arch string, suites []string, log func(string, ...any)) (*apt, error) {
	a := &apt{dir: dir, log: log}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf("Dir::State %q;\nDir::Cache %q;\nAcquire::Languages \"none\";\nAcquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\nAPT::Sandbox::User \"\";\n",
		filepath.Join(dir, "state"), filepath.Join(dir, "cache"))
	if len(suites) > 0 {
		plain, security, err := mirrors()
		if err != nil {
			return nil, err
		}
		var list strings.Builder
		for _, s := range suites {
			uri := plain
			if strings.HasSuffix(s, "-security") {
				uri = security
			}
			fmt.Fprintf(&list, "deb [arch=%s signed-by=%s] %s %s main\n", arch, keyring, uri, s)
		}
		status, sources := filepath.Join(dir, "status"), filepath.Join(dir, "sources.list")
		if err := errors.Join(os.WriteFile(status, nil, 0o644), os.WriteFile(sources, []byte(list.String()), 0o644)); err != nil {
			return nil, err
		}
		conf += fmt.Sprintf("Dir::State::status %q;\nDir::Etc::sourcelist %q;\nDir::Etc::sourceparts %q;\nDir::Etc::preferencesparts %q;\nAPT::Architecture %q;\nAPT::Architectures {%q;};\n",
			status, sources, filepath.Join(dir, "empty"), filepath.Join(dir, "empty"), arch, arch)
	} else {
		conf += "Dir::State::status \"/var/lib/dpkg/status\";\n"
	}
	return a, os.WriteFile(filepath.Join(dir, "apt.conf"), []byte(conf), 0o644)
}

// backports adds the backports of the machine's release, and prefers them.
func (a *apt) backports() error {
	plain, _, err := mirrors()
	if err != nil {
		return err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(release)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME="); ok {
			a.target = name + "-backports"
		}
	}
	if a.target == "" {
		return errors.New("/etc/os-release names no release")
	}
	parts, list := filepath.Join(a.dir, "parts"), filepath.Join(a.dir, "parts", "backports.list")
	if err := os.MkdirAll(parts, 0o755); err != nil {
		return err
	}
	own, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range own {
		if err := os.Symlink(f, filepath.Join(parts, filepath.Base(f))); err != nil {
			return err
		}
	}
	if err := os.WriteFile(list, fmt.Appendf(nil, "deb [signed-by=%s] %s %s main\n", keyring, plain, a.target), 0o644); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(a.dir, "apt.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conf, "Dir::Etc::sourceparts %q;\nAPT::Default-Release %q;\n", parts, a.target)
	return errors.Join(err, conf.Close())
}

// mirrors returns where this machine gets its packages: the mirror of its release and
// that of the security updates.
func mirrors() (plain, security string, err error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			for _, word := range strings.Fields(lines.Text()) {
				uri := strings.TrimSuffix(word, "/")
				switch {
				case strings.HasPrefix(lines.Text(), "#") || !strings.Contains(uri, "://"):
				case strings.HasSuffix(uri, "/debian-security") && security == "":
					security = uri
				case strings.HasSuffix(uri, "/debian") && plain == "":
					plain = uri
				}
			}
		}
	}
	if plain == "" {
		return "", "", errors.New("/etc/apt names no mirror of Debian")
	}
	if security == "" {
		security = plain + "-security"
	}
	return plain, security, nil
}

// run runs one of apt's programs.
func (a *apt) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	bound(c)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// update fetches the lists of packages.
func (a *apt) update(ctx context.Context) error {
	_, err := a.run(ctx, a.dir, "apt-get", "update", "-q", "-o", "Acquire::Retries=3", "--error-on=any")
	return err
}

// names returns the names of all packages with a prefix.
func (a *apt) names(ctx context.Context, prefix string) ([]string, error) {
	out, err := a.run(ctx, a.dir, "apt-cache", "pkgnames", prefix)
	return strings.Fields(string(out)), err
}

// needs returns the packages that the machine lacks for a package.
func (a *apt) needs(ctx context.Context, name string) ([]string, error) {
	out, err := a.run(ctx, a.dir, "apt-get", "install", "-s", "--no-install-recommends", name)
	var list []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == "Inst" {
			list = append(list, f[1])
		}
	}
	return list, err
}

// download fetches packages into a directory of their own, and returns their files.
func (a *apt) download(ctx context.Context, dir string, names ...string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a.log("download %s", strings.Join(names, " "))
	if _, err := a.run(ctx, dir, "apt-get", append([]string{"download", "-q", "-o", "Acquire::Retries=3"}, names...)...); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	slices.Sort(files)
	if err == nil && len(files) != len(names) {
		err = fmt.Errorf("%d files of %d packages", len(files), len(names))
	}
	return files, err
}
