// Package recent remembers what was asked for lately, for work on streams in
// bounded memory.
package bounded

import "iter"

// Map is a map of bounded size, in two generations: of what was not asked for
// lately, and of what Keep does not hold, it forgets.
type Map[K comparable, V any] struct {
	Most     int          // of a generation
	Keep     func(V) bool // nil for none
	Gone     func(V)      // called with what is forgotten; nil for nothing
	now, old map[K]V
	made     int
}

// Get returns the value of a key, or makes one, with a number of its own.
func (m *Map[K, V]) Get(key K, fresh func(id int) V) V {
	if v, ok := m.now[key]; ok {
		return v
	}
	v, ok := m.old[key]
	if ok {
		delete(m.old, key)
	} else {
		m.made++
		v = fresh(m.made)
	}
	m.Put(key, v)
	return v
}

// Has returns the value of a key, if it is remembered.
func (m *Map[K, V]) Has(key K) (V, bool) {
	v, ok := m.now[key]
	if !ok {
		v, ok = m.old[key]
	}
	return v, ok
}

// Put sets it.
func (m *Map[K, V]) Put(key K, v V) {
	if m.now == nil {
		m.now = map[K]V{}
	}
	if len(m.now) >= m.Most {
		now := map[K]V{}
		for k, v := range m.old {
			switch {
			case m.Keep != nil && m.Keep(v):
				now[k] = v
			case m.Gone != nil:
				m.Gone(v)
			}
		}
		m.old, m.now = m.now, now
	}
	m.now[key] = v
}

// Values are all that is remembered.
func (m *Map[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, generation := range []map[K]V{m.now, m.old} {
			for _, v := range generation {
				if !yield(v) {
					return
				}
			}
		}
	}
}
