package offload

import "hash/maphash"

// flowKey is a flow, or with ports zero an address pair: what packets must have
// in common to conflict (C4). It is read from the slice alone.
type flowKey struct {
	srcHi, srcLo, dstHi, dstLo uint64 // IPv4: source and destination in srcHi
	ports                      uint64 // whether it is IPv6, protocol, ports; of a pair only the first
}

// ipv6Ports is what ports has in it of IPv6.
const ipv6Ports = 1 << 40

// pair returns the address pair of a flow's key. A flow's protocol is never
// zero, so no flow's key is a pair's.
func (k flowKey) pair() flowKey {
	k.ports &= ipv6Ports
	return k
}

// equal is *k == *l, which would take a call.
func (k *flowKey) equal(l *flowKey) bool {
	return k.ports == l.ports && k.srcHi == l.srcHi && (k.srcLo^l.srcLo)|(k.dstHi^l.dstHi)|(k.dstLo^l.dstLo) == 0
}

// pseudoHeaderSum is PseudoHeaderSum of the key's addresses, for a length of at
// most 65,535.
func (k *flowKey) pseudoHeaderSum(proto uint8, l4Len int) uint16 {
	return fold64(uint64(proto) + uint64(l4Len) + halves(k.srcHi) + halves(k.srcLo) + halves(k.dstHi) + halves(k.dstLo))
}

// none is no packet, no superpacket and no slot.
const none int32 = -1

// slot is what is known of one key in this batch.
type slot struct {
	key  flowKey
	last int32 // the latest packet with this key
	// super is the superpacket that the flow's next packet would join: in order
	// that of packet last if it is a candidate's, else none; in Reorder the one
	// opened latest.
	super int32
	next  int32 // in the list of keys with the same hash
}

// flowTable holds every key of one batch, in lists by hash, so what is found
// depends on no collision.
//
// Nobody who chooses addresses and ports can choose collisions: two keys are in one
// list with a probability of 1 in the number of lists, over the draw of the
// multipliers, which nobody sees. For they differ in half a word, by less than 1<<32
// but not by zero; times a multiplier of 64 bits that makes the upper 32 bits of
// the difference of their hashes uniform, whatever the other words add. There are
// two lists a key or more, so to look one up takes less than one and a half
// comparisons on average.
type flowTable struct {
	multipliers [11]uint64
	lists       []int32 // at least two a key, a power of two: the first slot, or none
	slots       []slot  // in the order in which they were made
	recent      *slot   // that was found last, nil if none was in this batch
	compared    work    // keys
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

// find returns the key's slot, made if it was not there: then last is none.
// The pointer is valid until reset. A run of one flow costs no lookup.
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

// last returns the latest packet with the key. It adds no slot: at most one for
// each packet of a batch is what reset makes room for.
func (t *flowTable) last(key flowKey) int32 {
	if s := t.search(t.lists[t.hash(&key)&uint64(len(t.lists)-1)], &key); s != nil {
		return s.last
	}
	return none
}

// search looks for the key from slot i on.
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

// hash is the upper half of a sum of products, each of two halves of a word and
// two multipliers. What a key does not have counts as none.
func (t *flowTable) hash(k *flowKey) uint64 {
	m := &t.multipliers
	h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])
	if k.ports&ipv6Ports != 0 {
		h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])
	}
	return h >> 32
}

func product(w, a, b uint64) uint64 { return (a + w>>32) * (b + w&0xFFFFFFFF) }
