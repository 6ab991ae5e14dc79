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
