// SPDX-License-Identifier: MIT

//go:build darwin || freebsd || openbsd

package wgtun

import (
	"os"

	wg "golang.zx2c4.com/wireguard/tun"
)

// OpenFile is tun.CreateTUNFromFile: only Linux has this package's device.
func OpenFile(file *os.File, mtu int) (wg.Device, error) { return wg.CreateTUNFromFile(file, mtu) }
