// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"runtime"
	"testing"
	"weak"
)

// TestKeepsNothing checks that the device keeps no reference to the caller's memory after
// a call, however it ended.
func TestKeepsNothing(t *testing.T) {
	for _, errno := range append(faults["writev"], nil) {
		w := newWorld(newSim(t), Config{}, false)
		x := w.queues[0]
		var refs []weak.Pointer[byte]
		forget := func(list [][]byte) [][]byte {
			for i, b := range list {
				list[i] = append([]byte(nil), b...)
				refs = append(refs, weak.Make(&list[i][0]))
			}
			return list
		}
		if errno != nil {
			w.failures(2, "writev", errno)
		}
		var batch [][]byte
		for _, p := range w.batchOf(3, 3) {
			batch = append(batch, p.data)
		}
		x.q.WriteBatch(forget(batch))
		batch = nil
		x.d.written = nil
		x.d.send(w.super(0, 5, 100))
		x.q.ReadBatch(forget(patterned(2, 4, 200)), make([]int, 2), 4)
		x.d.file.SetReadDeadline(w.now)
		x.q.ReadBatch(forget(patterned(128, 20, 1)), make([]int, 128), 20) // drops what is left, and is late
		runtime.GC()
		for i, r := range refs {
			if r.Value() != nil {
				t.Errorf("after %v: buffer %d of %d is kept", errno, i, len(refs))
			}
		}
		runtime.KeepAlive(w)
	}
}
