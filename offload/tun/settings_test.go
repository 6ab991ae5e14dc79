// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSettingsSay checks that a setting that cannot be made is an error that says why,
// and that no other interface gets it.
func TestSettingsSay(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		mtu    int
		text   string // "" if the MTU is set
		cause  error
	}{
		"nothing": {func(w *world) {}, 1280, "", nil},
		"renamed": {func(w *world) { w.move(w.link, "other", 0) }, 1280, "", nil},
		"renamed, and another has the name": {func(w *world) {
			w.move(w.link, "other", 0)
			w.add("tun0", unix.IFF_TUN)
		}, 1280, "", nil},
		"renamed, and another has the name and the MTU": {func(w *world) {
			w.link.mtu = 1400
			w.move(w.link, "other", 0)
			w.add("tun0", unix.IFF_TUN)
		}, 1500, "", nil},
		"too small": {func(w *world) {}, 67, "set MTU of tun0: 67: want 68 to 65535", nil},
		"too large": {func(w *world) {}, 65536, "set MTU of tun0: 65536: want 68 to 65535", nil},
		"negative":  {func(w *world) {}, -1, "set MTU of tun0: -1: want 68 to 65535", nil},
		"moved": {func(w *world) { w.move(w.link, "tun0", 1) }, 1280,
			"set MTU of tun0: the interface is not in this network namespace", unix.ENODEV},
		"moved, and another has the name": {func(w *world) {
			w.move(w.link, "tun0", 1)
			w.add("tun0", unix.IFF_TUN)
		}, 1280, "set MTU of tun0: the interface is not in this network namespace", unix.ENODEV},
		"deleted": {func(w *world) { w.delete(w.link) }, 1280, "set MTU of tun0: the interface was deleted", ErrGone},
		"not allowed": {func(w *world) { w.failures(9, "RTM_SETLINK", unix.EPERM) }, 1280,
			"set MTU of tun0: operation not permitted (needs CAP_NET_ADMIN; the interface has 1500)", unix.EPERM},
		"not allowed, but it has it": {func(w *world) { w.failures(9, "RTM_SETLINK", unix.EPERM) }, 1500, "", nil},
		"not taken":                  {func(w *world) { w.failures(1, "RTM_SETLINK", unix.EBUSY) }, 1280, "set MTU of tun0: device or resource busy", unix.EBUSY},
	} {
		w := newWorld(newSim(t), Config{MultiQueue: true}, false)
		c.change(w)
		before := w.link.mtu
		err := w.dev.SetMTU(c.mtu)
		if c.text == "" {
			if mtu, e := w.dev.MTU(); err != nil || e != nil || mtu != c.mtu {
				t.Errorf("%s: %v; MTU %d, %v", what, err, mtu, e)
			}
		} else {
			isError(t, what, err, c.text, c.cause)
			if w.link.mtu != before {
				t.Errorf("%s: the MTU is %d", what, w.link.mtu)
			}
		}
		for _, l := range w.links {
			if l != w.link && l.mtu != 1500 {
				t.Errorf("%s: the MTU of another interface is %d", what, l.mtu)
			}
		}
	}
}

// TestConfigSettings checks that Open and Adopt make the settings of Config, or fail and
// say which they could not make.
func TestConfigSettings(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		text string
	}{
		{Config{MTU: 67}, "tun: Config.MTU is 67: want 0 (to leave it) or 68 to 65535"},
		{Config{MTU: 65536}, "tun: Config.MTU is 65536"},
		{Config{MTU: -1}, "tun: Config.MTU is -1"},
		{Config{TxQueueLen: -1}, "tun: Config.TxQueueLen is -1: want 0 (to leave it) to 1048576"},
		{Config{TxQueueLen: 1<<20 + 1}, "tun: Config.TxQueueLen is 1048577"},
	} {
		_, err := open(c.cfg, newSim(t))
		isError(t, fmt.Sprint(c.cfg.MTU, c.cfg.TxQueueLen), err, c.text, nil)
	}
	cfg := Config{MTU: 1280, TxQueueLen: 20}
	start := map[string]func(s *sim) (*Device, error){
		"open":  func(s *sim) (*Device, error) { return open(cfg, s) },
		"adopt": func(s *sim) (*Device, error) { return adopt(cfg, s, s.foreign(1)...) },
	}
	for how, start := range start {
		s := newSim(t)
		d, err := start(s)
		if err != nil {
			t.Fatal(how, err)
		}
		mtu, err1 := d.MTU()
		n, err2 := d.TxQueueLen()
		if err := errors.Join(err1, err2); mtu != 1280 || n != 20 || err != nil {
			t.Errorf("%s: MTU %d, TxQueueLen %d, %v", how, mtu, n, err)
		}
		d.Close()

		s = newSim(t)
		s.failures(9, "RTM_SETLINK", unix.EPERM)
		_, err = start(s)
		isError(t, how, err, ": Config.MTU is 1280: operation not permitted (needs CAP_NET_ADMIN; the interface has 1500)", unix.EPERM)
	}
	// An interface of another namespace. Here there is none of its name, or another is.
	for _, text := range []string{"the interface is not in this network namespace", "the interface was in another network namespace"} {
		s := newSim(t)
		fds := s.foreign(1)
		s.links[1].ns++
		if strings.Contains(text, "was") {
			stranger := s.add("tun7", unix.IFF_TUN)
			defer func() {
				if len(stranger.had[unix.IFLA_MTU]) > 1 {
					t.Error("another interface has got the MTU")
				}
			}()
		}
		_, err := adopt(cfg, s, fds...)
		isError(t, "another namespace", err, text, unix.ENODEV)
		isError(t, "another namespace", err, "tun: tun7: Config.MTU is 1280: ", nil)
	}
}

// TestBackpressure checks that IFF_BACKPRESSURE is asked for if Config and the kernel
// have it, that further queues do not change it, and that Features reports what the
// interface has.
func TestBackpressure(t *testing.T) {
	for _, c := range []struct {
		ask, kernel, probe bool // in Config, in the kernel, and the kernel can be asked
		want               bool
	}{
		{true, true, true, true}, {false, true, true, false}, {true, false, true, false}, {true, true, false, false},
	} {
		s := newSim(t)
		if !c.kernel {
			s.noFeature = iffBackpressure
		}
		probes := 0
		s.fault = func(call string) error {
			if call != "TUNGETFEATURES" {
				return nil
			}
			if probes++; c.probe {
				return nil
			}
			return unix.EINVAL
		}
		d, err := open(Config{Backpressure: c.ask, Queues: 2}, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddQueue(); err != nil {
			t.Fatal(err)
		}
		if l := s.find(d.Name(), s.ns); d.Features().Backpressure != c.want || l.backpressure != c.want || len(l.fds) != 3 {
			t.Errorf("%+v: Features %v, the interface %v", c, d.Features().Backpressure, l.backpressure)
		}
		if probes > 1 || probes > 0 && !c.ask {
			t.Errorf("%+v: the kernel is asked %d times", c, probes)
		}
		d.Close()
	}
	// Somebody else's queues decide.
	for _, theirs := range []bool{false, true} {
		s := newSim(t)
		fds := s.foreign(1)
		s.links[1].backpressure = theirs
		d, err := open(Config{Name: "tun7", MultiQueue: true, Backpressure: !theirs}, s)
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := adopt(Config{}, s, fds...)
		if err != nil {
			t.Fatal(err)
		}
		if d.Features().Backpressure != theirs || adopted.Features().Backpressure != theirs {
			t.Errorf("Features %v, %v, the interface %v", d.Features().Backpressure, adopted.Features().Backpressure, theirs)
		}
		d.Close()
		adopted.Close()
	}
}
