// SPDX-License-Identifier: MIT

package pcap

import (
	"math/bits"
	"time"
)

// clock describes the time stamps of a pcapng interface.
type clock struct {
	resolution byte  // if_tsresol: the unit is 10^-n seconds, or 2^-n if the high bit is set
	offset     int64 // if_tsoffset: seconds to add
}

// time converts a time stamp, with nanosecond precision. For a time outside the range
// of time.Time the result is arbitrary.
func (c clock) time(ts uint64) time.Time {
	seconds, nanos := uint64(0), uint64(0)
	switch n := int(c.resolution & 0x7f); {
	case c.resolution&0x80 != 0:
		if n < 64 {
			seconds = ts >> n
			ts -= seconds << n
		}
		hi, lo := bits.Mul64(ts, 1e9)
		nanos = shift(hi, lo, n)
	case n <= 19:
		units := pow10(n)
		seconds, nanos = ts/units, ts%units
		if n <= 9 {
			nanos *= pow10(9 - n)
		} else {
			nanos /= pow10(n - 9)
		}
	case n-9 <= 19: // the unit is so short that a time stamp is less than a second
		nanos = ts / pow10(n-9)
	}
	return time.Unix(int64(seconds)+c.offset, int64(nanos))
}

// shift returns the low half of hi:lo >> n, for n up to 127.
func shift(hi, lo uint64, n int) uint64 {
	if n >= 64 {
		return hi >> (n - 64)
	}
	return hi<<(64-n) | lo>>n
}

// pow10 returns 10^n, for n up to 19.
func pow10(n int) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}
