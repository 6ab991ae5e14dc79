// SPDX-License-Identifier: MIT

package kernel

import (
	"tunproof/fuzz/law/exhaustive"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
)

// Enumerations returns the enumerations of superpackets with the kernel as judge. It is
// asked about every stride-th superpacket. The process enters namespaces of its own. Call
// the returned function at the end.
func Enumerations(stride int) ([]*exhaustive.Enumeration, func(), error) {
	if err := tunlive.Enter(); err != nil {
		return nil, nil, err
	}
	k, err := Open()
	if err != nil {
		return nil, nil, err
	}
	o := k.Cuts[0]
	if o.Missing != nil {
		k.Close()
		return nil, nil, o.Missing
	}
	check := func(o *Oracle) func() func(scenario.Super) (bool, error) {
		return func() func(scenario.Super) (bool, error) {
			var tally Tally
			s := scenario.Scenario{Supers: make([]scenario.Super, 1)}
			return func(p scenario.Super) (bool, error) {
				before := tally.Rounds
				s.Supers[0] = p
				err := k.CutsAlike(o, &s, &tally)
				return tally.Rounds > before, err
			}
		}
	}
	sizes := exhaustive.AllSizes
	sizes.Stride = exhaustive.Stride(stride)
	list := []*exhaustive.Enumeration{
		exhaustive.AllSupers("K1", exhaustive.SizesName+", "+o.Name, "kernel", sizes, check(o)),
		exhaustive.AllSupers("K1", exhaustive.PairsName+", "+o.Name, "kernel", exhaustive.Pairs{Stride: sizes.Stride}, check(o)),
	}
	if tap := k.Tunnels[0]; tap.Missing == nil { // it is asked only about superpackets in tunnels
		list = append(list, exhaustive.AllSupers("K1", exhaustive.PairsName+", "+tap.Name, "kernel", exhaustive.Pairs{Stride: sizes.Stride}, check(tap)))
	}
	for _, e := range list {
		e.Workers = 1
	}
	return list, func() { k.Close() }, nil
}
