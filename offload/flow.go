package offload

import "hash/maphash"

// flowKey identifies a flow or, with ports zero, an address pair. Packets with equal
// keys conflict (C4). It is read from the packet's bytes alone.
type flowKey struct {
	srcHi, srcLo, dstHi, dstLo uint64 // IPv4: both addresses are in srcHi
	ports                      uint64 // the IPv6 bit, protocol and ports; for a pair only the IPv6 bit
}

// ipv6Ports is the bit of flowKey.ports that marks IPv6.
const ipv6Ports = 1 << 40

// pair returns the key of a flow's address pair. A flow's protocol is never zero, so
// no flow has the key of a pair.
func (k flowKey) pair() flowKey {
	k.ports &= ipv6Ports
	return k
}

// equal reports *k == *l, for which the compiler would emit a call.
func (k *flowKey) equal(l *flowKey) bool {
	return k.ports == l.ports && k.srcHi == l.srcHi && (k.srcLo^l.srcLo)|(k.dstHi^l.dstHi)|(k.dstLo^l.dstLo) == 0
}

// pseudoHeaderSum is PseudoHeaderSum for the key's addresses and a length of at most
// 65,535.
func (k *flowKey) pseudoHeaderSum(proto uint8, l4Len int) uint16 {
	return fold64(uint64(proto) + uint64(l4Len) + halves(k.srcHi) + halves(k.srcLo) + halves(k.dstHi) + halves(k.dstLo))
}

// none stands for no packet, no superpacket and no slot.
const none int32 = -1

// slot holds the state of one key in this batch.
type slot struct {
	key  flowKey
	last int32 // the latest packet with this key
	// super is the superpacket that the flow's next packet would join. In order, that
	// is the superpacket of packet last, or none if that packet is not a candidate.
	// In Reorder, it is the flow's superpacket that was opened latest.
	super int32
	next  int32 // the next slot in the list of keys with the same hash
}

// flowTable holds every key of one batch, in lists by hash. The results do not depend
// on collisions.
//
// An attacker who chooses addresses and ports cannot choose collisions. Over the
// random multipliers, which nobody sees, two different keys are in one list with a
// probability of 1 in the number of lists: the keys differ in half a word, by less
// than 1<<32 but not by zero. That difference times a random 64-bit multiplier makes
// the upper 32 bits of the difference of the hashes uniform, whatever the other words
// add. There are at least two lists for each key, so a lookup takes less than one and
// a half comparisons on average.
type flowTable struct {
	multipliers [11]uint64
	lists       []int32 // first slot of each list, or none; a power of two, at least twice the number of keys
	slots       []slot  // in the order in which they were made
	recent      *slot   // the slot found last, nil if none was found in this batch
	compared    work    // pairs of keys
}

func newFlowTable() (t flowTable) {
	for i := range t.multipliers {
		t.multipliers[i] = maphash.String(maphash.MakeSeed(), "")
	}
	return t
}

// reset empties the table and makes room for n keys.
func (t *flowTable) reset(n int) {
	t.recent = nil
	size := 16
	for size < 2*n {
		size *= 2
	}
	t.lists = resize(t.lists, size)
	for i := range t.lists {
		t.lists[i] = none
	}
	t.slots = resize(t.slots, n)[:0]
}

// find returns the key's slot. If there was none, it makes one, with none in last.
// The pointer is valid until reset. Consecutive packets of one flow need no lookup.
func (t *flowTable) find(key *flowKey) *slot {
	t.compared.add(1)
	if t.recent != nil && t.recent.key.equal(key) {
		return t.recent
	}
	list := &t.lists[t.hash(key)&uint64(len(t.lists)-1)]
	s := t.search(*list, key)
	if s == nil {
		t.slots = append(t.slots, slot{key: *key, last: none, super: none, next: *list})
		*list = int32(len(t.slots) - 1)
		s = &t.slots[*list]
	}
	t.recent = s
	return s
}

// last returns the latest packet with the key, or none. It adds no slot: there is
// room for one slot a packet, and find may use them all.
func (t *flowTable) last(key flowKey) int32 {
	if s := t.search(t.lists[t.hash(&key)&uint64(len(t.lists)-1)], &key); s != nil {
		return s.last
	}
	return none
}

// search looks for the key in a list, from slot i on.
func (t *flowTable) search(i int32, key *flowKey) *slot {
	for i != none {
		s := &t.slots[i]
		t.compared.add(1)
		if s.key.equal(key) {
			return s
		}
		i = s.next
	}
	return nil
}

// hash returns the upper half of a sum of products. Each product multiplies the
// halves of a word, with a multiplier added to each. Words that an IPv4 key does not
// use are left out.
func (t *flowTable) hash(k *flowKey) uint64 {
	m := &t.multipliers
	h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])
	if k.ports&ipv6Ports != 0 {
		h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])
	}
	return h >> 32
}

func product(w, a, b uint64) uint64 { return (a + w>>32) * (b + w&0xFFFFFFFF) }
