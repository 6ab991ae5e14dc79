// SPDX-License-Identifier: MIT

package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/packet"
)

// Run is consecutive packets of a capture, from the first to the last number.
type Run = capture.Run

const (
	maxKinds  = 1000 // kinds of findings that are counted
	maxSupers = 1 << 16
)

// folder collects findings. Those that differ only in their packets and in the values of the
// same fields are one, if their checksums are as right and the TTL changed by as much.
type folder struct {
	most  int // findings to keep
	list  []*Finding
	alike map[string]*Finding
	what  map[string]int // the number of findings, by what happened
	more  int            // findings that were not kept
	flaws int            // those of superpackets whose segments came through
	kinds []Kind
	hops  map[string]map[int]int // changes that a hop can have made, by their fields and by how much the TTL fell
	loss  loss
}

// Kind counts the findings of the same fields and rule.
type Kind struct {
	Name, Rule string
	N          int
}

func newFolder(most int) *folder {
	return &folder{most: most, alike: map[string]*Finding{}, what: map[string]int{}, hops: map[string]map[int]int{}}
}

// fell returns by how much the TTL or hop limit is lower.
func fell(fields []packet.Difference) int {
	for _, d := range fields {
		if d.Field == "ip.ttl" || d.Field == "ip.hop_limit" {
			return int(d.Want[0]) - int(d.Got[0])
		}
	}
	return 0
}

// add takes a finding.
func (c *folder) add(f Finding) {
	f.Count = max(1, f.Count)
	runs := f.Runs
	f.Runs = [2][]Run{}
	c.what[f.What] += f.Count
	names := strings.Join(f.FieldNames(), ",")
	if f.hop && len(c.hops) < maxKinds {
		if c.hops[names] == nil {
			c.hops[names] = map[int]int{}
		}
		c.hops[names][fell(f.Fields)]++
	}
	switch {
	case f.What == Lost:
		c.loss.add(f)
	case f.flaw:
		c.flaws++
	}
	name := f.What
	for i, field := range f.FieldNames() {
		name += [...]string{": ", ", "}[min(i, 1)] + field
		if slices.Contains(f.spoiled, field) {
			name += " (wrong)"
		}
	}
	i := slices.IndexFunc(c.kinds, func(k Kind) bool { return k.Name == name && k.Rule == f.Rule })
	switch {
	case i >= 0:
		c.kinds[i].N += f.Count
	case len(c.kinds) < maxKinds:
		c.kinds = append(c.kinds, Kind{name, f.Rule, f.Count})
	}
	key := fmt.Sprint(name, f.Rule)
	switch f.What {
	case Changed:
		key += f.Text + f.outcome
	case Duplicated:
		key += fmt.Sprint(f.flow)
	default:
		key += fmt.Sprint(f.flow, f.part, f.Text)
	}
	g := c.alike[key]
	switch {
	case g != nil:
		g.Count += f.Count
		g.Bytes += f.Bytes
	case len(c.list) >= c.most:
		c.more++
		return
	default:
		g = &f
		c.list = append(c.list, g)
		c.alike[key] = g
	}
	for side, n := range f.Packets {
		if n > 0 {
			g.Runs[side] = capture.AddRun(g.Runs[side], n)
		}
		for _, r := range runs[side] {
			for n := r[0]; n <= r[1]; n++ {
				g.Runs[side] = capture.AddRun(g.Runs[side], n)
			}
		}
	}
}

// findings returns the findings in the order of their first packets.
func (c *folder) findings() (list []Finding) {
	for _, f := range c.list {
		list = append(list, *f)
	}
	sortFindings(list)
	return list
}

// total returns the number of findings.
func (c *folder) total() (n int) {
	for _, k := range c.what {
		n += k
	}
	return n
}

// loss describes what is lost.
type loss struct {
	packets, bytes, runs, longest int
	last                          map[packet.Flow]lastLost
	supers                        map[int]*lostSegments // by the number of the packet
}

// lastLost is where the latest run of lost packets of a flow ends.
type lastLost struct{ at, segment, of, run int }

// lostSegments counts the lost segments of a superpacket.
type lostSegments struct{ of, n, first, last int }

// add takes a lost packet or segment.
func (l *loss) add(f Finding) {
	if l.last == nil {
		l.last, l.supers = map[packet.Flow]lastLost{}, map[int]*lostSegments{}
	}
	l.packets += f.Count
	l.bytes += f.Bytes
	segment := f.Segments[Before]
	if s := l.supers[f.Packets[Before]]; s != nil {
		s.n++
		s.first, s.last = min(s.first, segment), max(s.last, segment)
	} else if f.of > 0 && len(l.supers) < maxSupers {
		l.supers[f.Packets[Before]] = &lostSegments{f.of, 1, segment, segment}
	}
	x, known := l.last[f.flow]
	switch next := f.at == x.at && segment == x.segment+1 || f.at == x.at+1 && x.segment == x.of && segment <= 1; {
	case known && next && f.at > 0:
		x.run += f.Count
	default:
		l.runs++
		x.run = f.Count
	}
	l.longest = max(l.longest, x.run)
	x.at, x.segment, x.of = f.at, segment, f.of
	if known || len(l.last) < maxSupers {
		l.last[f.flow] = x
	}
}

// where returns which segments of their superpackets are lost, "" if none was cut.
func (l *loss) where() string {
	whole, tail, head := 0, 0, 0
	for _, s := range l.supers {
		switch {
		case s.n == s.of:
			whole++
		case s.first+s.n == s.of+1:
			tail++
		case s.first == 1 && s.last == s.n:
			head++
		}
	}
	switch n := len(l.supers); n {
	case 0:
		return ""
	case whole:
		return "whole superpackets"
	case tail:
		return "the last segments of superpackets"
	case head:
		return "the first segments of superpackets"
	case whole + tail:
		return "whole superpackets, and the last segments of others"
	default:
		return "segments scattered over superpackets"
	}
}

// sortedKinds returns the kinds, the most frequent first.
func (c *folder) sortedKinds() []Kind {
	list := slices.Clone(c.kinds)
	slices.SortStableFunc(list, func(x, y Kind) int { return cmp.Compare(y.N, x.N) })
	return list
}
