// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// actions are what a thread does in TestInterleavings.
var actions = map[string]func(w *world){
	"Close":      func(w *world) { w.start(w.close) },
	"CloseQueue": func(w *world) { w.start(func() { w.queues[0].q.Close() }) },
	"AddQueue":   func(w *world) { w.start(func() { w.addQueue() }) },
	"Stats":      func(w *world) { w.start(func() { w.sums(w.dev.Stats()) }) },
	"SetMTU":     func(w *world) { w.start(func() { w.number(mtuSetting, 1280) }) },
	"ReadBatch": func(w *world) {
		w.start(func() { w.queues[0].readBatch(patterned(3, 4, 200), 4) })
	},
	"ReadSuper": func(w *world) { w.start(func() { w.queues[0].readSuper(true, 2) }) },
	"WriteBatch": func(w *world) {
		batch := w.batchOf(3, 1)
		w.start(func() { w.queues[0].writeBatch(batch) })
	},
	// These are no calls of the device: it has room for no write, for some; packets come.
	"full":   func(w *world) { w.start(func() { w.queues[0].d.makeRoom(0) }) },
	"room":   func(w *world) { w.start(func() { w.queues[0].d.makeRoom(9) }) },
	"packet": func(w *world) { w.start(func() { w.queues[0].d.send(w.super(0, 2, 100)) }) },
	"delete": func(w *world) { w.start(func() { w.delete(w.link) }) },
	"rename": func(w *world) { w.start(func() { w.move(w.link, "other", w.link.ns) }) },
	"move":   func(w *world) { w.start(func() { w.move(w.link, w.link.name, 1) }) },
	"refuse": func(w *world) { w.start(func() { w.link.down = true }) },
	"late":   func(w *world) { w.start(func() { w.queues[0].q.SetDeadline(w.now) }) },
	"early": func(w *world) {
		w.start(func() {
			w.queues[0].q.SetDeadline(w.now.Add(time.Second))
			w.queues[0].q.SetDeadline(time.Time{})
		})
	},
}

// batchOf returns n packets of each of some flows.
func (w *world) batchOf(n, flows int) []outgoing {
	var list []outgoing
	for f := range flows {
		for range n {
			list = append(list, outgoing{f, w.packet(f, 100)})
		}
	}
	return list
}

// TestInterleavings runs threads in every order of their system calls. All calls end,
// all packets are counted, and no descriptor is left.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	var names []string
	for name := range actions {
		names = append(names, name)
	}
	slices.Sort(names)
	var lists []string
	for i, a := range names { // all pairs
		for _, b := range names[i:] {
			lists = append(lists, a+" "+b)
		}
	}
	if os.Getenv("LONG") != "" { // a minute
		lists = append(lists, "Close AddQueue ReadBatch", "Close AddQueue WriteBatch", "Close Close AddQueue", "Close CloseQueue AddQueue", "AddQueue AddQueue CloseQueue")
	}
	lists = append(lists, "Close AddQueue AddQueue", "Close ReadBatch packet", "Close ReadBatch ReadSuper", "Close CloseQueue ReadBatch", "Close WriteBatch Stats",
		"full WriteBatch room", "full WriteBatch room Close", "full WriteBatch room delete", "full WriteBatch late room",
		"WriteBatch refuse Close", "ReadBatch late packet", "ReadBatch delete packet", "AddQueue delete Close",
		"AddQueue move rename")
	for _, list := range lists {
		list := strings.Fields(list)
		runs, most := 0, 0
		explore(func(choose func(n int) int) {
			if runs++; runs > 30_000 {
				t.Fatalf("%v: there are more orders than there were", list)
			}
			s := newSim(t)
			w := newWorld(s, Config{MultiQueue: true}, false)
			s.fine = !slices.Contains(list, "AddQueue") && !slices.Contains(list, "SetMTU") // else there are too many
			s.choose, s.calls = choose, 0
			for _, name := range list {
				actions[name](w)
			}
			s.run()
			most = max(most, s.calls)
			s.choose = func(int) int { return 0 }
			w.finish()
		})
		t.Logf("%v: %d orders of up to %d system calls", list, runs, most)
	}
}
