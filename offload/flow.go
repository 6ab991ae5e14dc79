// SPDX-License-Identifier: MIT

package offload

import (
	"hash/maphash"
	"math/bits"
)

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
	hash  uint32
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
	guesses     []int32 // eight times as many: the slot looked up last with ports of each hash, also in earlier batches
	slots       []slot  // in the order in which they were made
	guessShift  uint8   // 32 less the bits of an index of guesses
	recent      int32   // the slot found last, none if none was found in this batch
	compared    work    // pairs of keys
}

func newFlowTable() flowTable {
	t := flowTable{recent: none}
	for i := range t.multipliers {
		t.multipliers[i] = maphash.String(maphash.MakeSeed(), "")
	}
	return t
}

// reset empties the table, in time proportional to the number of keys.
func (t *flowTable) reset() {
	t.recent = none
	for i := range t.slots {
		*t.list(t.slots[i].hash) = none
	}
	t.slots = t.slots[:0]
}

// list returns the first slot of the list of a hash.
func (t *flowTable) list(hash uint32) *int32 {
	return &t.lists[int(hash)&(len(t.lists)-1)]
}

// find returns the key's slot. If there was none, it makes one, with none in last.
// The pointer is valid until the next find. Consecutive packets of one flow need no
// lookup.
func (t *flowTable) find(key *flowKey) *slot {
	t.compared.add(1)
	if t.recent != none && t.slots[t.recent].key.equal(key) {
		return &t.slots[t.recent]
	}
	hash := t.hash(key)
	at := none
	if len(t.slots) > 0 {
		at = t.search(*t.list(hash), key)
	}
	if at == none {
		at = t.insert(key, hash)
	}
	t.recent = at
	*t.guessOf(uint32(key.ports)) = at
	return &t.slots[at]
}

// insert makes a slot for a key that has none, and returns its index.
func (t *flowTable) insert(key *flowKey, hash uint32) int32 {
	at := int32(len(t.slots))
	t.slots = append(t.slots, slot{key: *key, last: none, super: none, hash: hash})
	if 2*len(t.slots) <= len(t.lists) {
		t.link(at)
		return at
	}
	size := max(16, 2*len(t.lists))
	t.lists, t.guesses = make([]int32, size), make([]int32, 8*size)
	t.guessShift = uint8(bits.LeadingZeros32(uint32(8*size)) + 1)
	for i := range t.lists {
		t.lists[i] = none
	}
	for i := range t.slots {
		t.link(int32(i))
	}
	return at
}

// link puts slot i in front of its list.
func (t *flowTable) link(i int32) {
	list := t.list(t.slots[i].hash)
	t.slots[i].next = *list
	*list = i
}

// guess returns a slot of this batch that may be that of the packet's flow, or none. It
// reads the ports where they are without IPv4 options. Anything may be wrong about it.
// The table must not be empty.
func (t *flowTable) guess(pkt []byte) int32 {
	if len(pkt) < ipv6HdrLen+4 {
		return none
	}
	at := ipv4HdrLen
	if pkt[0]>>4 == 6 {
		at = ipv6HdrLen
	}
	i := *t.guessOf(be32(pkt[at:]))
	if int(i) >= len(t.slots) {
		return none // of an earlier batch
	}
	return i
}

// guessOf returns the guess for ports. It spreads consecutive ports of either side by
// the golden ratio (Fibonacci hashing). Ports that collide cost a guess, not a lookup.
func (t *flowTable) guessOf(ports uint32) *int32 {
	const golden = 0x9E3779B1 // 2^32 times the golden ratio, without its integral part
	return &t.guesses[(ports>>16+ports&0xFFFF)*golden>>t.guessShift]
}

// last returns the latest packet with the key, or none. It adds no slot. The table must
// not be empty.
func (t *flowTable) last(key flowKey) int32 {
	if at := t.search(*t.list(t.hash(&key)), &key); at != none {
		return t.slots[at].last
	}
	return none
}

// search returns the key's slot in a list, from slot i on, or none.
func (t *flowTable) search(i int32, key *flowKey) int32 {
	for i != none {
		s := &t.slots[i]
		t.compared.add(1)
		if s.key.equal(key) {
			break
		}
		i = s.next
	}
	return i
}

// hash returns the upper half of a sum of products. Each product multiplies the
// halves of a word, with a multiplier added to each. Words that an IPv4 key does not
// use are left out.
func (t *flowTable) hash(k *flowKey) uint32 {
	m := &t.multipliers
	h := m[0] + product(k.ports, m[1], m[2]) + product(k.srcHi, m[3], m[4])
	if k.ports&ipv6Ports != 0 {
		h += product(k.srcLo, m[5], m[6]) + product(k.dstHi, m[7], m[8]) + product(k.dstLo, m[9], m[10])
	}
	return uint32(h >> 32)
}

func product(w, a, b uint64) uint64 { return (a + w>>32) * (b + w&0xFFFFFFFF) }
