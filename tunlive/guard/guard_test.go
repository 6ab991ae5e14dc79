// SPDX-License-Identifier: MIT

package guard

import "testing"

func ipv4(frag uint16, proto byte, payload ...byte) []byte {
	b := make([]byte, 20)
	b[0], b[6], b[7], b[9] = 0x45, byte(frag>>8), byte(frag), proto
	return append(b, payload...)
}

func ipv6(next byte, payload ...byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	return append(b, payload...)
}

func header(next, length byte, n int) []byte {
	b := make([]byte, n)
	b[0], b[1] = next, length
	return b
}

func TestCheck(t *testing.T) {
	join := func(list ...[]byte) (b []byte) {
		for _, l := range list {
			b = append(b, l...)
		}
		return b
	}
	odd := ipv4(0x2000, 6)
	odd[0] = 0x55
	options := append(ipv4(0, 4), header(0, 0, 40)...)
	options[0] = 0x4F
	for _, c := range []struct {
		name   string
		packet []byte
		refuse bool
	}{
		{"empty", nil, false},
		{"IPv4", ipv4(0, 6), false},
		{"DF", ipv4(0x4000, 6), false},
		{"evil bit", ipv4(0x8000, 6), false},
		{"MF", ipv4(0x2000, 6), true},
		{"offset, low", ipv4(1, 6), true},
		{"offset, high", ipv4(0x1000, 17), true},
		{"MF, DF", ipv4(0x6000, 6), true},
		{"MF in 7 bytes", ipv4(0x2000, 6)[:7], true},
		{"6 bytes", ipv4(0x2000, 6)[:6], false},
		{"MF, version 5", odd, true},
		{"MF inside IPIP", ipv4(0, 4, ipv4(0x2000, 6)...), true},
		{"IPIP", ipv4(0, 4, ipv4(0, 6)...), false},
		{"MF after IP options", append(options, ipv4(0x2000, 6)...), true},
		{"Fragment header inside SIT", ipv4(0, 41, ipv6(44)...), true},
		{"IPv6", ipv6(6), false},
		{"39 bytes of IPv6", ipv6(44)[:39], false},
		{"Fragment header", ipv6(44, 6, 0, 0, 0), true},
		{"after hop-by-hop", ipv6(0, header(44, 0, 8)...), true},
		{"after routing and long options", ipv6(43, join(header(60, 1, 16), header(44, 255, 2048))...), true},
		{"after mobility", ipv6(135, header(44, 0, 8)...), true},
		{"after AH", ipv6(51, join(header(44, 4, 24), header(6, 0, 8))...), true},
		{"after options that are cut", ipv6(60, header(44, 1, 15)...), false},
		{"MF inside 4in6", ipv6(4, ipv4(0x2000, 6)...), true},
		{"TCP after options", ipv6(60, header(6, 0, 8)...), false},
	} {
		for _, gso := range []uint8{0, 1, 4, 5, 0x80, 0x21} {
			err := Check(gso, c.packet)
			if want := c.refuse && gso != 0; (err != nil) != want || err != nil && err != ErrFragment {
				t.Errorf("%s, GSO type %#x: %v, want refused %v", c.name, gso, err, want)
			}
			if got := CheckTunnel(gso, len(c.packet), c.packet); got != err {
				t.Errorf("%s, GSO type %#x: CheckTunnel gives %v, Check %v", c.name, gso, got, err)
			}
		}
	}
}

// TestCheckAnywhere checks that no surrounding bits hide a fragment of IPv4.
func TestCheckAnywhere(t *testing.T) {
	for first := range 256 {
		for frag := range 1 << 16 {
			b := ipv4(uint16(frag), byte(first))
			b[0] = byte(first)
			if first>>4 == 6 {
				break
			}
			if fragment := frag&0x3FFF != 0; fragment != (Check(1, b) == ErrFragment) {
				t.Fatalf("first byte %#x, fragment field %#x: %v", first, frag, Check(1, b))
			}
		}
	}
}

// TestCheckTunnel checks that the fragment bits of both headers are found in all types
// with a tunnel, and that those of the inner one are looked for where inner_nh_offset
// says.
func TestCheckTunnel(t *testing.T) {
	outer := func(v6 bool, frag uint16, inner []byte) (packet []byte, innerNH int) {
		between := make([]byte, 8+8+14) // UDP, VXLAN, Ethernet
		if v6 {
			packet = ipv6(17, between...)
		} else {
			packet = ipv4(frag, 17, between...)
		}
		return append(packet, inner...), len(packet)
	}
	odd4, odd6 := ipv4(0x2000, 6), ipv6(44)
	odd4[0], odd6[0] = 0x65, 0x40 // versions that are not those of the type
	for _, c := range []struct {
		name  string
		frag  uint16
		inner []byte
		types []uint8 // inner types for which it is refused
	}{
		{"none", 0, ipv4(0x4000, 6), nil},
		{"IPv6", 0, ipv6(6), []uint8{1}}, // as IPv4 it has an offset
		{"outer MF", 0x2000, ipv4(0, 6), []uint8{1, 4, 5}},
		{"inner MF", 0, ipv4(0x2000, 6), []uint8{1, 4, 5}},
		{"inner offset", 0, ipv4(1, 17), []uint8{1, 4, 5}},
		{"inner Fragment header", 0, ipv6(44), []uint8{1, 4, 5}},
		{"inner Fragment header after options", 0, ipv6(60, header(44, 0, 8)...), []uint8{1, 4, 5}},
		{"MF, version 6", 0, odd4, []uint8{1}},
		{"Fragment header, version 4", 0, odd6, []uint8{1, 4, 5}},
		{"MF inside IPIP", 0, ipv4(0, 4, ipv4(0x2000, 6)...), []uint8{1, 4, 5}},
		{"empty", 0, nil, nil},
	} {
		for _, v6 := range []bool{false, true} {
			if v6 && c.frag != 0 {
				continue
			}
			packet, innerNH := outer(v6, c.frag, c.inner)
			for _, inner := range []uint8{1, 4, 5} {
				refuse := false
				for _, of := range c.types {
					refuse = refuse || of == inner
				}
				for _, tunnel := range []uint8{0x20, 0x40, 0x60, 0xA0} {
					if err := CheckTunnel(inner|tunnel, innerNH, packet); (err != nil) != refuse {
						t.Errorf("%s, IPv6 outside %v, GSO type %#x: %v, want refused %v", c.name, v6, inner|tunnel, err, refuse)
					}
				}
				if err := CheckTunnel(0, innerNH, packet); err != nil {
					t.Errorf("%s without a GSO type: %v", c.name, err)
				}
			}
			for innerNH := range 1 << 16 {
				_ = CheckTunnel(0x21, innerNH, packet) // no offset causes a panic
			}
		}
	}
}

// TestCheckTunnelAnywhere checks that no surrounding bits hide an inner fragment of IPv4.
func TestCheckTunnelAnywhere(t *testing.T) {
	b := append(ipv4(0x4000, 17, make([]byte, 16)...), ipv4(0, 6)...)
	for first := range 256 {
		for frag := range 1 << 16 {
			b[36], b[42], b[43] = byte(first), byte(frag>>8), byte(frag)
			if err := CheckTunnel(0x21, 36, b); frag&0x3FFF != 0 && err != ErrFragment {
				t.Fatalf("first byte %#x, fragment field %#x: %v", first, frag, err)
			}
		}
	}
}
