// SPDX-License-Identifier: MIT

package compare

// pace records how far each capture was read and matched. It shows whether one is read
// too far ahead of the other.
type pace struct {
	read    [2]int // the number of the last packet read
	matched [2]int // the number of the last packet matched
	late    int    // matches in a row in which one side was read long before
}

// lateLimit is the number of such matches in a row that show that a side is read too
// early.
const lateLimit = 16

// keepPace records that two units were matched.
func (m *Matcher) keepPace(u, w *unit) {
	late := false
	for _, x := range []*unit{u, w} {
		m.matched[x.side] = x.number
		p := &m.pending[x.side]
		full := p.n > m.cfg.FarBehind() || p.bytes > maxBytes/8
		late = late || full && m.read[x.side]-x.number > p.n/2
	}
	if m.late++; !late {
		m.late = 0
	}
}

// Lag returns how many packets of each side were read since its last matched one.
func (m *Matcher) Lag() [2]int {
	return [2]int{m.read[Before] - m.matched[Before], m.read[After] - m.matched[After]}
}

// Adrift reports whether one side is read too early: its packets are matched only
// after most of those that wait were read.
func (m *Matcher) Adrift() bool { return m.late >= lateLimit }
