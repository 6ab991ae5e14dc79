// SPDX-License-Identifier: MIT

package model

// Sum returns the one's-complement sum of RFC 1071 of the concatenated parts, not
// complemented. All parts but the last have an even length. The sum is zero only if
// every byte is.
func Sum(parts ...[]byte) int {
	sum := 0
	for _, part := range parts {
		for i := 0; i+1 < len(part); i += 2 {
			sum += get16(part, i)
		}
		if len(part)%2 == 1 {
			sum += int(part[len(part)-1]) << 8
		}
	}
	return fold(sum)
}

func fold(sum int) int {
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return sum
}

func complement(sum int) int { return 0xFFFF - sum }

func word(v int) []byte { return []byte{byte(v >> 8), byte(v)} }

// pseudoSum returns the sum of the pseudo-header of RFC 9293 or RFC 8200 for length
// bytes of L4.
func (p packet) pseudoSum(length int) int {
	addresses := p.ip[8:min(40, len(p.ip))]
	if p.version == 4 {
		addresses = p.ip[12:20]
	}
	return Sum(addresses, word(p.proto), word(length))
}

// finished returns the L4 checksum that Segment writes into p. partial is the folded sum
// of the pseudo-header. In UDP, 0xFFFF replaces zero (S6).
func (p packet) finished(partial int) int {
	c := complement(Sum(word(partial), p.l4[:p.csumAt], word(0), p.l4[p.csumAt+2:], p.payload))
	if c == 0 && p.proto == udp {
		return 0xFFFF
	}
	return c
}
