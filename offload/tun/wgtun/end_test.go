// SPDX-License-Identifier: MIT

package wgtun

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	wg "golang.zx2c4.com/wireguard/tun"

	"tunproof/offload/tun"
)

// envEnd is the environment variable with the configuration of one end's process.
const envEnd = "WGTUN_END"

type endConfig struct {
	Kind      string // "tunproof", "tunproof, file", "wireguard-go", or a key of programs
	Address   string
	WireGuard string
	MTU       int
	QueueLen  int // 0: as the kernel makes it

	NoTunnels, Absent bool // of tunproof's device: Config.NoTunnels and AbsentChecksums
}

// endState is an end's answer.
type endState struct {
	CPU   float64 // seconds, of user and system
	RSS   float64 // most resident memory so far, in bytes
	Stats tun.Stats

	Features tun.Features
}

// overhead is what WireGuard adds to a packet, at most: the headers of IPv6 and UDP, and
// 32 bytes of its own. innerMTU is the MTU of a tunnel over a link of 1,500 bytes.
const (
	overhead = 80
	innerMTU = 1500 - overhead
)

// runEnd is one end: it reads commands until its input ends.
func runEnd(text string) error {
	var c endConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	var own *tun.Device
	var dev wg.Device
	var err error
	switch {
	case c.NoTunnels, c.Absent:
		cfg := tun.Config{Name: "inner", MTU: c.MTU, NoTunnels: c.NoTunnels}
		cfg.Coalesce.AbsentChecksums = c.Absent
		dev, err = monitored(tun.Open(cfg))
	case c.Kind == "tunproof":
		dev, err = Open("inner", c.MTU)
	case c.Kind == "tunproof, file": // as a program does that goes into the background
		if dev, err = Open("inner", 1500); err == nil {
			f := dev.File()
			dev.Close()
			dev, err = OpenFile(f, c.MTU)
		}
	default:
		dev, err = wg.CreateTUN("inner", c.MTU)
	}
	if err != nil {
		return err
	}
	if d, ok := dev.(*Device); ok {
		own = d.TUN()
	}
	if c.QueueLen > 0 {
		if err := own.SetTxQueueLen(c.QueueLen); err != nil {
			return err
		}
	}
	if err := address("inner", c.Address, 0); err != nil {
		return err
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
	var profiled *os.File
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		command, argument, _ := strings.Cut(s.Text(), " ")
		switch {
		case command == "profile" && argument != "":
			if profiled, err = os.Create(argument); err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(profiled); err != nil {
				return err
			}
			fmt.Println("on")
		case command == "profile":
			pprof.StopCPUProfile()
			if err := profiled.Close(); err != nil {
				return err
			}
			fmt.Println("off")
		case command == "state":
			var u unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
				return err
			}
			state := endState{CPU: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, RSS: float64(u.Maxrss) * 1024}
			if own != nil {
				state.Stats, state.Features = own.Stats(), own.Features()
			}
			b, err := json.Marshal(state)
			if err != nil {
				return err
			}
			fmt.Println(string(b))
		}
	}
	return nil
}
