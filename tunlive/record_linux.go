// SPDX-License-Identifier: MIT

package tunlive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// recording is traffic between two hosts whose TUNs have no offloads: each packet is
// plain and as long as on a wire. The packets from host 0 to host 1 are recorded as
// mangle passes them on.
type recording struct {
	sysctls map[string]string
	pause   time.Duration // time that the pump lets a burst gather
	mangle  func() func(packet []byte) [][]byte
	keep    func() func(packet []byte) bool // reports which packets are recorded; all if nil
	whole   bool                            // record to the end of the traffic, whatever the size
	traffic func(ctx context.Context, a, b *host) error
}

// Recordings are the names of the recordings that Record can make.
func Recordings() []string { return slices.Sorted(maps.Keys(recordings)) }

// Record makes a recording. The kernel chooses sequence numbers, ports, IDs and
// timing, so two recordings are equivalent but not equal.
func Record(ctx context.Context, name string) ([]Recorded, error) {
	rec, known := recordings[name]
	if !known {
		return nil, fmt.Errorf("no recording %q", name)
	}
	sysctls := map[string]string{"net/ipv4/tcp_rmem": "4096 8388608 16777216", "net/ipv4/tcp_wmem": "4096 8388608 16777216"}
	maps.Copy(sysctls, rec.sysctls)
	hosts, err := newHosts(noOffloads, sysctls)
	if err != nil {
		return nil, err
	}
	defer closeHosts(hosts)
	traffic, stopTraffic := context.WithCancel(ctx)
	defer stopTraffic()
	pumping, stopPumps := context.WithCancel(ctx)
	defer stopPumps()
	w := &recorder{rec: rec, done: stopTraffic}
	pumps := make(chan error, 2)
	for i := range hosts {
		go func() {
			err := w.pump(pumping, hosts[i].tun, hosts[1-i].tun, i == 0)
			if err != nil {
				stopTraffic() // it would wait for packets that nobody carries any more
			}
			pumps <- err
		}()
	}
	err = rec.traffic(traffic, hosts[0], hosts[1])
	if traffic.Err() != nil {
		err = ctx.Err() // the traffic was interrupted
	} else if err == nil {
		select { // packets on their way
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	stopPumps()
	err = errors.Join(err, <-pumps, <-pumps)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", name, err)
	}
	return w.packets, nil
}

// recorder is the wire between the hosts.
type recorder struct {
	rec     recording
	done    context.CancelFunc // called when the recording is complete
	packets []Recorded
	bytes   int
}

func (w *recorder) full() bool { return !w.rec.whole && w.bytes >= recordingBytes }

// pump carries packets in one direction: it waits for some, pauses, then reads all
// that are there and writes them one by one.
func (w *recorder) pump(ctx context.Context, from, to *tun, recorded bool) error {
	mangle := func(b []byte) [][]byte { return [][]byte{b} }
	if recorded && w.rec.mangle != nil {
		mangle = w.rec.mangle()
	}
	keep := func([]byte) bool { return true }
	if w.rec.keep != nil {
		keep = w.rec.keep()
	}
	var c collector
	for ctx.Err() == nil {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(from.fd), Events: unix.POLLIN}}, 20)
		if err != nil && err != unix.EINTR {
			return err
		}
		time.Sleep(w.rec.pause)
		burst, err := c.collect(from, from.fd, nil)
		if err != nil {
			return err
		}
		for _, p := range burst {
			if neighbourDiscovery(p.Data) {
				continue
			}
			for _, b := range mangle(slices.Clone(p.Data)) {
				if err := to.write(VnetHdr{}, b); err != nil {
					return err
				}
				if recorded && keep(b) && !w.full() {
					w.packets = append(w.packets, Recorded{time.Now(), b})
					w.bytes += len(b)
				}
			}
		}
		if recorded && w.full() {
			w.done()
		}
	}
	return nil
}

// neighbourDiscovery reports whether a packet is ICMPv6 of types 130 to 143: MLD,
// router or neighbour discovery.
func neighbourDiscovery(b []byte) bool {
	if len(b) < 41 || b[0]>>4 != 6 {
		return false
	}
	next, at := b[6], 40
	if next == unix.IPPROTO_HOPOPTS && len(b) > 49 { // MLD's router alert
		next, at = b[40], 48
	}
	return next == unix.IPPROTO_ICMPV6 && b[at] >= 130 && b[at] <= 143
}

// Helpers of the mangle and keep functions.

// l4Of returns the L4 header and payload of a packet without IP options or extension
// headers.
func l4Of(b []byte) []byte {
	if b[0]>>4 == 6 {
		return b[40:]
	}
	return b[20:]
}

func tcpPayload(b []byte) int {
	l4 := l4Of(b)
	return len(l4) - int(l4[12]>>4)*4
}

// fromMiddle keeps the handshake, and everything after the first PSH that follows the
// given number of payload bytes.
func fromMiddle(skip int) func() func([]byte) bool {
	return func() func([]byte) bool {
		seen, n, open := 0, 0, false
		return func(b []byte) bool {
			const psh = 8
			n++
			take := n <= 2 || open
			seen += tcpPayload(b)
			open = open || seen > skip && l4Of(b)[13]&psh != 0
			return take
		}
	}
}

// ce marks one to three consecutive data packets as Congestion Experienced, with a
// probability of 1 in 50.
func ce() func([]byte) [][]byte {
	r := rand.New(rand.NewPCG(6, 6))
	left := 0
	return func(b []byte) [][]byte {
		if tcpPayload(b) == 0 || b[1]&3 == 0 {
			return [][]byte{b}
		}
		if left == 0 && r.IntN(50) == 0 {
			left = 1 + r.IntN(3)
		}
		if left > 0 {
			left--
			b[1] |= 3
			b[10], b[11] = 0, 0
			check := ^sum(b[:20], 0)
			b[10], b[11] = byte(check>>8), byte(check)
		}
		return [][]byte{b}
	}
}

// reorder drops 2 %, holds back 1.8 % by 2 to 6 positions, and duplicates 2 %, after
// 20 data packets.
func reorder(seed uint64) func() func([]byte) [][]byte {
	return func() func([]byte) [][]byte {
		r := rand.New(rand.NewPCG(seed, seed))
		n, wait := 0, 0
		var back []byte
		return func(b []byte) (out [][]byte) {
			if tcpPayload(b) > 0 {
				n++
			}
			out = [][]byte{b}
			if n > 20 {
				switch x := r.IntN(1000); {
				case x < 20:
					out = nil
				case x < 38 && back == nil:
					back, wait, out = b, 2+r.IntN(5), nil
				case x < 58:
					out = [][]byte{b, slices.Clone(b)}
				}
			}
			if wait--; back != nil && wait <= 0 {
				out, back = append(out, back), nil
			}
			return out
		}
	}
}
