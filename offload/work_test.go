// SPDX-License-Identifier: MIT

//go:build invariants

package offload

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestWork counts the work of batches that are made to be expensive (C7), and of a
// cheap one: comparisons of keys and headers for each packet, and bytes summed for
// each byte of the packets. The limits are close to the counts.
func TestWork(t *testing.T) {
	const n, size = 1024, 200
	r := rand.New(rand.NewPCG(7, 7))
	one := func(i int) flow { return flow{port: 1} }
	for _, c := range []struct {
		name     string
		cfg      Config
		pkts     [][]byte
		compared float64 // comparisons a packet, at most and approximately
		summed   float64 // bytes summed a byte
	}{
		{"friendly: one flow", Config{}, each(n, func(i int) []byte { return one(i).packet(i, size) }), 1.01, 0.93},
		{"one flow, none adjacent", Config{}, each(n, func(i int) []byte { return one(i).packet(2*i, size) }), 3, 0.93},
		{"one flow, each before the last", Config{Order: Reorder}, each(n, func(i int) []byte { return one(i).packet(2*(n-i), size) }), 2 + 2*4, 0.93},
		{"one flow, at most tried", Config{Order: Reorder, MaxPerFlow: 64}, each(n, func(i int) []byte { return one(i).packet(3*i, size) }), 2 + 2*64 - 4, 0.93},
		{"one flow, wrong at the last byte", Config{}, each(n, func(i int) []byte {
			p := one(i).packet(i, size)
			if i > 0 {
				p[len(p)-1]++
			}
			return p
		}), 3.0 / n, 0.93},
		{"one flow, right and wrong in turn", Config{}, each(n, func(i int) []byte {
			p := one(i).packet((i+1)/2, size)
			p[len(p)-1] += byte(i % 2)
			return p
		}), 1.51, 1.38},
		{"all different ports", Config{}, each(n, func(i int) []byte { return flow{port: uint16(i)}.packet(0, size) }), 1.3, 0.93},
		{"two flows in turn", Config{}, each(n, func(i int) []byte { return flow{port: uint16(i % 2)}.packet(i/2, size) }), 1.1, 0.93},
		{"two flows with the same ports in turn", Config{}, each(n, func(i int) []byte { return addressed(uint64(i%2), false) }), 4.1, 0.93},
		{"no flows, one address pair each, then flows", Config{}, each(n, func(i int) []byte {
			p := addressed(uint64(i)<<32|7, false)
			if i < n/2 {
				p[9] = 1
			}
			return p
		}), 2.01, 0.47},
	} {
		t.Run(c.name, func(t *testing.T) { checkWork(t, c.cfg, c.pkts, c.compared, c.summed) })
	}

	// These try to cause collisions: with keys that weak hashes put together, and
	// with keys that collide in another table.
	for name, address := range map[string]func(i int) uint64{
		"low bits":      func(i int) uint64 { return uint64(i) },
		"high bits":     func(i int) uint64 { return uint64(i) << 54 },
		"both halves":   func(i int) uint64 { return uint64(i)<<32 | uint64(i) },
		"cancelling":    func(i int) uint64 { return uint64(i)<<32 | uint64(n-i) },
		"multiples":     func(i int) uint64 { return uint64(i) * 0x9E3779B97F4A7C15 },
		"powers of two": func(i int) uint64 { return 1<<(i%64) ^ 1<<(i/64%64) },
		"random":        func(int) uint64 { return r.Uint64() },
	} {
		for _, v6 := range []bool{false, true} {
			pkts := each(n, func(i int) []byte { return addressed(address(i), v6) })
			t.Run(fmt.Sprintf("collisions sought: %s, v6=%v", name, v6), func(t *testing.T) { checkWork(t, Config{}, pkts, 2.7, 0.93) })
		}
	}
	t.Run("collisions of another table", func(t *testing.T) {
		other := newFlowTable()
		var pkts [][]byte
		for i := uint64(0); len(pkts) < n; i++ {
			p := addressed(i, false)
			var q parsed
			q.parse(p)
			if other.hash(&q.key)&1023 == 0 {
				pkts = append(pkts, p)
			}
		}
		checkWork(t, Config{}, pkts, 2.7, 0.93)
	})
}

// checkWork takes the mean over random multipliers of the table.
func checkWork(t *testing.T, cfg Config, pkts [][]byte, compared, summed float64) {
	const draws = 64
	bytes := 0
	for _, p := range pkts {
		bytes += len(p)
	}
	co, err := NewCoalescer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	for range draws {
		for i := range co.table.multipliers {
			co.table.multipliers[i] = r.Uint64()
		}
		co.Coalesce(pkts)
	}
	gotCompared := float64(co.compared.n+co.table.compared.n) / float64(draws*len(pkts))
	gotSummed := float64(co.summed.n) / float64(draws*bytes)
	t.Logf("%.2f comparisons a packet, %.2f bytes summed a byte", gotCompared, gotSummed)
	if gotCompared > compared || gotSummed > summed || gotCompared < 0.75*compared || gotSummed < 0.9*summed {
		t.Errorf("%.2f comparisons a packet, at most, and about, %g; %.2f bytes summed a byte, %g", gotCompared, compared, gotSummed, summed)
	}
}

func each(n int, packet func(i int) []byte) (pkts [][]byte) {
	for i := range n {
		pkts = append(pkts, packet(i))
	}
	return pkts
}

// addressed returns a packet whose addresses contain the given word.
func addressed(word uint64, v6 bool) []byte {
	p := flow{port: 1, v6: v6}.packet(0, 200)
	at, l4Off := 12, 20
	if v6 {
		at, l4Off = 16, 40
	}
	binary.BigEndian.PutUint64(p[at:], word)
	seal(p, l4Off, protoTCP)
	return p
}
