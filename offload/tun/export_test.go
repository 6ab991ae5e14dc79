//go:build linux

package tun

// Faults replaces parts of the kernel in tests.
type Faults struct {
	Offload func(mask int, set func(int) error) error
	Front   func(front []byte) []byte
}

// OpenWith is Open with faults.
func OpenWith(cfg Config, f Faults) (*Device, error) {
	return open(cfg, faults{offload: f.Offload, front: f.Front})
}
