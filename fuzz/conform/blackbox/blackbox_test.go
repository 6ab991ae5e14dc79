// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// envFault is an environment variable. If it is set, this test program is the program to
// judge, with that fault.
const envFault = "BLACKBOX_FAULT"

var cannot error // the reason why no kernel can be asked, or nil

func TestMain(m *testing.M) {
	if fault := os.Getenv(envFault); fault != "" {
		fmt.Fprintln(os.Stderr, carry(os.Getenv("TUN_FROM"), os.Getenv("TUN_TO"), fault))
		os.Exit(7)
	}
	cannot = tunlive.Enter()
	os.Exit(m.Run())
}

// carry moves packets from one TUN to another with package tun, as a VPN does, but without
// a network.
func carry(from, to, fault string) error {
	near, err := tun.Open(tun.Config{Name: from})
	if err != nil {
		return err
	}
	far, err := tun.Open(tun.Config{Name: to, ExactIDs: true})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		super, err := near.Queue(0).ReadSuper()
		if err != nil {
			return err
		}
		var batch [][]byte
		for p := range super.InPlace() {
			p = bytes.Clone(p)
			v4 := p[0]>>4 == 4 && p[9] == 6
			switch {
			case fault == "ttl" && v4:
				p[8]--
			case fault == "lost" && v4 && len(p) > 40 && len(p)%8 == 0:
				continue
			case fault == "ends" && v4 && len(p) > 40 && len(p)%8 == 0:
				return fmt.Errorf("at packet %d", n)
			}
			batch = append(batch, p)
			if fault == "doubled" && v4 {
				batch = append(batch, p)
			}
		}
		if fault == "order" {
			slices.Reverse(batch)
		}
		_, _ = far.Queue(0).WriteBatch(batch) // a packet that the kernel refuses is lost, and the test sees that
	}
}

// output is a buffer to which the command and the program may write at the same time.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func inside(t *testing.T) {
	t.Helper()
	if cannot != nil {
		if os.Getenv("TUNLIVE") == "require" {
			t.Fatal(cannot)
		}
		t.Skip(cannot)
	}
	w, err := tunlive.NewWiring()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.SetUp("lo", 1000); err != nil {
		t.Fatal(err)
	}
}

// violates judges a wrong program with a number of checks until it shows a violation.
func violates(t *testing.T, b *box, checks int, want string) {
	t.Helper()
	var out, progress output
	b.from, b.to, b.out, b.ctx = "tpfrom", "tpto", &progress, t.Context()
	code, err := judge(t.Context(), b, conform.Options{Seed: 3, Checks: checks, Minimise: 100 * time.Millisecond,
		Enough: func(f conform.Found) bool { return strings.HasPrefix(f.Key(), want) }}, false, false, &out)
	if err != nil || code != record.ExitViolation || !strings.Contains(out.String(), want) {
		t.Errorf("exit %d, %v, want %q\n%s%s", code, err, want, out.String(), progress.String())
	}
}

// TestPrograms checks that the faults of wrong programs are detected.
func TestPrograms(t *testing.T) {
	inside(t)
	w, err := tunlive.NewWiring()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.SetUp("lo", 1000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault string
		want  string
		quiet time.Duration
	}{
		{"ttl", "P2: ip.ttl changes", 20 * time.Millisecond},
		{"lost", "P2: lost: TCP data", 20 * time.Millisecond},
		{"ends", "P1: Coalesce panics: the program ended: exit status", lostAfter}, // long enough for the program to end
		{"doubled", "P2: a packet that nobody sent", 20 * time.Millisecond},
		{"order", "P4: ", 20 * time.Millisecond},
	} {
		if testing.Short() && c.fault != "ttl" {
			continue
		}
		t.Run(c.fault, func(t *testing.T) {
			t.Setenv(envFault, c.fault)
			violates(t, &box{argv: os.Args[:1], start: 10 * time.Second, quiet: c.quiet}, 500, c.want)
		})
	}
}

// TestProgram checks that a right program passes.
func TestProgram(t *testing.T) {
	inside(t)
	t.Setenv(envFault, "none")
	var out, progress output
	code, err := run(t.Context(), []string{"-seed", "3", "-checks", "500", "-time", "1h", os.Args[0]}, &out, &progress)
	if err != nil || code != record.ExitHolds || !strings.Contains(out.String(), "P2   what was joined comes back") {
		t.Errorf("exit %d, %v\n%s%s", code, err, out.String(), progress.String())
	}
}

// TestTunnel checks that two examples of package tun, with a UDP socket between them, pass,
// also if they carry superpackets whole.
func TestTunnel(t *testing.T) {
	inside(t)
	example := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", example, "tunproof/offload/tun/example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const script = `"$0" $1 -local 127.0.0.1:5000 -remote 127.0.0.1:5001 -name $TUN_FROM & "$0" $1 -local 127.0.0.1:5001 -remote 127.0.0.1:5000 -name $TUN_TO & wait -n`
	for _, mode := range []string{"-whole=false", "-whole"} {
		var out, progress output
		code, err := run(context.Background(), []string{"-seed", "3", "-checks", "500", "-time", "1h", "-atomic-ids", "bash", "-c", script, example, mode}, &out, &progress)
		if err != nil || code != record.ExitHolds { // -atomic-ids, since the device joins so by default
			t.Errorf("%s: exit %d, %v\n%s%s", mode, code, err, out.String(), progress.String())
		}
	}
}

// TestDPDK checks that a program in C is judged, whose bugs are those of a library: DPDK's GRO
// lets data overtake what it does not join.
func TestDPDK(t *testing.T) {
	inside(t)
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libdpdk").Output()
	if err != nil {
		t.Skip("pkg-config finds no libdpdk (Debian: apt-get install libdpdk-dev pkg-config gcc)")
	}
	program := filepath.Join(t.TempDir(), "forward")
	if out, err := exec.Command("cc", append([]string{"dpdk/forward.c", "-o", program}, strings.Fields(string(flags))...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	violates(t, &box{argv: []string{program}, start: time.Minute, quiet: lostAfter}, 5000, "P3: TCP data overtakes")
}

// TestNone checks the errors for a program that cannot be judged.
func TestNone(t *testing.T) {
	inside(t)
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"/does/not/exist"}, "no such file"},
		{[]string{"false"}, "ended before it opened the links tpfrom and tpto: exit status 1"},
		{[]string{"sleep", "60"}, "did not open the links tpfrom and tpto in 300ms; their names are in TUN_FROM and TUN_TO"},
	} {
		var out, progress output
		code, err := run(context.Background(), append([]string{"-start", "300ms"}, c.argv...), &out, &progress)
		if code != record.ExitUsage || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: exit %d, %v, want %q", c.argv, code, err, c.want)
		}
	}
}
