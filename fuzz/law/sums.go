package law

// Sums is P8 over every length to most, every alignment to 63 and the seeds at
// the edges, on bytes that byteAt gives. It returns how many sums it compared.
func Sums(most int, byteAt func(i int) byte) (int, error) {
	data := make([]byte, most)
	for i := range data {
		data[i] = byteAt(i)
	}
	n := 0
	for length := range most + 1 {
		for _, seed := range []uint16{0, 1, 0xFFFF, uint16(length * 40503)} {
			if err := checksum(data[:length], length*7%64, seed); err != nil {
				return n, err
			}
			n++
		}
	}
	for align := range 64 {
		for _, length := range []int{0, 1, 7, 8, 20, 63, 64, 65, 127, 129, most} {
			if err := checksum(data[:min(length, most)], align, 0xFFFF); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
