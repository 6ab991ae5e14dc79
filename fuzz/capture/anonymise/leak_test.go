// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// drawn returns an Anonymiser with a random key.
func drawn(t *rapid.T, name string) *Anonymiser {
	a, err := keyed([32]byte(bits(t, 32, name)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNoLeak checks on packets of every kind that no address, and no eight bytes of any
// payload, of options, of an inner header or of a comment are in the copy of a capture.
func TestNoLeak(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		name := filepath.Join(dir, "in.pcapng")
		p := paths(t)
		var list []secret
		for range rapid.IntRange(1, 4).Draw(t, "packets") {
			list = append(list, p.secrets(t)...)
		}
		var packets []pcap.Packet
		for _, s := range list {
			packets = append(packets, s.Packet)
		}
		writeNG(t, name, packets)
		// Four bytes of an address can be in a copy by chance, but not in two.
		var copies [2][]byte
		for i := range copies {
			out := filepath.Join(dir, "out")
			if _, err := drawn(t, "key"[i:]).Files(context.Background(), strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, out, []string{name}); err != nil {
				t.Fatal(err)
			}
			var err error
			if copies[i], err = os.ReadFile(filepath.Join(out, "in.pcapng")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range list {
			for _, leak := range s.leaks(copies[0]) {
				if bytes.Contains(copies[1], leak) {
					t.Fatalf("packet %d: %x is in the copy\n%x\n%x", i+1, leak, s.Data, copies[0])
				}
			}
		}
	})
}

// TestICMP checks that an ICMP message keeps its type and code, and that its checksum is
// right in the copy or wrong by as much.
func TestICMP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6, p := rapid.Bool().Draw(t, "v6"), paths(t)
		proto := byte(1)
		if v6 {
			proto = 58
		}
		b := p.ip(v6, proto, append([]byte{3, 1, 0, 0}, bits(t, rapid.IntRange(0, 60).Draw(t, "n"), "message")...))
		wrong := rapid.Bool().Draw(t, "wrong")
		if at, _ := rightICMP(b); wrong {
			b[at] ^= 4
		}
		got := all(t, drawn(t, "key"), [][]byte{b})[0]
		at, right := rightICMP(got)
		sum := binary.BigEndian.Uint16(got[at:])
		by := minus(sum, right)
		if (by == 0x0400 || by == 0xFFFF-0x0400) != wrong || by != 0 && !wrong {
			t.Fatalf("the checksum is off by %04x, wrong: %v\n%x\n%x", by, wrong, b, got)
		}
		if got[at-2] != 3 || got[at-1] != 1 {
			t.Fatalf("type or code changed: %x", got)
		}
	})
}

// keyStream returns the bytes that a payload was combined with.
func keyStream(a, b []byte) []byte {
	x := bytes.Clone(a)
	for i := range x {
		x[i] ^= b[i]
	}
	return x
}

// TestKeyStreams checks that the key streams of two flows have nothing in common if the
// flows differ in one field, for each field, nor those of two runs. In a flow, equal
// payloads stay equal, and so do the bytes at one place of a TCP stream.
func TestKeyStreams(t *testing.T) {
	const n = 40
	rapid.Check(t, func(t *rapid.T) {
		q := scenario.TCP4(0)
		q.V6, q.UDP, q.Payload = rapid.Bool().Draw(t, "v6"), rapid.Bool().Draw(t, "udp"), bits(t, n, "payload")
		q.SrcPort, q.DstPort = rapid.Uint16().Draw(t, "sport"), rapid.Uint16().Draw(t, "dport")
		q.Seq = rapid.Uint32().Draw(t, "seq")
		p := paths(t)
		r := q
		if rapid.Bool().Draw(t, "other payload") {
			r.Payload = bits(t, n, "other payload")
		}
		b, c := p.on(q.Bytes()), p.on(r.Bytes())
		what := rapid.SampledFrom([]string{"source", "destination", "end of source", "source port", "destination port", "direction", "version",
			"TCP or UDP", "another protocol", "two other protocols", "fragment", "run"}).Draw(t, "field")
		address, l4Off := addressAt(b), headerLen(b)
		switch what {
		case "source":
			c[address] ^= 1
		case "end of source":
			c[l4Off-1-(l4Off-address)/2] ^= 1
		case "destination":
			c[l4Off-1] ^= 1
		case "source port":
			c[l4Off] ^= 1
		case "destination port":
			c[l4Off+3] ^= 1
		case "direction":
			r.SrcPort, r.DstPort = q.DstPort, q.SrcPort
			c = path{p.dst, p.src}.on(r.Bytes())
		case "version":
			r.V6 = !q.V6
			c = p.on(r.Bytes())
		case "TCP or UDP":
			r.UDP = !q.UDP
			c = p.on(r.Bytes())
		case "another protocol":
			c[protoAt(c)] = 132
		case "two other protocols":
			b[protoAt(b)], c[protoAt(c)] = 132, 50
		case "fragment":
			if c[6] |= 0x20; q.V6 {
				c = slices.Concat(c[:40], []byte{c[6] &^ 0x20, 0, 0, 1, 0, 0, 0, 7}, c[40:])
				c[6] = 44
			}
		}
		a := drawn(t, "key")
		k := keyStream(tail(all(t, a, [][]byte{b})[0], n), tail(b, n))
		if again := keyStream(tail(all(t, a, [][]byte{b})[0], n), tail(b, n)); !bytes.Equal(k, again) {
			t.Fatalf("the same packet has two key streams\n%x\n%x", k, again)
		}
		if what == "run" {
			a = drawn(t, "other key")
		}
		l := keyStream(tail(all(t, a, [][]byte{c})[0], n), tail(c, n))
		for at := range k[:n-window+1] {
			if piece := k[at : at+window]; bytes.Contains(l, piece) {
				t.Fatalf("%s: %x is in both key streams\n%x\n%x", what, piece, k, l)
			}
		}
	})
}

// TestSameFlow checks what stays equal: in TCP the bytes at one place of the stream, in
// other protocols whole payloads of one flow. Different datagrams have key streams that
// have nothing in common.
func TestSameFlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := scenario.TCP4(0)
		q.V6, q.UDP = rapid.Bool().Draw(t, "v6"), rapid.Bool().Draw(t, "udp")
		q.Seq = rapid.Uint32().Draw(t, "seq")
		q.Payload = bits(t, rapid.IntRange(1, 90).Draw(t, "n"), "payload")
		r := q
		r.ID, r.Ack, r.Window = q.ID+7, q.Ack+1, q.Window+1
		cut := rapid.IntRange(0, len(q.Payload)-1).Draw(t, "cut")
		if !q.UDP {
			r.Seq, r.Payload = q.Seq+uint32(cut), q.Payload[cut:]
		}
		p, a := paths(t), drawn(t, "key")
		out := all(t, a, [][]byte{p.on(q.Bytes()), p.on(r.Bytes())})
		if n := len(r.Payload); !bytes.Equal(tail(out[0], n), tail(out[1], n)) {
			t.Fatalf("equal bytes of a flow differ\n%x\n%x", out[0], out[1])
		}
		if n := len(r.Payload); q.UDP && n >= window {
			r.Payload = bytes.Clone(q.Payload)
			r.Payload[cut] ^= 1
			other := all(t, a, [][]byte{p.on(r.Bytes())})[0]
			if k, l := keyStream(tail(out[0], n), q.Payload), keyStream(tail(other, n), r.Payload); bytes.Contains(k, l[:window]) || bytes.Contains(k, l[n-window:]) {
				t.Fatalf("two datagrams have one key stream\n%x\n%x", k, l)
			}
		}
	})
}

// TestShort checks that payloads of up to three bytes stay different: permute is a
// permutation.
func TestShort(t *testing.T) {
	a := anonymiser(t, 0)
	for n := range 3 {
		seen := map[string]bool{}
		for v := range 1 << (8 * min(n, 2)) {
			b := []byte{byte(v), byte(v >> 8), 7}[:n+1]
			if n == 0 {
				b[0] = byte(v)
			}
			a.permute("x", b)
			seen[string(b)] = true
		}
		if want := 1 << (8 * min(n, 2)); len(seen) != want {
			t.Errorf("%d bytes: %d different ones become %d", n+1, want, len(seen))
		}
	}
}

func tail(b []byte, n int) []byte { return b[len(b)-n:] }

func addressAt(b []byte) int {
	if b[0]>>4 == 4 {
		return 12
	}
	return 8
}

func headerLen(b []byte) int {
	if b[0]>>4 == 4 {
		return 20
	}
	return 40
}

func protoAt(b []byte) int {
	if b[0]>>4 == 4 {
		return 9
	}
	return 6
}
