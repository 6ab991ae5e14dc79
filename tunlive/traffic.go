// SPDX-License-Identifier: MIT

package tunlive

import "time"

// Offload is the code under test between two TUNs. Each direction has its own.
type Offload interface {
	// Segment calls emit with each packet of a superpacket, which it may change. A
	// packet is no longer used after emit returns.
	Segment(h VnetHdr, packet []byte, emit func(packet []byte)) error
	// Coalesce calls write with each packet or superpacket to write for a batch.
	Coalesce(batch [][]byte, write func(h VnetHdr, packet []byte) error) error
}

// Impairment is the damage to packets between the hosts. Each field n means a
// probability of 1 in n; 0 means never.
type Impairment struct {
	Seed               uint64
	Lose, Double, Swap int
}

// EndToEnd is traffic between the sockets of two hosts.
type EndToEnd struct {
	V6         bool
	Bytes      int // of TCP, in each direction at the same time
	Datagrams  int // of UDP, in each direction; sent with UDP_SEGMENT if GSO is set
	GSO        bool
	Impairment Impairment
	Offload    func() Offload

	// Idle is how long a sender waits for datagrams that do not arrive before it takes
	// one for lost; 0 is DefaultIdle. Later it waits for each burst a few milliseconds
	// only. It changes how long a run with losses takes, not what is compared.
	Idle time.Duration
}

// DefaultIdle is long enough for a burst on a machine that is busy.
const DefaultIdle = 2 * time.Second

// Report is the result of a Run.
type Report struct {
	Bytes                    int64    // of TCP, compared
	Sent, Received, Distinct int64    // datagrams; Distinct counts each received one once
	Superpackets, Packets    int64    // read from the TUNs; packets after cutting
	Written                  int64    // superpackets and packets written
	Lost, Doubled, Swapped   int64    // packets impaired between the hosts
	Counters                 []string // error counters that moved: there must be none
}

// TrafficError is an error of the traffic: bytes that differ from those sent, an end
// that stalls, a write that is refused.
type TrafficError struct{ Err error }

func (e *TrafficError) Error() string { return e.Err.Error() }
func (e *TrafficError) Unwrap() error { return e.Err }
