// SPDX-License-Identifier: MIT

package pcap

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	for _, test := range []struct {
		resolution byte
		offset     int64
		ts         uint64
		want       time.Time
	}{
		{6, 0, 1_700_000_000_123456, time.Unix(1_700_000_000, 123456000)},
		{9, 0, 1_700_000_000_123456789, time.Unix(1_700_000_000, 123456789)},
		{0, 0, 1_700_000_000, time.Unix(1_700_000_000, 0)},
		{12, 0, 1_700_000_123456789012, time.Unix(1_700_000, 123456789)},
		{0x80 | 10, 0, 3<<10 | 512, time.Unix(3, 500_000_000)},
		{0x80, 0, 3, time.Unix(3, 0)},
		{0x80 | 32, 1_700_000_000, 1 << 31, time.Unix(1_700_000_000, 500_000_000)},
		{6, -10, 5_000_007, time.Unix(-5, 7000)},
		{127, 0, math.MaxUint64, time.Unix(0, 0)},
	} {
		if got := (clock{test.resolution, test.offset}).time(test.ts); !got.Equal(test.want) {
			t.Errorf("%#x%+d, %d: %v, want %v", test.resolution, test.offset, test.ts, got, test.want)
		}
	}
}

// Every resolution is what numbers of any length give.
func TestClockResolutions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for resolution := range 256 {
		for range 50 {
			ts := r.Uint64() >> r.IntN(64)
			units := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(resolution)), nil)
			if resolution >= 0x80 {
				units.Lsh(big.NewInt(1), uint(resolution-0x80))
			}
			seconds, rest := new(big.Int).QuoRem(new(big.Int).SetUint64(ts), units, new(big.Int))
			nanos := rest.Quo(rest.Mul(rest, big.NewInt(1e9)), units)
			want := time.Unix(int64(seconds.Uint64()), nanos.Int64())
			if got := (clock{resolution: byte(resolution)}).time(ts); !got.Equal(want) {
				t.Fatalf("%#x, %d: %v, want %v", resolution, ts, got, want)
			}
		}
	}
}
