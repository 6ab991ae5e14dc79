// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
)

// manyTries are more than any of these tests needs.
const manyTries = 10000

// TestMinimise checks that exactly the packets, settings and bytes are left that the failure
// needs.
func TestMinimise(t *testing.T) {
	s := Scenario{Config: pkts.Config{Reorder: true, AtomicIDs: true, MaxOpen: 3}}
	for i := range 3 {
		var batch [][]byte
		for k := range 7 {
			batch = append(batch, []byte{byte(i), byte(k)})
		}
		s.Batches = append(s.Batches, batch)
	}
	tries := 0
	small := Minimise(s, func(s *Scenario) bool {
		if tries++; tries > manyTries {
			t.Fatal("it does not end")
		}
		var all []byte
		for _, b := range s.Batches {
			for _, p := range b {
				all = append(all, p[0]<<4|p[1])
			}
		}
		return s.Config.AtomicIDs && bytes.Contains(all, []byte{0x03}) && bytes.Contains(all, []byte{0x25})
	})
	want := Scenario{Config: pkts.Config{AtomicIDs: true}, Batches: [][][]byte{{{0, 3}}, {{2, 5}}}}
	if !small.Equal(want) {
		t.Errorf("%v after %d tries", small, tries)
	}
	if got := MinimiseList([]byte("a long input whose middle fails"), func(b []byte) bool { return bytes.Contains(b, []byte("mid")) }); string(got) != "mid" {
		t.Errorf("%q", got)
	}
}

// TestTries checks in which order parts are left out: halves, quarters, single items, and
// these until none can be left out.
func TestTries(t *testing.T) {
	for _, c := range []struct{ list, need, tries string }{
		{"abcdefgh", "f", "efgh  gh ef f  "},
		{"abcdefgh", "ah", "efgh abcd cdefgh abefgh abgh ab bgh agh ah a h a"},
		{"abc", "c", "bc c  "},
		{"abc", "abc", "bc ac ab"},
		{"abcde", "be", "cde abe ab be e b e b"},
		{"a", "a", ""},
		{"a", "", ""},
		{"", "", ""},
	} {
		var tries []string
		got := MinimiseList([]byte(c.list), func(b []byte) bool {
			if tries = append(tries, string(b)); len(tries) > manyTries {
				t.Fatal("it does not end")
			}
			for _, n := range []byte(c.need) {
				if !bytes.Contains(b, []byte{n}) {
					return false
				}
			}
			return true
		})
		if string(got) != c.need || strings.Join(tries, " ") != c.tries {
			t.Errorf("%s to %s: %q by %q, want %q", c.list, c.need, got, strings.Join(tries, " "), c.tries)
		}
	}
}

// TestMinimiseSettings checks that exactly those settings are left that the failure needs,
// together with those that are reset with them.
func TestMinimiseSettings(t *testing.T) {
	all := pkts.Config{Reorder: true, AtomicIDs: true, MaxSegments: 1, MaxUDPSegments: 2, MaxOpen: 3, MaxPerFlow: 4, DisableTCPv4: true, DisableTCPv6: true, DisableUDP: true}
	limits := pkts.Config{MaxSegments: 1, MaxUDPSegments: 2, MaxOpen: 3, MaxPerFlow: 4}
	off := pkts.Config{DisableTCPv4: true, DisableTCPv6: true, DisableUDP: true}
	for _, c := range []struct {
		need func(c pkts.Config) bool
		want pkts.Config
	}{
		{func(c pkts.Config) bool { return true }, pkts.Config{}},
		{func(c pkts.Config) bool { return c.Reorder }, pkts.Config{Reorder: true}},
		{func(c pkts.Config) bool { return c.AtomicIDs }, pkts.Config{AtomicIDs: true}},
		{func(c pkts.Config) bool { return c.MaxSegments == 1 }, limits},
		{func(c pkts.Config) bool { return c.MaxUDPSegments == 2 }, limits},
		{func(c pkts.Config) bool { return c.MaxOpen == 3 }, limits},
		{func(c pkts.Config) bool { return c.MaxPerFlow == 4 }, limits},
		{func(c pkts.Config) bool { return c.DisableTCPv4 }, off},
		{func(c pkts.Config) bool { return c.DisableTCPv6 }, off},
		{func(c pkts.Config) bool { return c.DisableUDP }, off},
		{func(c pkts.Config) bool { return c == all }, all},
	} {
		s := Scenario{Config: all, Supers: []Super{{Data: []byte{1}}}}
		tries := 0
		got := Minimise(s, func(s *Scenario) bool {
			if tries++; tries > manyTries {
				t.Fatal("it does not end")
			}
			return c.need(s.Config)
		})
		if got.Config != c.want || len(got.Supers) != 1 {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
	Minimise(Scenario{Supers: []Super{{}}}, func(*Scenario) bool {
		t.Error("settings are tried that are no others")
		return true
	})
}

// TestMinimiseSupers checks that superpackets are left out like packets, that batches that
// become empty are left out, that no scenario without packets is tried, and that the input
// stays as it is.
func TestMinimiseSupers(t *testing.T) {
	s := Scenario{Batches: [][][]byte{{{1}, {2}}, {{3}}}, Supers: []Super{{Data: []byte{4}}, {Data: []byte{5}}, {Data: []byte{6}}}}
	if n := Items(&s); n != 6 {
		t.Errorf("%d items", n)
	}
	for _, c := range []struct {
		need []byte
		want Scenario
	}{
		{[]byte{5}, Scenario{Supers: s.Supers[1:2]}},
		{[]byte{3}, Scenario{Batches: s.Batches[1:]}},
		{[]byte{2, 6}, Scenario{Batches: [][][]byte{{{2}}}, Supers: s.Supers[2:]}},
		{[]byte{1, 2, 3, 4, 5, 6}, s},
	} {
		tries := 0
		got := Minimise(s, func(s *Scenario) bool {
			if tries++; tries > manyTries {
				t.Fatal("it does not end")
			}
			if Items(s) == 0 {
				t.Error("a scenario of no packets is tried")
			}
			var all []byte
			for _, b := range s.Batches {
				if len(b) == 0 {
					t.Error("a scenario has an empty batch")
				}
				all = append(all, bytes.Join(b, nil)...)
			}
			for _, p := range s.Supers {
				all = append(all, p.Data...)
			}
			for _, n := range c.need {
				if !bytes.Contains(all, []byte{n}) {
					return false
				}
			}
			return true
		})
		if !got.Equal(c.want) {
			t.Errorf("%v: %x, want %x", c.need, got, c.want)
		}
	}
	if !bytes.Equal(s.Batches[0][0], []byte{1}) || !bytes.Equal(s.Supers[0].Data, []byte{4}) {
		t.Error("the input was changed")
	}
}
