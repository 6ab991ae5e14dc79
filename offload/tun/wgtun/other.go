// SPDX-License-Identifier: MIT

//go:build !linux

package wgtun

import wg "golang.zx2c4.com/wireguard/tun"

// Open is tun.CreateTUN: only Linux has this package's device.
func Open(name string, mtu int) (wg.Device, error) { return wg.CreateTUN(name, mtu) }
