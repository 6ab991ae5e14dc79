// SPDX-License-Identifier: MIT

// Package excerpt finds the smallest part of captures that still shows a finding of check
// or compare, so that it can be mailed, and kept as a case.
package excerpt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

const (
	// maxPackets and maxBytes bound the part of a capture that an excerpt is taken from.
	maxPackets = 20_000
	maxBytes   = 1 << 26
	// limit is how long packets are removed. After it the excerpt is not the smallest one.
	limit = 20 * time.Second
)

// errFar is the error if packets near a finding do not show it.
var errFar = fmt.Errorf("the finding depends on packets that are far away: the last %d packets, or %d MiB, do not show it", maxPackets, maxBytes>>20)

// errFrame is the error if the packets alone do not show a finding.
var errFrame = errors.New("the finding depends on the frames of the packets, which the file would not have")

// window is the latest packets of a capture, bounded.
type window struct {
	packets []pcap.Packet
	bytes   int
	full    bool // earlier packets are not in it
}

func (w *window) add(p pcap.Packet) {
	w.packets = append(w.packets, p)
	for w.bytes += size(p); len(w.packets) > maxPackets || w.bytes > maxBytes; w.packets = w.packets[1:] {
		w.bytes -= size(w.packets[0])
		w.full = true
	}
}

// size returns how many bytes of memory a packet has.
func size(p pcap.Packet) int { return len(p.Data) + len(p.Trailer) }

// without returns packets without the ends of their frames: an excerpt has no frames. With
// padded, the packets have these bytes after their own end, as some sums cover them.
func without(list []pcap.Packet, padded bool) []pcap.Packet {
	list = slices.Clone(list)
	for i, p := range list {
		if padded {
			list[i].Data = slices.Concat(p.Data, p.Trailer)
		}
		list[i].Trailer = nil
	}
	return list
}

// numbered returns packets with the numbers that they have in a capture of their own.
func numbered(list []pcap.Packet) []pcap.Packet {
	list = slices.Clone(list)
	for i := range list {
		list[i].Number = i + 1
	}
	return list
}

// between reports whether a packet has the same two addresses as others, in one direction
// or the other.
func between(b []byte, others ...[]byte) bool {
	ends := func(b []byte) [2]string {
		h := packet.Parse(b)
		if h.Version == 0 {
			return [2]string{}
		}
		a := h.Addresses(b)
		x, y := string(a[:len(a)/2]), string(a[len(a)/2:])
		return [2]string{min(x, y), max(x, y)}
	}
	return slices.ContainsFunc(others, func(o []byte) bool { return o != nil && ends(o) == ends(b) })
}

// smallest returns the shortest list that it finds that still shows what all of list shows:
// one of the first tries, and then fewer. ok is false if all of list does not show it.
func smallest[T any](ctx context.Context, shows func([]T) bool, tries ...[]T) (list []T, ok bool) {
	i := slices.IndexFunc(tries, shows)
	if i < 0 {
		return nil, false
	}
	until := time.Now().Add(limit)
	return scenario.MinimiseList(tries[i], func(list []T) bool {
		return ctx.Err() == nil && time.Now().Before(until) && shows(list)
	}), true
}

// others matches how a text names other packets.
var others = regexp.MustCompile(`packet \d+`)

// unnumbered returns a text without the numbers of packets.
func unnumbered(text string) string { return others.ReplaceAllString(text, "packet") }

// Check returns the smallest part of a capture that shows a finding of check: one with the
// same kind, field, values and cause.
func Check(ctx context.Context, in *capture.Source, cfg check.Config, f check.Finding) ([]pcap.Packet, error) {
	var w window
	found := false
	c := check.New(cfg, func(g check.Finding) { found = found || g == f })
	for !found {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			c.Finish()
			break
		}
		if err == nil {
			err = c.Packet(p)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		w.add(p)
	}
	shows := func(list []pcap.Packet) bool {
		shown := false
		c := check.New(cfg, func(g check.Finding) {
			shown = shown || g.Kind == f.Kind && g.Field == f.Field && g.Got == f.Got && g.Want == f.Want && unnumbered(g.Text) == unnumbered(f.Text)
		})
		for _, p := range numbered(list) {
			if c.Packet(p) != nil {
				return false
			}
		}
		c.Finish()
		return shown
	}
	if !found {
		return nil, errFar
	}
	at := slices.IndexFunc(w.packets, func(p pcap.Packet) bool { return p.Number == f.Packet })
	for _, padded := range []bool{false, true} {
		packets := without(w.packets, padded)
		tries := [][]pcap.Packet{packets}
		if at >= 0 {
			b := packets[at].Data
			flow := slices.DeleteFunc(slices.Clone(packets), func(p pcap.Packet) bool { return !between(p.Data, b) })
			tries = [][]pcap.Packet{packets[at : at+1], flow, packets}
		}
		if list, ok := smallest(ctx, shows, tries...); ok {
			return numbered(list), ctx.Err()
		}
	}
	if w.full {
		return nil, errFar
	}
	return nil, errFrame
}

// side is a packet of one of two captures.
type side struct {
	of int
	p  pcap.Packet
}

// Compare returns the smallest parts of two captures that show a finding of compare: one of
// the same kind, in the same fields, of the same packet. If possible they show no other. Of
// a lost or extra one something came through beside it, so that the captures are of the same
// traffic.
func Compare(ctx context.Context, in [2]*capture.Source, cfg compare.Config, f compare.Finding) (parts [2][]pcap.Packet, err error) {
	cfg.Each, cfg.Cut = nil, nil
	var near [2][]pcap.Packet
	for of := range in {
		if near[of], err = around(ctx, in[of], cmp.Or(f.Packets[of], f.Packets[1-of])); err != nil {
			return parts, err
		}
	}
	all := merged(without(near[0], false), without(near[1], false))
	split := func(list []side) (parts [2][]pcap.Packet) {
		for _, x := range list {
			parts[x.of] = append(parts[x.of], x.p)
		}
		return [2][]pcap.Packet{numbered(parts[0]), numbered(parts[1])}
	}
	shows := func(list []side, alone bool) bool {
		parts := split(list)
		if len(parts[0]) == 0 || len(parts[1]) == 0 {
			return false
		}
		shown, more := false, false
		cfg := cfg
		cfg.Each = func(g compare.Finding) {
			is := alike(f, g)
			shown, more = shown || is, more || !is
		}
		r, err := compare.Files(ctx, io.Discard, [2]*capture.Source{capture.Of("before", parts[0]), capture.Of("after", parts[1])}, cfg, 1)
		return err == nil && shown && !(alone && more) && r.Record.Result == record.Violated && (f.What == compare.Changed || r.Summary.Segments > 0)
	}
	var own [][]byte
	for _, x := range all {
		if x.p.Number == f.Packets[x.of] {
			own = append(own, x.p.Data)
		}
	}
	flow := slices.DeleteFunc(slices.Clone(all), func(x side) bool { return !between(x.p.Data, own...) })
	// Few packets first: to remove the others takes long, one by one.
	var tries [][]side
	for _, n := range []int{0, 1, 4} {
		tries = append(tries, beside(flow, f.Packets, n))
	}
	tries = append(tries, flow, all)
	for _, alone := range []bool{true, false} { // preferably without other findings
		if list, ok := smallest(ctx, func(list []side) bool { return shows(list, alone) }, tries...); ok {
			return split(list), ctx.Err()
		}
	}
	return parts, errFar
}

// merged returns the packets of two captures by time, each capture's in its own order. A
// superpacket is then beside its segments, and leaves with them.
func merged(before, after []pcap.Packet) (all []side) {
	for len(before) > 0 || len(after) > 0 {
		if len(after) == 0 || len(before) > 0 && !before[0].Time.After(after[0].Time) {
			all, before = append(all, side{0, before[0]}), before[1:]
		} else {
			all, after = append(all, side{1, after[0]}), after[1:]
		}
	}
	return all
}

// beside returns the packets of a finding, and n before and after each in its capture.
func beside(list []side, of [2]int, n int) (near []side) {
	for i := range of {
		var part []side
		for _, x := range list {
			if x.of == i {
				part = append(part, x)
			}
		}
		at := slices.IndexFunc(part, func(x side) bool { return x.p.Number >= cmp.Or(of[i], of[1-i]) })
		if at < 0 {
			at = len(part)
		}
		near = append(near, part[max(0, at-n):min(len(part), at+n+1)]...)
	}
	return near
}

// alike reports whether two findings say the same of a packet.
func alike(f, g compare.Finding) bool {
	return f.What == g.What && f.Rule == g.Rule && slices.Equal(f.FieldNames(), g.FieldNames()) &&
		bytes.Equal(f.Data[0], g.Data[0]) && bytes.Equal(f.Data[1], g.Data[1])
}

// around returns the packets of a capture around a number: as many before it as after it.
func around(ctx context.Context, in *capture.Source, number int) ([]pcap.Packet, error) {
	var w window
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) || err == nil && len(w.packets) >= maxPackets && p.Number > number+maxPackets/2 {
			return w.packets, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		w.add(p)
	}
}
