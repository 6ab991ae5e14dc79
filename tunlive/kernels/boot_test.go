// SPDX-License-Identifier: MIT

//go:build linux

package kernels

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ready returns a fetched kernel and the QEMU that boots it. With KERNELS=require it
// fetches them; otherwise it skips the test if they are missing.
func ready(t *testing.T) (*Kernel, *QEMU) {
	t.Helper()
	c := Cache{Dir: filepath.Join("..", "..", ".cache", "kernels"), Log: t.Logf}
	list, err := Named([]string{"6.12"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, list[0].Name)); err != nil && os.Getenv("KERNELS") != "require" {
		t.Skip("no kernel is there; KERNELS=require fetches it, as make kernels does")
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	k, q, err := c.Get(t.Context(), list[0])
	if err != nil {
		t.Fatal(err)
	}
	return k, q
}

// TestBoot boots programs that end well, fail, hang, or make the kernel panic, and
// checks that each outcome is reported, with the output before it.
func TestBoot(t *testing.T) {
	k, q := ready(t)
	root, dir := filepath.Join("..", ".."), t.TempDir()
	p := Program{Path: filepath.Join(dir, "behave"), Init: filepath.Join(dir, "init"), Env: []string{"K=v"}, Limit: 3 * time.Second}
	for out, pkg := range map[string]string{p.Path: "./tunlive/kernels/testdata/behave", p.Init: "./tunlive/kernels/init"} {
		if err := Build(t.Context(), root, k.Arch, out, "build", pkg); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		how     string
		ended   Ended
		code    int
		said    string
		console string
	}{
		{"well", Exited, 0, "behave: well v\na line without an end\n", ""},
		{"fail", Exited, 1, "behave: fail v\n--- FAIL: TestBehave\n", ""},
		{"hang", TimedOut, 0, "SIGQUIT", ""},
		{"panic", Panicked, 0, "behave: panic v\n", "Kernel panic - not syncing"},
	} {
		t.Run(c.how, func(t *testing.T) {
			p.Args = []string{c.how}
			var out bytes.Buffer
			o, err := k.Boot(t.Context(), q, p, &out)
			if err != nil {
				t.Fatal(err)
			}
			if o.Ended != c.ended || o.Code != c.code || o.OK() != (c.how == "well") || !strings.Contains(out.String(), c.said) || !strings.Contains(o.Console, c.console) {
				t.Errorf("%v, %q\nconsole: %s", o, out.String(), o.Console)
			}
			t.Logf("%v after %.1f s", o, o.Seconds)
		})
	}
}

// TestStuck checks that a silent guest is ended and reported as such, and a stopped
// one too.
func TestStuck(t *testing.T) {
	dir := t.TempDir()
	silent := filepath.Join(dir, "qemu")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\nexec sleep 100\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arch, static, err := Arch(self)
	if err != nil || !static {
		t.Skip("this test is not a static program")
	}
	k, q := &Kernel{Arch: arch, dir: dir}, &QEMU{machine: machine{program: silent}}
	p := Program{Path: self, Init: self, Limit: time.Second - bootTime}
	o, err := k.Boot(t.Context(), q, p, new(bytes.Buffer))
	if err != nil || o.Ended != Stuck || o.OK() {
		t.Errorf("%v, %v", o, err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("enough"))
	defer cancel()
	if o, err := k.Boot(ctx, q, Program{Path: self, Init: self}, new(bytes.Buffer)); o.Ended != Stopped || err == nil {
		t.Errorf("%v, %v", o, err)
	}
}
