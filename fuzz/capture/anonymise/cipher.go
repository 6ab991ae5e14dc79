// SPDX-License-Identifier: MIT

package anonymise

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// stream is a key stream: the bytes that a payload is combined with by xor.
type stream struct {
	iv  [8]byte
	off uint32 // of the first byte
	// short has the first n bytes, if the payload that the stream was made for was permuted.
	short [shortest]byte
	n     int
}

// shortest is the length of the shortest payload whose key stream is chosen by a hash.
// Shorter ones are permuted, as otherwise two of them may become equal.
const shortest = 16

// stream returns the key stream of an id. Streams of different ids have nothing in common.
func (a *Anonymiser) stream(id string) stream {
	sum := sha256.Sum256([]byte(id))
	return stream{iv: [8]byte(sum[:])}
}

// xor combines from with a key stream into to, which may be longer. After 4 GiB the stream
// begins again, as TCP's sequence numbers do.
func (a *Anonymiser) xor(s stream, to, from []byte) {
	n := min(s.n, len(from))
	for i := range n {
		to[i] = from[i] ^ s.short[i]
	}
	to, from = to[n:], from[n:]
	for at := s.off + uint32(n); len(from) > 0; at = 0 {
		n := int(min(uint64(len(from)), 1<<32-uint64(at)))
		iv := make([]byte, 16)
		copy(iv, s.iv[:])
		binary.BigEndian.PutUint64(iv[8:], uint64(at/16))
		ctr := cipher.NewCTR(a.block, iv)
		var skipped [16]byte
		ctr.XORKeyStream(skipped[:at%16], skipped[:at%16])
		ctr.XORKeyStream(to, from[:n])
		to, from = to[n:], from[n:]
	}
}

// datagram returns the key stream of a payload that is enciphered by its contents: equal
// ones of one flow stay equal, and the streams of others have nothing in common.
func (a *Anonymiser) datagram(flow string, payload []byte) stream {
	s := a.stream(flow + "/" + string(payload))
	if len(payload) < shortest {
		s.n = copy(s.short[:], payload)
		a.permute(flow, s.short[:s.n])
		for i, v := range payload {
			s.short[i] ^= v
		}
	}
	return s
}

// permute enciphers b in place: equal slices of one id stay equal, different ones stay
// different, and nothing else shows. It is a Feistel network of six rounds. The halves of
// a single byte are its upper and lower four bits.
func (a *Anonymiser) permute(id string, b []byte) {
	switch len(b) {
	case 0:
		return
	case 1:
		left, right := b[0]>>4, b[0]&15
		for round := range byte(rounds) {
			left, right = right, left^a.round(id, round, []byte{right}, 1)[0]&15
		}
		b[0] = left<<4 | right
		return
	}
	left, right := b[:len(b)/2], b[len(b)/2:]
	for round := range byte(rounds) {
		for i, v := range a.round(id, round, right, len(left)) {
			left[i] ^= v
		}
		left, right = right, left
	}
}

// rounds is the number of rounds of permute.
const rounds = 6

// round returns n bytes that depend on a half of a slice, for one round of permute.
func (a *Anonymiser) round(id string, round byte, half []byte, n int) []byte {
	out := make([]byte, n)
	a.xor(a.stream(id+"#"+string([]byte{round})+string(half)), out, out)
	return out
}
