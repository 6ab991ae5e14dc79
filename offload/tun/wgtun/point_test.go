// SPDX-License-Identifier: MIT

package wgtun

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// pointMTU is the MTU of the example's tunnel: UDP in IPv4 over a link of 1,500
// bytes.
const pointMTU = 1472

// TestExample carries TCP between two kernels through the example program, with and
// without offload. Without it, packets are not joined and the kernel hands out no
// superpackets.
func TestExample(t *testing.T) {
	needsTUN(t)
	bin := buildExample(t)
	total, rounds := amount(t)
	hosts := wire(t, 0)
	speed := map[bool][]float64{}
	for range rounds {
		for _, offload := range []bool{true, false} {
			startExample(t, hosts, bin, offload)
			for way := range 2 {
				c, err := tcp(hosts[way], hosts[1-way], total/rounds)
				if err != nil {
					t.Fatal(err)
				}
				speed[offload] = append(speed[offload], float64(total/rounds)/1e9/c.seconds)
			}
			for _, stats := range stopExample(t, hosts) {
				if joined := !strings.Contains(stats, " Superpackets:0 "); offload && !joined {
					t.Errorf("nothing was joined: %s", stats)
				}
			}
		}
	}
	t.Logf("TCP through the example: %.3f GB/s with offload, %.3f without, %.1f times; medians of %d transfers of %d MB each",
		median(speed[true]), median(speed[false]), median(speed[true])/median(speed[false]), len(speed[true]), total/rounds>>20)
}

// buildExample returns the path of the example program.
func buildExample(t testing.TB) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", bin, "tunproof/offload/tun/example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// stopExample ends both programs, and returns what they print about their devices.
func stopExample(t testing.TB, hosts [2]*host) (stats [2]string) {
	t.Helper()
	for i, h := range hosts {
		if err := h.end.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		stats[i], _ = h.out.ReadString('\n')
		if err := h.end.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return stats
}

func startExample(t testing.TB, hosts [2]*host, bin string, offload bool) {
	t.Helper()
	for i, h := range hosts {
		h.end = exec.Command(bin, "-name", "inner", fmt.Sprintf("-offload=%v", offload),
			"-local", fmt.Sprintf("192.0.2.%d:5000", i+1), "-remote", fmt.Sprintf("192.0.2.%d:5000", 2-i))
		h.end.Stderr = os.Stderr
		h.end.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := h.end.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		h.out = bufio.NewReader(out)
		if err := h.do(h.end.Start); err != nil {
			t.Fatal(err)
		}
		if s := h.say(t, ""); !strings.HasPrefix(s, "inner: ") {
			t.Fatalf("the example says %q", s)
		}
		err = h.do(func() error {
			err := address("inner", h.inner+"/24", pointMTU)
			if link, e := netlink.LinkByName("inner"); e == nil && !offload {
				return errors.Join(err, netlink.LinkSetGSOMaxSegs(link, 1), netlink.LinkSetGSOIPv4MaxSize(link, pointMTU))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
