// SPDX-License-Identifier: MIT

// Package bounded has a map of bounded size, for work on streams of any length in bounded
// memory.
package bounded

import "iter"

// Map is a map of bounded size. It has two generations. When the younger is full, it becomes
// the older one, and the values of the former older one are forgotten, except those that
// Keep reports true for. Get and Put move a value to the younger generation.
type Map[K comparable, V any] struct {
	Most     int          // size of a generation
	Keep     func(V) bool // reports whether a value must not be forgotten; nil: all may be
	Gone     func(V)      // called with each value that is forgotten; nil for nothing
	now, old map[K]V
	made     int
}

// Get returns the value of a key. If there is none, or it was forgotten, Get stores and
// returns fresh(id). The ids of a Map count up from 1 and are not used again.
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

// Has returns the value of a key, and reports whether there is one.
func (m *Map[K, V]) Has(key K) (V, bool) {
	v, ok := m.now[key]
	if !ok {
		v, ok = m.old[key]
	}
	return v, ok
}

// Put sets the value of a key.
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

// Values returns an iterator over all values.
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
