// SPDX-License-Identifier: MIT

package tunlive

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// host is a network namespace with a TUN device, an IPv4 and an IPv6 address.
type host struct {
	ns     *namespaceThread
	tun    *tun
	v4, v6 netip.Addr
	late   []io.Closer // sockets that stay open until the counters are read, for late packets
}

// hostAddresses are the addresses of the two hosts.
var hostAddresses = [2][2]netip.Prefix{
	{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")},
	{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")},
}

// newHosts makes two hosts that can reach each other through their TUNs.
func newHosts(offloads int, sysctls map[string]string) (hosts [2]*host, err error) {
	for i := range hosts {
		h := &host{v4: hostAddresses[i][0].Addr(), v6: hostAddresses[i][1].Addr()}
		hosts[i] = h
		if h.ns, err = newNamespace(); err == nil {
			err = h.ns.do(func() error { return h.open(i, offloads, sysctls) })
		}
		if err != nil {
			closeHosts(hosts)
			return hosts, err
		}
	}
	return hosts, nil
}

func (h *host) open(i, offloads int, sysctls map[string]string) (err error) {
	settings := map[string]string{
		"net/ipv6/conf/default/disable_ipv6": "0", "net/ipv6/conf/default/accept_dad": "0",
		"net/ipv6/conf/default/router_solicitations": "0", "net/ipv6/conf/default/addr_gen_mode": "1",
	}
	maps.Copy(settings, sysctls)
	for name, value := range settings {
		if err := setSysctl(name, value); err != nil {
			return err
		}
	}
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	if h.tun, err = openTUN(0, offloads); err != nil {
		return err
	}
	if err := nl.setUp(h.tun.index, queueLen); err != nil {
		return err
	}
	for _, p := range hostAddresses[i] {
		if err := nl.addAddress(h.tun.index, p); err != nil {
			return err
		}
	}
	return awaitLocal(h.v6)
}

// awaitLocal waits until the kernel accepts packets for an IPv6 address. It does so
// some time after the address was added (addrconf_dad_work), and until then counts
// them as errors.
func awaitLocal(addr netip.Addr) error {
	const local = 0x80000000 // RTF_LOCAL
	want := fmt.Sprintf("%x 80 ", addr.As16())
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if !strings.HasPrefix(line, want) || len(f) < 9 {
				continue
			}
			if flags, err := strconv.ParseUint(f[8], 16, 32); err == nil && flags&local != 0 {
				return nil
			}
		}
		if time.Since(start) > patience {
			return fmt.Errorf("address %v is not the host's after %v", addr, patience)
		}
	}
}

func closeHosts(hosts [2]*host) {
	for _, h := range hosts {
		if h == nil {
			continue
		}
		for _, c := range h.late {
			c.Close()
		}
		if h.tun != nil {
			h.tun.close()
		}
		if h.ns != nil {
			h.ns.Close()
		}
	}
}

func (h *host) address(v6 bool) netip.Addr {
	if v6 {
		return h.v6
	}
	return h.v4
}
