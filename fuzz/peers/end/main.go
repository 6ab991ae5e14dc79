// SPDX-License-Identifier: MIT

// The command end is one end of a WireGuard tunnel of tailscale's fork, on the fork's own
// TUN or on tunproof's. The tests of offload/tun/wgtun start two of them, and compare. It is
// configured by the environment variable WGTUN_END, and reads commands from standard input
// as their ends do: "state" prints what it used. It ends with its input.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"

	"github.com/tailscale/wireguard-go/conn"
	"github.com/tailscale/wireguard-go/device"
	"github.com/tailscale/wireguard-go/tun"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Getenv("WGTUN_END")); err != nil {
		fmt.Fprintln(os.Stderr, "end:", err)
		os.Exit(2)
	}
}

func run(text string) error {
	var c struct {
		Kind, Address, WireGuard string
		MTU                      int
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("WGTUN_END: %w", err)
	}
	if _, err := netip.ParsePrefix(c.Address); err != nil {
		return err
	}
	create := tun.CreateTUN
	if c.Kind == "tailscale on tunproof" {
		create = createTunproof
	}
	dev, err := create("inner", c.MTU)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"addr", "add", c.Address, "dev", "inner"}, {"link", "set", "inner", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	d := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
	defer d.Close()
	if err := d.IpcSet(c.WireGuard); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	fmt.Println("ready")
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		if s.Text() != "state" {
			fmt.Println("unknown")
			continue
		}
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			return err
		}
		b, err := json.Marshal(map[string]float64{"CPU": float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, "RSS": float64(u.Maxrss) * 1024})
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	}
	return nil
}
