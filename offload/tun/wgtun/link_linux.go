// SPDX-License-Identifier: MIT

package wgtun

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	wg "golang.zx2c4.com/wireguard/tun"
)

// listen returns a netlink socket that receives changes of links.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// follower turns changes of a device's interface into events.
type follower struct {
	*Device
	index int
	up    bool
	away  bool // the interface has left the network namespace
	lost  bool // messages were lost
}

const (
	// glance is how often the follower looks at an interface in another network
	// namespace, from which netlink reports nothing.
	glance = time.Second
	// settle is how long there must be no message before it asks for what was lost. The
	// kernel answers only if the socket has been read until it was empty
	// (netlink_attachskb, net/netlink/af_netlink.c).
	settle = 10 * time.Millisecond
)

// follow turns netlink messages into events, until the socket is closed.
func (f *follower) follow() {
	defer close(f.events)
	buf := make([]byte, 1<<16)
	for {
		var deadline time.Time
		switch {
		case f.lost:
			deadline = time.Now().Add(settle)
		case f.away:
			deadline = time.Now().Add(glance)
		}
		_ = f.links.SetReadDeadline(deadline)
		n, err := f.links.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			f.lost = true
			continue
		case errors.Is(err, os.ErrDeadlineExceeded) && f.lost:
			f.lost = false
			f.ask()
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.is(f.isUp())
			continue
		case err != nil:
			return
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			f.changed(m)
		}
	}
}

// ask asks for the state of the interface. The answer is a message like those that report
// changes.
func (f *follower) ask() {
	const length = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
	b := binary.NativeEndian.AppendUint32(nil, length)
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_GETLINK)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, length-len(b))...)
	binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], uint32(f.index))
	_, _ = f.links.Write(b)
}

// changed sends the events of one message. Messages do not matter after the interface has
// left: another may get its index.
func (f *follower) changed(m syscall.NetlinkMessage) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
	case unix.NLMSG_ERROR: // what was asked for is not there
		f.away = true
		return
	default:
		return
	}
	info, attrs, err := parseLink(m)
	if err != nil || int(info.Index) != f.index || f.away {
		return
	}
	if f.away = m.Header.Type == unix.RTM_DELLINK; f.away {
		return
	}
	for _, a := range attrs {
		if a.Attr.Type != unix.IFLA_MTU || len(a.Value) < 4 {
			continue
		}
		mtu := int(binary.NativeEndian.Uint32(a.Value))
		f.mu.Lock()
		changed := mtu != f.mtu
		f.mtu = mtu
		f.mu.Unlock()
		if changed {
			f.send(wg.EventMTUUpdate)
		}
	}
	f.is(info.Flags&unix.IFF_UP != 0)
}

// is sends an event if the interface was not up and is now, or the reverse.
func (f *follower) is(up bool) {
	switch {
	case up && !f.up:
		f.send(wg.EventUp)
	case !up && f.up:
		f.send(wg.EventDown)
	}
	f.up = up
}

// send waits until the event is taken or the device is closed.
func (f *follower) send(e wg.Event) {
	select {
	case f.events <- e:
	case <-f.done:
	}
}

// isUp asks the descriptor whether the interface is up: in any network namespace, a TUN is
// ready to be written if it is up and has room (tun_sock_writeable, drivers/net/tun.c).
func (f *follower) isUp() bool {
	raw, err := f.queue.SyscallConn()
	if err != nil {
		return false
	}
	fds := []unix.PollFd{{Events: unix.POLLOUT}}
	err = raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, _ = unix.Poll(fds, 0)
	})
	return err == nil && fds[0].Revents == unix.POLLOUT
}

// parseLink parses an RTM_NEWLINK message.
func parseLink(m syscall.NetlinkMessage) (info unix.IfInfomsg, attrs []syscall.NetlinkRouteAttr, err error) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return info, nil, unix.EINVAL
	}
	info = unix.IfInfomsg{
		Family: m.Data[0],
		Type:   binary.NativeEndian.Uint16(m.Data[2:]),
		Index:  int32(binary.NativeEndian.Uint32(m.Data[4:])),
		Flags:  binary.NativeEndian.Uint32(m.Data[8:]),
		Change: binary.NativeEndian.Uint32(m.Data[12:]),
	}
	attrs, err = syscall.ParseNetlinkRouteAttr(&m)
	return info, attrs, err
}
