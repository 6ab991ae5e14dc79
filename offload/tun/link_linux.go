// SPDX-License-Identifier: MIT

package tun

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// setting is a number that belongs to the interface.
type setting struct {
	name        string
	get         uint   // request of ioctl(2)
	set         uint16 // attribute of RTM_SETLINK
	least, most int
}

var (
	mtuSetting        = setting{"MTU", unix.SIOCGIFMTU, unix.IFLA_MTU, minMTU, maxMTU}
	txQueueLenSetting = setting{"TxQueueLen", unix.SIOCGIFTXQLEN, unix.IFLA_TXQLEN, 1, maxTxQueueLen}
)

// MTU returns the interface's current MTU in bytes. The interface must be in the
// caller's network namespace.
func (d *Device) MTU() (int, error) { return d.setting(mtuSetting) }

// SetMTU sets the interface's MTU: 68 to 65,535 bytes. Below 1,280 bytes the kernel
// switches IPv6 off on the interface. SetMTU needs CAP_NET_ADMIN, but not if the
// interface has this MTU already. The interface must be in the caller's network
// namespace.
func (d *Device) SetMTU(bytes int) error { return d.changeSetting(mtuSetting, bytes) }

// TxQueueLen returns the number of packets and superpackets that the kernel keeps for
// each queue until they are read. The interface must be in the caller's network
// namespace.
func (d *Device) TxQueueLen() (int, error) { return d.setting(txQueueLenSetting) }

// SetTxQueueLen changes the number that TxQueueLen returns: 1 to 1,048,576
// ([Config].TxQueueLen). What is in the queues beyond it is dropped. It needs
// CAP_NET_ADMIN, but not if the interface has this number already. The interface must
// be in the caller's network namespace.
func (d *Device) SetTxQueueLen(packets int) error { return d.changeSetting(txQueueLenSetting, packets) }

// setting returns the value that a setting has now.
func (d *Device) setting(s setting) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var n uint32
	name, err := d.here()
	if err == nil {
		n, err = d.linkNumber(name, s.get)
	}
	if err != nil {
		return 0, &fs.PathError{Op: s.name + " of", Path: d.name, Err: err}
	}
	return int(n), nil
}

// changeSetting gives a setting a value.
func (d *Device) changeSetting(s setting, v int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.apply(s, v); err != nil {
		return &fs.PathError{Op: "set " + s.name + " of", Path: d.name, Err: err}
	}
	return nil
}

// apply gives a setting a value, unless it has it: then no right is needed. d.mu is
// held, or nobody else has the device yet.
func (d *Device) apply(s setting, v int) error {
	if v < s.least || v > s.most {
		return fmt.Errorf("%d: want %d to %d", v, s.least, s.most)
	}
	name, err := d.here()
	if err != nil {
		return err
	}
	now, unknown := d.linkNumber(name, s.get)
	if unknown == nil && int(now) == v {
		return nil
	}
	if err = d.sys.setLink(d.index, s.set, uint32(v)); err == unix.EPERM {
		has := ""
		if unknown == nil {
			has = fmt.Sprintf("; the interface has %d", now)
		}
		return fmt.Errorf("%w (needs CAP_NET_ADMIN%s)", err, has)
	}
	return err
}

// configure gives the interface the settings of Config. 0 leaves one as it is.
func (d *Device) configure() error {
	for _, c := range []struct {
		setting
		value int
	}{{mtuSetting, d.cfg.MTU}, {txQueueLenSetting, d.cfg.TxQueueLen}} {
		if c.value == 0 {
			continue
		}
		if err := d.apply(c.setting, c.value); err != nil {
			return fmt.Errorf("%s: Config.%s is %d: %w", d.name, c.name, c.value, err)
		}
	}
	return nil
}

// linkNumber asks an interface of this network namespace for a number.
func (d *Device) linkNumber(name string, request uint) (uint32, error) {
	fd, err := d.sys.socket()
	if err != nil {
		return 0, err
	}
	defer d.sys.close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = d.sys.ifreq(fd, request, ifr)
	return ifr.Uint32(), err
}
