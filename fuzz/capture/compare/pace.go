package compare

// pace is how far apart two captures are in what was read of each.
type pace struct {
	read    [2]int // the number of the last packet
	matched [2]int // the number of the last one that was matched
	behind  int    // matches in a row of which one side was long read
}

// surely is how many matches in a row say that a side is read too early.
const surely = 16

// keepPace notes two units that were matched.
func (m *Matcher) keepPace(u, w *unit) {
	behind := false
	for _, x := range []*unit{u, w} {
		m.matched[x.side] = x.number
		p := &m.pending[x.side]
		full := p.n > m.cfg.FarBehind() || p.bytes > maxBytes/8
		behind = behind || full && m.read[x.side]-x.number > p.n/2
	}
	if m.behind++; !behind {
		m.behind = 0
	}
}

// Lag is how many packets of each side were read behind the last one that was
// matched.
func (m *Matcher) Lag() [2]int {
	return [2]int{m.read[Before] - m.matched[Before], m.read[After] - m.matched[After]}
}

// Adrift says that one side is read too early: all that is matched of it waited
// behind most of what waits.
func (m *Matcher) Adrift() bool { return m.behind >= surely }
