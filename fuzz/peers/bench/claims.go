// SPDX-License-Identifier: MIT

package main

import "fmt"

// claim is an aim for a ratio of medians. A benchmark is not a test: an aim that is not
// reached is printed, but is no failure.
type claim struct {
	id     string // stable
	text   string
	row    string  // name of the row
	us, it string  // implementations that are compared
	least  float64 // aim: us is at least this many times as fast
	most   float64 // or aim: us takes at most this share of the other's time
}

var claims = []claim{
	{id: "sum-vnni", text: "checksum of 1,448 bytes, AVX-512 VNNI", row: "Sum/size=1448", us: "tunproof", it: "nebula", least: 1.6},
	{id: "sum-avx2", text: "checksum of 1,448 bytes, AVX2", row: "SumAVX2/size=1448", us: "tunproof", it: "nebula", least: 1.3},
	{id: "inplace-nebula", text: "segmenting in place, 45 of 1,448 bytes", row: segment45, us: "tunproof", it: "nebula", least: 1.4},
	{id: "inplace-tailscale", text: "segmenting in place, 45 of 1,448 bytes", row: segment45, us: "tunproof", it: "tailscale", least: 2.5},
	{id: "inplace-copy", text: "segmenting in place, 45 of 1,448 bytes", row: segment45, us: "tunproof", it: limitCopy, most: 1},
	{id: "next-tailscale", text: "segmenting to other buffers", row: segment45, us: "tunproof-next", it: "tailscale", least: 1.4},
	{id: "coalesce-nebula", text: "coalescing one flow, checksums verified; nebula verifies none", row: coalesce1, us: "tunproof", it: "nebula", most: 0.9},
	{id: "coalesce-wireguard", text: "coalescing one flow", row: coalesce1, us: "tunproof", it: "wireguard-go", most: 0.3},
}

const (
	segment45 = "Segment/proto=tcp4/size=1448/segs=45"
	coalesce1 = "Coalesce/proto=tcp4/size=1448/flows=1/pkts=128"
)

// outcome is the measured ratio of a claim.
type outcome struct {
	claim
	ratio float64 // us to it: of their speeds if least is set, of their times otherwise
	holds bool
}

// aim returns the aim as text.
func (o outcome) aim() string {
	if o.least > 0 {
		return fmt.Sprintf(">= %.1f times %s's speed", o.least, o.it)
	}
	return fmt.Sprintf("<= %.1f of %s's time", o.most, o.it)
}

// outcomes returns the outcomes of the claims whose rows were measured.
func outcomes(rows []*row) (list []outcome) {
	vnni := find(rows, "SumAVX2/size=1448") != nil // otherwise the row Sum was measured with AVX2
	for _, c := range claims {
		switch {
		case vnni:
		case c.id == "sum-vnni":
			continue
		case c.id == "sum-avx2":
			c.row = "Sum/size=1448"
		}
		r := find(rows, c.row)
		if r == nil {
			continue
		}
		o := outcome{claim: c, ratio: r.ratio(c.us, c.it)}
		if c.least > 0 {
			o.ratio = 1 / o.ratio
			o.holds = o.ratio >= c.least
		} else {
			o.holds = o.ratio <= c.most
		}
		list = append(list, o)
	}
	// Two claims span several rows: no size at which we are slower, and the flows.
	worst := outcome{claim: claim{id: "sum-sizes", text: "checksum, the worst of all sizes", it: "nebula", most: 1}}
	for _, r := range rows {
		if ratio := r.ratio("tunproof", "nebula"); r.what() == "Sum" && ratio > worst.ratio {
			worst.ratio = ratio
		}
	}
	if worst.ratio > 0 {
		worst.holds = worst.ratio <= worst.most
		list = append(list, worst)
	}
	one, many := find(rows, "Coalesce/proto=tcp4/size=200/flows=1/pkts=1024"), find(rows, "Coalesce/proto=tcp4/size=200/flows=64/pkts=1024")
	if one != nil && many != nil {
		o := outcome{claim: claim{id: "coalesce-flows", text: "coalescing 64 flows, 1,024 packets of 200 bytes", it: "one flow", most: 1.5}}
		o.ratio = many.find("tunproof").median() / one.find("tunproof").median()
		o.holds = o.ratio <= o.most
		list = append(list, o)
	}
	return list
}

// find returns the row with a name, or nil.
func find(rows []*row, name string) *row {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}
