// SPDX-License-Identifier: MIT

package tunlive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Run brings the hosts up, sends everything in both directions, compares every byte,
// and reads the error counters of both kernels' stacks. The error describes what is
// wrong with the traffic or the harness.
func (e *EndToEnd) Run(ctx context.Context) (*Report, error) {
	hosts, err := newHosts(allOffloads, nil)
	if err != nil {
		return nil, err
	}
	defer closeHosts(hosts)
	r := &Report{}
	before, err := errorCounters(hosts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pumps sync.WaitGroup
	failures := make(chan error, 8)
	for i := range hosts {
		p := &pump{from: hosts[i].tun, to: hosts[1-i].tun, offload: e.Offload(), report: r, impairment: e.Impairment,
			rand: rand.New(rand.NewPCG(e.Impairment.Seed, uint64(i)))}
		pumps.Add(1)
		go func() {
			defer pumps.Done()
			if err := p.run(ctx); err != nil {
				failures <- fmt.Errorf("host %d to %d: %w", i, 1-i, err)
				cancel()
			}
		}()
	}
	err = e.traffic(ctx, hosts, r)
	cancel()
	pumps.Wait()
	close(failures)
	for f := range failures {
		err = errors.Join(err, f)
	}
	if err != nil {
		return r, &TrafficError{err}
	}
	after, err := errorCounters(hosts)
	if err != nil {
		return r, err
	}
	for name, n := range after {
		if n != before[name] {
			r.Counters = append(r.Counters, fmt.Sprintf("%s +%d", name, n-before[name]))
		}
	}
	return r, nil
}

func (e *EndToEnd) traffic(ctx context.Context, hosts [2]*host, r *Report) error {
	if e.Bytes > 0 {
		if err := e.tcp(ctx, hosts, r); err != nil {
			return fmt.Errorf("TCP: %w", err)
		}
	}
	for i := range hosts {
		if e.Datagrams > 0 {
			if err := e.udp(ctx, hosts[i], hosts[1-i], r); err != nil {
				return fmt.Errorf("UDP, host %d to %d: %w", i, 1-i, err)
			}
		}
	}
	return nil
}

// errorCounters returns those counters of both hosts that must not move: the errors
// that a receiver finds in packets.
func errorCounters(hosts [2]*host) (map[string]int64, error) {
	all := map[string]int64{}
	for i, h := range hosts {
		err := h.ns.do(func() error {
			var text strings.Builder
			for _, file := range []string{"snmp", "netstat", "snmp6"} {
				b, err := os.ReadFile("/proc/thread-self/net/" + file)
				if err != nil {
					return err
				}
				text.Write(b)
			}
			found := parseSNMP(text.String())
			for _, name := range watched {
				n, has := found[name]
				if !has {
					return fmt.Errorf("this kernel has no counter %s", name)
				}
				if name == inErrs {
					n -= found[synChallenges]
				}
				all[fmt.Sprintf("host %d %s", i, name)] = n
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// watched are these counters. None of them counts what a full socket drops.
var watched = []string{"Ip.InHdrErrors", "Ip.InAddrErrors", "Ip.InUnknownProtos", "IpExt.InTruncatedPkts", "IpExt.InCsumErrors", inErrs, "Tcp.InCsumErrors",
	"Udp.NoPorts", "Udp.InCsumErrors", "Ip6InHdrErrors", "Ip6InTooBigErrors", "Ip6InAddrErrors", "Ip6InTruncatedPkts",
	"Udp6NoPorts", "Udp6InCsumErrors"}

// A SYN that comes again after the handshake, such as a doubled one, moves both of these
// counters (tcp_validate_incoming, Linux 5.10 to 6.18). It is no error in a packet.
const (
	inErrs        = "Tcp.InErrs"
	synChallenges = "TcpExt.TCPSYNChallenge"
)

// parseSNMP returns the counters in the text of /proc/net/snmp, netstat and snmp6.
func parseSNMP(text string) map[string]int64 {
	found := map[string]int64{}
	var names []string
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 2: // snmp6: name, value
			found[f[0]], _ = strconv.ParseInt(f[1], 10, 64)
		case len(f) > 2 && names == nil: // snmp: a line of names, a line of values
			names = f
		case len(f) > 2:
			for i := 1; i < min(len(f), len(names)); i++ {
				found[strings.TrimSuffix(f[0], ":")+"."+names[i]], _ = strconv.ParseInt(f[i], 10, 64)
			}
			names = nil
		}
	}
	return found
}
