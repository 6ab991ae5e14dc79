package tunlive

import "time"

// Offload is the code under test, between two TUNs. Each direction has its own.
type Offload interface {
	// Segment calls emit with each packet of a superpacket that was read, which it
	// may change. What it emits is used before emit returns.
	Segment(h VnetHdr, packet []byte, emit func(packet []byte)) error
	// Coalesce calls write with what is to be written for a batch of packets.
	Coalesce(batch [][]byte, write func(h VnetHdr, packet []byte) error) error
}

// Impairment is what is done to packets between the hosts, each with a chance of
// one in so many; 0 is never.
type Impairment struct {
	Seed               uint64
	Lose, Double, Swap int
}

// EndToEnd is traffic between the sockets of two hosts.
type EndToEnd struct {
	V6         bool
	Bytes      int // of TCP, each way at the same time
	Datagrams  int // of UDP, each way; sent with UDP_SEGMENT where GSO is set
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

// Report is what came of it.
type Report struct {
	Bytes                    int64    // of TCP, compared
	Sent, Received, Distinct int64    // datagrams, and how many different ones were received
	Superpackets, Packets    int64    // read from the TUNs, and cut to
	Written                  int64    // superpackets and packets written
	Lost, Doubled, Swapped   int64    // between the hosts
	Counters                 []string // of errors, that moved: must be none
}

// TrafficError is what is wrong with traffic: bytes that are not those that were
// sent, an end that stalls, a write that is refused.
type TrafficError struct{ Err error }

func (e *TrafficError) Error() string { return e.Err.Error() }
func (e *TrafficError) Unwrap() error { return e.Err }
