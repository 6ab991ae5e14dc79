// SPDX-License-Identifier: MIT

package exhaustive

import (
	"bytes"
	"fmt"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// Batches are all batches of 1 to Size packets of an alphabet, each in every mode.
type Batches struct {
	Letters []Letter   // at most 255
	Size    int        // 2 to 8
	Modes   []law.Mode // of law.Modes
}

// Count returns the number of batches.
func (b Batches) Count() int {
	n, power := 0, 1
	for range b.Size {
		power *= len(b.Letters)
		n += power
	}
	return n
}

// Shards returns the number of parts for Checker.Shard. A part has the batches that begin
// with one pair of letters.
func (b Batches) Shards() int { return len(b.Letters) * len(b.Letters) }

// Checker checks batches, one at a time, and keeps the Coalescers of all modes.
type Checker struct {
	of     Batches
	modes  []mode
	seg    offload.Segmenter
	wire   []byte
	letter [maxSize]byte // the batch, as indices of letters
	batch  [][]byte
	failed pkts.Config // the configuration that a violation was found with
}

// maxSize is the largest Size.
const maxSize = 8

// mode is one configuration, with production and model set up for it.
type mode struct {
	config pkts.Config
	model  model.Config
	co     *offload.Coalescer
	cut    map[string]bool // superpackets that were cut and compared before, by letters
}

// NewChecker returns a Checker of these batches, for one goroutine.
func (b Batches) NewChecker() *Checker {
	c := &Checker{of: b}
	for _, m := range b.Modes {
		c.modes = append(c.modes, mode{m.Config, law.ModelConfig(m.Config), law.Offload(m.Config), map[string]bool{}})
	}
	return c
}

// Shard checks part i of Shards and returns the number of batches checked. The error is
// a *law.Violation; Scenario then returns the batch.
func (c *Checker) Shard(i int) (int, error) {
	n := len(c.of.Letters)
	if i%n == 0 {
		c.push(i / n)
		if err := c.check(); err != nil {
			return 0, err
		}
		c.batch = c.batch[:0]
	}
	c.push(i / n)
	c.push(i % n)
	count, err := c.extend()
	if err == nil {
		c.batch = c.batch[:0]
	}
	if i%n == 0 {
		count++
	}
	return count, err
}

// extend checks the batch and all longer batches that begin with it.
func (c *Checker) extend() (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	count := 1
	if len(c.batch) == c.of.Size {
		return count, nil
	}
	for i := range c.of.Letters {
		c.push(i)
		n, err := c.extend()
		if err != nil {
			return count, err
		}
		count += n
		c.batch = c.batch[:len(c.batch)-1]
	}
	return count, nil
}

// push appends a letter to the batch.
func (c *Checker) push(letter int) {
	c.letter[len(c.batch)] = byte(letter)
	c.batch = append(c.batch, c.of.Letters[letter].Packet)
}

// Scenario returns the batch and the configuration of the violation that Shard returned.
func (c *Checker) Scenario() scenario.Scenario {
	return scenario.Scenario{Config: c.failed, Batches: [][][]byte{slices.Clone(c.batch)}}
}

// check checks the batch in every mode. A panic or a difference is a violation of P10.
func (c *Checker) check() error {
	for k := range c.modes {
		m := &c.modes[k]
		if err := law.Attempt(func() error { return c.checkMode(m) }); err != nil {
			c.failed = m.config
			if c.of.Letters == nil {
				return law.Violatedf("P10", "%v: %v", m.config, err)
			}
			var names []string
			for _, l := range c.letter[:len(c.batch)] {
				names = append(names, c.of.Letters[l].Name)
			}
			return law.Violatedf("P10", "batch of %q, %v: %v", names, m.config, err)
		}
	}
	return nil
}

// checkMode checks the batch in one mode: production gives what the model gives, and
// cutting each superpacket gives back its packets. A superpacket is cut only the first
// time its letters occur. Batches without letters are always cut.
func (c *Checker) checkMode(m *mode) error {
	got := m.co.Coalesce(c.batch)
	want, reasons := model.Coalesce(m.model, c.batch)
	for i, r := range reasons {
		if is := m.co.Reason(i).String(); is != r {
			return fmt.Errorf("packet %d: production gives Reason %s, the model %s", i, is, r)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("production makes %d superpackets, the model %d", len(got), len(want))
	}
	for i := range got {
		p, q := &got[i], want[i]
		c.wire = p.AppendTo(c.wire[:0])
		if !slices.Equal(p.Packets(), q.Members) || pkts.VnetHdr(q.Hdr) != law.PktsHdr(p.VnetHdr()) || !bytes.Equal(c.wire[offload.VnetHdrLen:], q.Bytes) {
			return fmt.Errorf("superpacket %d has packets %v and VnetHdr %v, the model's has %v and %v, or their bytes differ", i,
				p.Packets(), law.PktsHdr(p.VnetHdr()), q.Members, pkts.VnetHdr(q.Hdr))
		}
		if len(q.Members) == 1 {
			if !bytes.Equal(q.Bytes, c.batch[q.Members[0]]) || q.Hdr != (model.VnetHdr{}) {
				return fmt.Errorf("packet %d, alone in its superpacket, is changed", q.Members[0])
			}
			continue
		}
		var key [maxSize]byte
		for k, member := range q.Members {
			key[k] = c.letter[member]
		}
		if c.of.Letters != nil && m.cut[string(key[:len(q.Members)])] {
			continue
		}
		if err := c.comesBack(m.config, scenario.Super{Hdr: pkts.VnetHdr(q.Hdr), Data: q.Bytes}, q.Members); err != nil {
			return fmt.Errorf("superpacket %d: %w", i, err)
		}
		m.cut[string(key[:len(q.Members)])] = true
	}
	return ordered(m.config, want, c.batch)
}

// comesBack checks that cutting a superpacket, by production and by the model, gives back
// its packets.
func (c *Checker) comesBack(config pkts.Config, p scenario.Super, members []int) error {
	production, refused, err := law.Segment(&c.seg, p)
	if err != nil || refused != "" {
		return fmt.Errorf("production refuses it: %s %w", refused, err)
	}
	reference, refused := law.SegmentModel(p)
	if refused != "" {
		return fmt.Errorf("the model refuses it: %s", refused)
	}
	for _, segments := range [][][]byte{production, reference} {
		if len(segments) != len(members) {
			return fmt.Errorf("%d packets come back as %d segments", len(members), len(segments))
		}
		for k, m := range members {
			if !law.Same(config, k, c.batch[m], segments[k]) {
				return fmt.Errorf("packet %d comes back changed", m)
			}
		}
	}
	return nil
}

// ordered checks that each packet leaves once, that superpackets leave in the order in
// which they were opened, and that no two packets that conflict change places. With
// Reorder, TCP packets may change places.
func ordered(config pkts.Config, supers []*model.Superpacket, batch [][]byte) error {
	var position [maxSize]int
	at := 0
	for _, s := range supers {
		for _, m := range s.Members {
			at++
			if position[m] != 0 {
				return fmt.Errorf("packet %d leaves twice", m)
			}
			position[m] = at
		}
	}
	if at != len(batch) {
		return fmt.Errorf("%d of %d packets leave", at, len(batch))
	}
	last := -1
	for _, s := range supers {
		first := s.Members[0]
		if config.Reorder {
			first = slices.Min(s.Members) // the packet that opened it
		}
		if first < last {
			return fmt.Errorf("the superpacket of packet %d leaves after one that was opened later", first)
		}
		last = first
	}
	for j := range batch {
		for i := range j {
			if position[i] > position[j] && !(config.Reorder && (isTCP(batch[i]) || isTCP(batch[j]))) && model.Identify(batch[i]).Conflicts(model.Identify(batch[j])) {
				return fmt.Errorf("packet %d leaves before packet %d, with which it conflicts", j, i)
			}
		}
	}
	return nil
}

// isTCP reports whether b is a TCP packet that Reorder may move.
func isTCP(b []byte) bool {
	h := packet.Parse(b)
	return h.Proto == 6 && h.Extensions == 0
}
