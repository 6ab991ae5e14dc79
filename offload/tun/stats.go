// SPDX-License-Identifier: MIT

package tun

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"

	"tunproof/offload"
)

// Stats are counters of all queues since the device was opened, or of one queue
// (Queue.Stats). A Stats is a snapshot and does not change: for package expvar, publish a
// Func that calls Device.Stats. In every snapshot, the sums given with the fields are
// exact. In JSON, and in the records of package slog, each counter has the name of its
// field, and each of Reasons that of its Reason.
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
// that were cut. Their segments are counted in Packets or Short, but for those left
// over when the queue is closed.
type ReadStats struct {
	Reads        uint64 // packets and superpackets that the kernel handed out
	Superpackets uint64 // those of them with a GSO type
	Tunnelled    uint64 // those of the superpackets that are in a UDP tunnel
	Truncated    uint64 // longer than any IP packet, dropped
	Invalid      uint64 // without bytes, or refused by Segmenter.Reset, dropped
	Failed       uint64 // reads that failed, each of which may have lost a packet
	Packets      uint64 // segments and packets given to the caller: by ReadSuper all of a superpacket at once
	Bytes        uint64 // length of those, from the IP header on
	Short        uint64 // segments and packets dropped because the caller's buffer was too short
}

func (s *ReadStats) add(d *ReadStats) {
	s.Reads += d.Reads
	s.Superpackets += d.Superpackets
	s.Tunnelled += d.Tunnelled
	s.Truncated += d.Truncated
	s.Invalid += d.Invalid
	s.Failed += d.Failed
	s.Packets += d.Packets
	s.Bytes += d.Bytes
	s.Short += d.Short
}

// WriteStats counts written packets. Packets = Sent + Refused + Down + NoMemory +
// Failed + Unsent, and Packets is the sum of Reasons.
type WriteStats struct {
	Packets uint64  // given to WriteBatch
	Reasons Reasons // those by their Reason in Coalesce

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

// Reasons are counters of packets. The one with index r is of those with
// offload.Reason r.
type Reasons [offload.NumReasons]uint64

// MarshalJSON returns an object with the name of each Reason, also of those that count 0,
// in the order of their numbers.
func (c Reasons) MarshalJSON() ([]byte, error) {
	b := []byte("{")
	for r, n := range c {
		if r > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q:%d", offload.Reason(r), n)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON sets all counters from such an object. Reasons that it lacks count 0. A
// name that is no Reason is an error, and changes nothing.
func (c *Reasons) UnmarshalJSON(b []byte) error {
	var m map[offload.Reason]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = Reasons{}
	for r, n := range m {
		c[r] = n
	}
	return nil
}

// LogValue returns a group with the Reasons that do not count 0.
func (c Reasons) LogValue() slog.Value {
	var list []slog.Attr
	for r, n := range c {
		if n > 0 {
			list = append(list, slog.Uint64(offload.Reason(r).String(), n))
		}
	}
	return slog.GroupValue(list...)
}

// LogValue returns a group with the fields.
func (s Stats) LogValue() slog.Value { return fields(s) }

// String returns the counters with their names, in JSON.
func (s Stats) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// LogValue returns a group with the fields.
func (s ReadStats) LogValue() slog.Value { return fields(s) }

// LogValue returns a group with the fields.
func (s WriteStats) LogValue() slog.Value { return fields(s) }

// fields returns a group with the fields of a struct.
func fields(of any) slog.Value {
	v := reflect.ValueOf(of)
	var list []slog.Attr
	for i := range v.NumField() {
		list = append(list, slog.Any(v.Type().Field(i).Name, v.Field(i).Interface()))
	}
	return slog.GroupValue(list...)
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
