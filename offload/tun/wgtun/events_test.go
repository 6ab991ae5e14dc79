// SPDX-License-Identifier: MIT

package wgtun

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	wg "golang.zx2c4.com/wireguard/tun"

	"tunproof/offload/tun"
)

// eventNames are for messages.
var eventNames = map[wg.Event]string{wg.EventUp: "up", wg.EventDown: "down", wg.EventMTUUpdate: "MTU"}

// opened returns a device of a host.
func opened(t *testing.T, h *host, mtu int) *Device {
	t.Helper()
	var dev wg.Device
	if err := h.do(func() (err error) { dev, err = Open("inner", mtu); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev.(*Device)
}

// next checks the next event.
func next(t *testing.T, d *Device, want wg.Event) {
	t.Helper()
	select {
	case e, ok := <-d.Events():
		if !ok || e != want {
			t.Fatalf("event %q, %v, want %s", eventNames[e], ok, eventNames[want])
		}
	case <-time.After(patience):
		t.Fatalf("no event, want %s", eventNames[want])
	}
}

// link runs f with the interface of a name in the namespace.
func (h *host) link(t testing.TB, name string, f func(l netlink.Link) error) {
	t.Helper()
	err := h.do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return f(l)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEvents checks the events of an interface that is set up and down, whose MTU
// changes, and which then does so in another network namespace.
func TestEvents(t *testing.T) {
	needsTUN(t)
	hosts := wire(t, 0)
	h, other := hosts[0], hosts[1]
	d := opened(t, h, 1280)
	isMTU := func(want int) {
		t.Helper()
		if mtu, err := d.MTU(); mtu != want || err != nil {
			t.Errorf("MTU %d, %v, want %d", mtu, err, want)
		}
	}
	isMTU(1280)
	h.link(t, "inner", netlink.LinkSetUp)
	next(t, d, wg.EventUp)
	h.link(t, "inner", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1300) })
	next(t, d, wg.EventMTUUpdate)
	isMTU(1300)
	h.link(t, "inner", netlink.LinkSetDown)
	next(t, d, wg.EventDown)
	h.link(t, "inner", netlink.LinkSetUp)
	next(t, d, wg.EventUp)
	h.link(t, "inner", func(l netlink.Link) error { return netlink.LinkSetNsFd(l, int(other.ns)) })
	next(t, d, wg.EventDown)
	other.link(t, "inner", netlink.LinkSetUp)
	next(t, d, wg.EventUp)
	other.link(t, "inner", netlink.LinkSetDown)
	next(t, d, wg.EventDown)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if e, ok := <-d.Events(); ok {
		t.Errorf("event %s after Close", eventNames[e])
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestNobodyListens checks that Close ends the events also if nobody takes them.
func TestNobodyListens(t *testing.T) {
	needsTUN(t)
	h := wire(t, 0)[0]
	d := opened(t, h, 1280)
	for i := range 2 * cap(d.events) {
		h.link(t, "inner", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1281+i) })
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	late := time.After(patience)
	for range d.Events() { // ends when the follower has ended
		select {
		case <-late:
			t.Fatal("the events do not end")
		default:
		}
	}
}

// TestOverflow loses netlink messages, because nobody takes the events. The device must
// have the interface's state nevertheless, after the events are taken.
func TestOverflow(t *testing.T) {
	needsTUN(t)
	h := wire(t, 0)[0]
	d := opened(t, h, 1280)
	raw, err := d.links.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }); e != nil || err != nil {
		t.Fatal(e, err) // the kernel takes the least that there is
	}
	const changes = 100
	for i := range changes {
		h.link(t, "inner", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1300+i) })
	}
	h.link(t, "inner", netlink.LinkSetUp)
	late := time.After(patience)
	mtus := 0
	for up := false; !up; {
		select {
		case e := <-d.Events():
			up = e == wg.EventUp
			if e == wg.EventMTUUpdate {
				mtus++
			}
		case <-late:
			t.Fatal("the device does not find out that the interface is up")
		}
	}
	if mtu, err := d.MTU(); mtu != 1300+changes-1 || err != nil {
		t.Errorf("MTU %d, %v, want %d", mtu, err, 1300+changes-1)
	}
	if mtus == changes {
		t.Error("no message was lost")
	}
}

// TestOpenFD checks a device of a descriptor from another network namespace. It has no
// events, and carries packets.
func TestOpenFD(t *testing.T) {
	needsTUN(t)
	h := wire(t, 0)[0]
	first := opened(t, h, 1300)
	h.link(t, "inner", func(l netlink.Link) error {
		return errors.Join(netlink.LinkSetUp(l), netlink.AddrAdd(l, &netlink.Addr{IPNet: netlink.NewIPNet([]byte{198, 51, 100, 1})}))
	})
	fd, err := duplicate(first.queue)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	dev, name, err := OpenFD(fd) // in the namespace of the test
	if err != nil {
		t.Fatal(err)
	}
	if is, err := dev.Name(); name != "inner" || is != name || err != nil {
		t.Errorf("names %q, %q, %v", name, is, err)
	}
	if mtu, err := dev.MTU(); err == nil {
		t.Errorf("MTU %d of an interface that is elsewhere", mtu)
	}
	echo := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 198, 51, 100, 2, 198, 51, 100, 1, 8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	sum := 0
	for i := 0; i < 20; i += 2 {
		sum += int(echo[i])<<8 | int(echo[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	echo[10], echo[11] = byte(sum>>8), byte(sum)
	n, err := dev.Write([][]byte{append(make([]byte, 16), echo...)}, 16)
	if n != 1 || err != nil || dev.(*Device).TUN().Stats().Write.Sent != 1 {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := <-dev.Events(); ok {
		t.Error("an event of a device that has none")
	}
}

// TestElsewhere adopts a descriptor from another network namespace, while another interface
// has the name in this one. That is left alone.
func TestElsewhere(t *testing.T) {
	needsTUN(t)
	hosts := wire(t, 0)
	d := opened(t, hosts[0], 1300)
	other := opened(t, hosts[1], 1301)
	fd, err := duplicate(d.queue)
	if err != nil {
		t.Fatal(err)
	}
	err = hosts[1].do(func() error {
		_, err := tun.Adopt(tun.Config{MTU: 1280}, fd)
		return err
	})
	if want := "the interface was in another network namespace"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	for i, dev := range []*Device{d, other} {
		hosts[i].link(t, "inner", func(l netlink.Link) error {
			if mtu := l.Attrs().MTU; mtu != 1300+i {
				t.Errorf("the MTU of interface %d is %d", i, mtu)
			}
			return nil
		})
		if name, err := dev.Name(); name != "inner" || err != nil {
			t.Error(name, err)
		}
	}
}

// TestErrors checks errors of opening and writing, and that no descriptor is left.
func TestErrors(t *testing.T) {
	needsTUN(t)
	h := wire(t, 0)[0]
	d := opened(t, h, 1280)
	before := descriptors(t)
	plain, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(plain.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		open func() error
		want string
	}{
		"MTU":         {func() error { _, err := Open("other", 67); return err }, "Config.MTU is 67"},
		"no MTU":      {func() error { _, err := Open("other", 0); return err }, "wgtun: the MTU is 0"},
		"busy":        {func() error { _, err := Open("inner", 1280); return err }, "TUNSETIFF inner: device or resource busy"},
		"no TUN":      {func() error { _, _, err := OpenFD(fd); return err }, "it is not a TUN descriptor"},
		"namespace":   {func() error { _, err := New(d.TUN()); return err }, "wgtun: route ip+net: no such network interface"},
		"room":        {func() error { _, err := d.Write([][]byte{make([]byte, 17), make([]byte, 9)}, 16); return err }, "write inner: buffer 1 has 9 bytes, and the offset is 16"},
		"negative":    {func() error { _, err := d.Write([][]byte{{1}}, -1); return err }, "write inner: buffer 0 has 1 bytes, and the offset is -1"},
		"no buffers":  {func() error { _, err := d.Read(nil, nil, 0); return err }, "read inner: no buffers"},
		"no headroom": {func() error { _, err := d.Read([][]byte{make([]byte, 16)}, []int{0}, 16); return err }, "read inner: buffer 0 has 16 bytes: no room after the offset of 16"},
	} {
		do := h.do
		if what == "namespace" {
			do = func(f func() error) error { return f() }
		}
		if err := do(c.open); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	for _, want := range []string{"it is not a TUN descriptor", "wgtun: use of closed file"} {
		if _, err := OpenFile(plain, 1280); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if after := descriptors(t); !slices.Equal(after, before) {
		t.Errorf("descriptors %v are open, before there were %v", after, before)
	}
	if s := d.TUN().Stats().Write; s.Packets != 0 {
		t.Errorf("packets of a refused call were written: %+v", s)
	}
}

// descriptors returns what this process has open, but for what the runtime opens itself.
func descriptors(t *testing.T) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/proc/") {
			list = append(list, to)
		}
	}
	slices.Sort(list)
	return list
}
