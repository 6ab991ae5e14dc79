package main

import "fmt"

// claim is a ratio of medians that is aimed at. A benchmark is no test: what is
// not reached is printed, and fails nothing.
type claim struct {
	id     string // stable
	text   string
	row    string
	us, it string
	least  float64 // of how many times as fast we are
	most   float64 // or of the share of its time that we take
}

var claims = []claim{
	{id: "sum-vnni", text: "checksum of 1,448 bytes, AVX-512 VNNI", row: "Sum/size=1448", us: "tunproof", it: "nebula", least: 1.6},
	{id: "sum-avx2", text: "checksum of 1,448 bytes, AVX2 forced", row: "SumAVX2/size=1448", us: "tunproof", it: "nebula", least: 1.3},
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

// outcome is what was measured of a claim.
type outcome struct {
	claim
	ratio float64 // as it is aimed at
	holds bool
}

func (o outcome) aim() string {
	if o.least > 0 {
		return fmt.Sprintf(">= %.1f times %s's speed", o.least, o.it)
	}
	return fmt.Sprintf("<= %.1f of %s's time", o.most, o.it)
}

// outcomes are those of the claims whose rows were measured.
func outcomes(rows []*row) (list []outcome) {
	for _, c := range claims {
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
	// Two that are not of one row: no size at which we are behind, and flows.
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

func find(rows []*row, name string) *row {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}
