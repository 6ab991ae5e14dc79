// SPDX-License-Identifier: MIT

// Package wgtun makes a tunproof device usable by wireguard-go
// (golang.zx2c4.com/wireguard/tun.Device). Open takes the place of tun.CreateTUN:
//
//	dev, err := wgtun.Open("wg0", device.DefaultMTU)
//	device.NewDevice(dev, conn.NewDefaultBind(), logger)
//
// To configure the device, make it with tun.Open and pass it to New.
package wgtun
