package offload

import "hash/maphash"

// flowKey is a flow, or with ports zero an address pair: what packets must have
// in common to conflict (C4). It is read from the slice alone.
type flowKey struct {
	srcHi, srcLo, dstHi, dstLo uint64 // IPv4: source and destination in srcHi
	ports                      uint64 // version, protocol, ports; of a pair the version only
}

// pair returns the address pair of a flow's key. A flow's protocol is never
// zero, so no flow's key is a pair's.
func (k flowKey) pair() flowKey {
	k.ports &= 0xF << 40
	return k
}

// pseudoHeaderSum is PseudoHeaderSum of the key's addresses, for a length of at
// most 65,535.
func (k *flowKey) pseudoHeaderSum(proto uint8, l4Len int) uint16 {
	return fold64(uint64(proto) + uint64(l4Len) + halves(k.srcHi) + halves(k.srcLo) + halves(k.dstHi) + halves(k.dstLo))
}

// none is no packet and no superpacket.
const none int32 = -1

// slot is what is known of one key in this batch.
type slot struct {
	key   flowKey
	batch uint64 // in which it was written; it is free in any other
	last  int32  // the latest packet with this key
	// super is the superpacket that the flow's next packet would join: in order
	// that of packet last if it is a candidate's, else none; in Reorder the one
	// opened latest.
	super int32
}

// flowTable is an open-addressed hash table of the keys in one batch. It holds
// every key of the batch, so what is found depends on no collision; the hash is
// keyed at random, so that nobody who chooses addresses and ports can choose
// collisions. It is emptied by counting batches.
type flowTable struct {
	seed   maphash.Seed
	slots  []slot // a power of two, at least twice the keys
	batch  uint64
	recent *slot // that was found last, nil if none was in this batch
}

// reset empties the table and makes room for n keys, half of it free.
func (t *flowTable) reset(n int) {
	t.batch++
	t.recent = nil
	size := max(len(t.slots), 16)
	for size < 2*n {
		size *= 2
	}
	if size > len(t.slots) {
		t.slots = make([]slot, size)
	}
}

// find returns the key's slot, made if it was not there: then last is none.
// The pointer is valid until reset. A run of one flow costs no lookup.
func (t *flowTable) find(key *flowKey) *slot {
	if t.recent != nil && t.recent.key == *key {
		return t.recent
	}
	s := t.probe(*key)
	if s.batch != t.batch {
		*s = slot{key: *key, batch: t.batch, last: none, super: none}
	}
	t.recent = s
	return s
}

// last returns the latest packet with the key. It adds no slot: at most one for
// each packet of a batch is what reset makes room for.
func (t *flowTable) last(key flowKey) int32 {
	if s := t.probe(key); s.batch == t.batch {
		return s.last
	}
	return none
}

// probe returns the key's slot, or the free one where it would be.
func (t *flowTable) probe(key flowKey) *slot {
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Comparable(t.seed, key); ; i++ {
		if s := &t.slots[i&mask]; s.batch != t.batch || s.key == key {
			return s
		}
	}
}
