// SPDX-License-Identifier: MIT

package wgtun_test

import (
	"expvar"
	"log"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/offload/tun/wgtun"
)

// Open takes the place of tun.CreateTUN.
func ExampleOpen() {
	dev, err := wgtun.Open("wg0", device.DefaultMTU)
	if err != nil {
		log.Fatal(err)
	}
	wireguard := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wg0: "))
	defer wireguard.Close() // closes dev, too
	if err := wireguard.Up(); err != nil {
		log.Fatal(err)
	}
	<-wireguard.Wait()
}

// For VXLAN or Geneve inside the tunnel, at both ends.
func ExampleNew_overlay() {
	below, err := tun.Open(tun.Config{Name: "wg0", MTU: device.DefaultMTU, Coalesce: offload.Config{AbsentChecksums: true}})
	if err != nil {
		log.Fatal(err)
	}
	dev, err := wgtun.New(below)
	if err != nil {
		below.Close()
		log.Fatal(err)
	}
	wireguard := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wg0: "))
	defer wireguard.Close()
	<-wireguard.Wait()
}

// A device with a configuration of its own, and its counters in expvar.
func ExampleNew() {
	below, err := tun.Open(tun.Config{
		Name: "wg0", MTU: device.DefaultMTU,
		Observer: tun.Observer{Refused: func(r *tun.Refusal) { log.Print(r) }},
	})
	if err != nil {
		log.Fatal(err)
	}
	expvar.Publish("wg0", expvar.Func(func() any { return below.Stats() }))
	dev, err := wgtun.New(below)
	if err != nil {
		below.Close()
		log.Fatal(err)
	}
	wireguard := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wg0: "))
	defer wireguard.Close()
	<-wireguard.Wait()
}
