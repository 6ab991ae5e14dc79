package tun

import "tunproof/offload"

// Stats are counters of all queues since the device was opened. In every snapshot,
// the sums given with the fields are exact.
type Stats struct {
	Read  ReadStats
	Write WriteStats

	// Refused has the protocols that were switched off because the kernel refused one
	// of their superpackets, until SetDisabled(p, false). UDPLimited reports that the
	// kernel refused a superpacket of more than 64 datagrams, as kernels before 6.9
	// do. From then on no superpacket has more.
	Refused    Protocols
	UDPLimited bool
}

// ReadStats counts reads. Reads = Truncated + Invalid + the packets and superpackets
// that were cut.
type ReadStats struct {
	Reads        uint64 // packets and superpackets that the kernel handed out
	Superpackets uint64 // those of them with a GSO type
	Truncated    uint64 // longer than any IP packet, dropped
	Invalid      uint64 // refused by Segmenter.Reset, dropped
	Packets      uint64 // segments and packets given to the caller
	Bytes        uint64 // length of those, from the IP header on
	Short        uint64 // segments and packets dropped because the caller's buffer was too short
}

func (s *ReadStats) add(d *ReadStats) {
	s.Reads += d.Reads
	s.Superpackets += d.Superpackets
	s.Truncated += d.Truncated
	s.Invalid += d.Invalid
	s.Packets += d.Packets
	s.Bytes += d.Bytes
	s.Short += d.Short
}

// WriteStats counts written packets. Packets = Sent + Refused + Down + NoMemory +
// Failed + Unsent, and Packets is the sum of Reasons.
type WriteStats struct {
	Packets uint64                     // given to WriteBatch
	Reasons [offload.NumReasons]uint64 // those by their Reason in Coalesce

	Sent     uint64 // taken by the kernel
	Refused  uint64 // EINVAL for the packet alone: not an IP packet
	Down     uint64 // EIO: the interface is down
	NoMemory uint64 // ENOBUFS, ENOMEM
	Failed   uint64 // any other errno
	Unsent   uint64 // left when the queue was closed, the interface deleted, or the deadline passed

	Bytes        uint64 // length of the packets sent, from the IP header on
	Writes       uint64 // writes that the kernel took
	Superpackets uint64 // those of them with a GSO type
	Resent       uint64 // packets sent one by one because their superpacket was refused
	Waits        uint64 // times that a write waited because the kernel had no room
	RecordErrors uint64 // records of a refusal that could not be saved
}

func (s *WriteStats) add(d *WriteStats) {
	s.Packets += d.Packets
	for i := range s.Reasons {
		s.Reasons[i] += d.Reasons[i]
	}
	s.Sent += d.Sent
	s.Refused += d.Refused
	s.Down += d.Down
	s.NoMemory += d.NoMemory
	s.Failed += d.Failed
	s.Unsent += d.Unsent
	s.Bytes += d.Bytes
	s.Writes += d.Writes
	s.Superpackets += d.Superpackets
	s.Resent += d.Resent
	s.Waits += d.Waits
	s.RecordErrors += d.RecordErrors
}
