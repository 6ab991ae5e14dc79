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

// Batches are all batches of one packet to Size packets of an alphabet, each in
// every mode.
type Batches struct {
	Letters []Letter   // at most 255
	Size    int        // 2 to 8
	Modes   []law.Mode // of target.Modes
}

// Count returns how many batches there are.
func (b Batches) Count() int {
	n, power := 0, 1
	for range b.Size {
		power *= len(b.Letters)
		n += power
	}
	return n
}

// Shards returns in how many parts they are checked: by their first two letters.
func (b Batches) Shards() int { return len(b.Letters) * len(b.Letters) }

// Checker checks batches, one at a time.
type Checker struct {
	of     Batches
	modes  []mode
	seg    offload.Segmenter
	wire   []byte
	letter [maxSize]byte // of the batch's packets
	batch  [][]byte
	failed pkts.Config // of what Shard returned a violation
}

const maxSize = 8

type mode struct {
	config pkts.Config
	model  model.Config
	co     *offload.Coalescer
	cut    map[string]bool // superpackets that came back, by letters
}

// NewChecker returns a Checker of its own for each goroutine.
func (b Batches) NewChecker() *Checker {
	c := &Checker{of: b}
	for _, m := range b.Modes {
		c.modes = append(c.modes, mode{m.Config, law.ModelConfig(m.Config), law.Offload(m.Config), map[string]bool{}})
	}
	return c
}

// Shard checks one part, of Shards, and returns how many batches that were. The
// error is a *target.Violation, and Scenario says of which batch.
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

// extend checks the batch and all longer ones that it begins.
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

func (c *Checker) push(letter int) {
	c.letter[len(c.batch)] = byte(letter)
	c.batch = append(c.batch, c.of.Letters[letter].Packet)
}

// Scenario is the batch of which Shard returned a violation.
func (c *Checker) Scenario() scenario.Scenario {
	return scenario.Scenario{Config: c.failed, Batches: [][][]byte{slices.Clone(c.batch)}}
}

// check compares production with the model, and each superpacket that is made of
// these letters for the first time, cut by both, with its packets: equal
// superpackets are cut once.
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

// checkMode checks the batch in one mode. Without letters nothing is remembered of it.
func (c *Checker) checkMode(m *mode) error {
	got := m.co.Coalesce(c.batch)
	want, reasons := model.Coalesce(m.model, c.batch)
	for i, r := range reasons {
		if is := m.co.Reason(i).String(); is != r {
			return fmt.Errorf("packet %d: production says %s, the model %s", i, is, r)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d superpackets, the model's are %d", len(got), len(want))
	}
	for i := range got {
		p, q := &got[i], want[i]
		c.wire = p.AppendTo(c.wire[:0])
		if !slices.Equal(p.Packets(), q.Members) || pkts.VnetHdr(q.Hdr) != law.PktsHdr(p.VnetHdr()) || !bytes.Equal(c.wire[offload.VnetHdrLen:], q.Bytes) {
			return fmt.Errorf("superpacket %d is of packets %v with %v, the model's of %v with %v, or their bytes differ", i,
				p.Packets(), law.PktsHdr(p.VnetHdr()), q.Members, pkts.VnetHdr(q.Hdr))
		}
		if len(q.Members) == 1 {
			if !bytes.Equal(q.Bytes, c.batch[q.Members[0]]) || q.Hdr != (model.VnetHdr{}) {
				return fmt.Errorf("packet %d, alone, is changed", q.Members[0])
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

// comesBack cuts a superpacket with production and with the model.
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
			return fmt.Errorf("%d packets come back as %d", len(members), len(segments))
		}
		for k, m := range members {
			if !law.Same(config, k, c.batch[m], segments[k]) {
				return fmt.Errorf("packet %d comes back changed", m)
			}
		}
	}
	return nil
}

// ordered checks that all packets leave, each once, superpackets in the order in which
// they were opened, and that no two packets of one flow or, as far as one has none, of
// the same addresses change places, in Reorder but for TCP.
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
		return fmt.Errorf("%d packets leave of %d", at, len(batch))
	}
	last := -1
	for _, s := range supers {
		first := s.Members[0]
		if config.Reorder {
			first = slices.Min(s.Members) // the one that opened it
		}
		if first < last {
			return fmt.Errorf("the superpacket of packet %d leaves behind one that was opened later", first)
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

// isTCP reports whether b can be a packet that Reorder moves.
func isTCP(b []byte) bool {
	h := packet.Parse(b)
	return h.Proto == 6 && h.Extensions == 0
}
