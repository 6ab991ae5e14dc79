// SPDX-License-Identifier: MIT

package wgtun

import (
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestUnderlay carries TCP in both directions through a WireGuard tunnel over links of
// several MTUs. Nothing but the device sets the tunnel's MTU. With a larger one, which a
// new interface has, the handshake works and this transfer hangs: WireGuard's packets do
// not fit into the link, and its socket refuses them.
func TestUnderlay(t *testing.T) {
	needsTUN(t)
	for _, kind := range []string{"tunproof", "tunproof, file", "wireguard-go"} {
		for _, under := range []int{1500, 1280} {
			t.Run(fmt.Sprintf("%s/mtu=%d", kind, under), func(t *testing.T) {
				hosts := wire(t, under)
				start(t, hosts, kind, under-overhead)
				defer stop(t, hosts)
				for way, h := range hosts {
					var link netlink.Link
					if err := h.do(func() (err error) { link, err = netlink.LinkByName("inner"); return err }); err != nil {
						t.Fatal(err)
					}
					if mtu := link.Attrs().MTU; mtu != under-overhead {
						t.Errorf("the device's MTU is %d", mtu)
					}
					if _, err := tcp(h, hosts[1-way], 4<<20); err != nil {
						t.Fatalf("TCP from host %d: %v", way, err)
					}
				}
			})
		}
	}
}
