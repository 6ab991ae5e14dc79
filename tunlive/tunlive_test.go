// SPDX-License-Identifier: MIT

//go:build linux

package tunlive

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/guard"
)

// cannot is the reason why the kernel cannot be asked.
var cannot error

func TestMain(m *testing.M) {
	cannot = Enter()
	os.Exit(m.Run())
}

// must skips the test if this machine lacks something it needs, unless
// TUNLIVE=require is set.
func must(t *testing.T, err error) {
	t.Helper()
	var missing *Missing
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// TestIsolation checks that nothing of the host's network can be reached: the
// namespace is another one, and its only device is a loopback that is down.
func TestIsolation(t *testing.T) {
	must(t, cannot)
	inode, err := namespace()
	if err != nil {
		t.Fatal(err)
	}
	if outside := os.Getenv(envOutside); outside == "" || outside == inode {
		t.Fatalf("in network namespace %s, outside is %q", inode, outside)
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name != "lo" && !strings.HasPrefix(l.Name, "near") && !strings.HasPrefix(l.Name, "far") || l.Name == "lo" && l.Flags&net.FlagUp != 0 {
			t.Errorf("device %+v", l)
		}
	}
	if err := Enter(); err != nil {
		t.Errorf("Enter, inside: %v", err)
	}
}

// TestGuarded checks that every writer refuses a fragment with a GSO type, and that
// nothing of it is sent.
func TestGuarded(t *testing.T) {
	must(t, cannot)
	fragment := probeTCP(1, 0, 0, 300)
	fragment[6] = 0x20
	h := VnetHdr{1, 1, 40, 100, 20, 16, 0, 0}
	for name, open := range map[string]func() (Segmenter, error){"TUN": NewSegmenter, "veth": NewVethSegmenter} {
		s, err := open()
		must(t, err)
		if _, err := s.Segment(h, fragment); err != guard.ErrFragment {
			t.Errorf("%s: %v", name, err)
		}
		a, err := s.Segment(VnetHdr{}, probeTCP(2, 0, 0, 10))
		if err != nil || len(a.Segments) != 1 || !bytes.Equal(a.Segments[0].Data, probeTCP(2, 0, 0, 10)) {
			t.Errorf("%s: after the refusal: %+v, %v", name, a, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	e := EndToEnd{Bytes: 1 << 16, Offload: func() Offload { return fragments{} }}
	if _, err := e.Run(t.Context()); !errors.Is(err, guard.ErrFragment) {
		t.Errorf("end to end: %v", err)
	}
}

// fragments is an Offload that makes the packet that must not be written.
type fragments struct{}

func (fragments) Segment(_ VnetHdr, packet []byte, emit func([]byte)) error { emit(packet); return nil }
func (fragments) Coalesce(batch [][]byte, write func(VnetHdr, []byte) error) error {
	for _, b := range batch {
		b[6] |= 0x20
		if err := write(VnetHdr{Flags: 1, GSOType: 1, GSOSize: 8}, b); err != nil {
			return err
		}
	}
	return nil
}

// TestShortWrites checks writes that are shorter than the header.
func TestShortWrites(t *testing.T) {
	must(t, cannot)
	s, err := newTUNSegmenter()
	must(t, err)
	defer s.Close()
	for n := range vnetHdrLen {
		if err := s.a.writeRaw(make([]byte, n)); err != unix.EINVAL {
			t.Errorf("%d bytes: %v", n, err)
		}
		if class, err := s.class(true); err != nil || class != Refused {
			t.Errorf("%d bytes: %v, %v", n, class, err)
		}
	}
	if err := s.a.writeRaw(make([]byte, vnetHdrLen)); err != unix.EINVAL {
		t.Errorf("no packet: %v", err)
	}
	if class, err := s.class(true); err != nil || class != RxDropped {
		t.Errorf("no packet: %v, %v", class, err)
	}
}

// TestManySegments checks that no segment is lost when there are very many.
func TestManySegments(t *testing.T) {
	must(t, cannot)
	f, err := Probe()
	must(t, err)
	s, err := NewSegmenter()
	must(t, err)
	defer s.Close()
	size := 1
	if !f["small-gso"] {
		size = 8
	}
	packet := probeTCP(1, 0, 7, 65_000)
	a, err := s.Segment(VnetHdr{1, 1, 40, uint16(size), 20, 16, 0, 0}, packet)
	if err != nil || len(a.Segments) != 65_000/size {
		t.Fatalf("%d segments, %v, %v", len(a.Segments), a.Class, err)
	}
	for i, p := range a.Segments {
		if !bytes.Equal(p.Data[40:], packet[40+i*size:40+(i+1)*size]) {
			t.Fatalf("segment %d of the wrong bytes: % x", i, p.Data)
		}
	}
}

// TestOraclesAgree checks that GRO on a TUN and on a veth gives the same results, and
// the same each time.
func TestOraclesAgree(t *testing.T) {
	must(t, cannot)
	gate, err := NewGate()
	if errors.Is(err, ErrKernel) {
		t.Skip(err)
	}
	must(t, err)
	defer gate.Close()
	toggle, err := NewToggle()
	if os.Getuid() != 0 || errors.As(err, new(*Missing)) {
		t.Skip(err)
	}
	must(t, err)
	defer toggle.Close()
	step := 1
	if testing.Short() {
		step = 10
	}
	for n := 1; n <= MaxBatch; n += step {
		var batch [][]byte
		for i := range n {
			batch = append(batch, probeTCP(uint16(i), 0, uint32(i/3*100), 100))
		}
		var first []Packet
		for round := range 4 {
			out, err := []GRO{gate, toggle}[round%2].Coalesce(batch)
			if err == ErrSlow {
				t.Logf("%d packets: %v", n, err)
				return // there is no time for more, either
			} else if err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				for _, p := range out {
					first = append(first, Packet{p.Hdr, bytes.Clone(p.Data)})
				}
			}
			if !slices.EqualFunc(first, out, func(a, b Packet) bool { return bytes.Equal(a.Data, b.Data) && a.Hdr.GSOSize == b.Hdr.GSOSize }) {
				t.Fatalf("%d packets, round %d: %d come out, %d at first", n, round, len(out), len(first))
			}
		}
	}
	if _, err := gate.Coalesce(make([][]byte, MaxBatch+1)); err == nil {
		t.Error("more than a poll is taken")
	}
	if _, err := gate.Coalesce([][]byte{{0x50}}); err != ErrPacket {
		t.Errorf("version 5: %v", err)
	}
}

// TestFeatures checks that Probe and FeatureTable have the same features.
func TestFeatures(t *testing.T) {
	must(t, cannot)
	f, err := Probe()
	must(t, err)
	names := map[string]bool{}
	for _, row := range FeatureTable {
		names[row.Name] = true
		if _, probed := f[row.Name]; !probed && os.Getenv("TUNLIVE") == "require" {
			t.Errorf("%s is not probed", row.Name)
		}
	}
	for name := range f {
		if !names[name] {
			t.Errorf("%s is not in FeatureTable", name)
		}
	}
}

// TestRecord checks the recorder and its helpers.
func TestRecord(t *testing.T) {
	must(t, cannot)
	_, err := Record(t.Context(), "nothing")
	if err == nil || errors.As(err, new(*Missing)) {
		t.Error(err)
	}
	for _, name := range []string{"udp4-quic-like", "tcp6-reordered", "tcp4-ecn", "mixed-flows"} {
		packets, err := Record(t.Context(), name)
		must(t, err)
		counts := map[string]int{}
		for _, p := range packets {
			b := p.Data
			if neighbourDiscovery(b) || len(b) > 1500 || b[0]>>4 == 4 && sum(b[:20], 0) != 0xFFFF {
				t.Errorf("%s: % x", name, b[:40])
			}
			if b[0]>>4 == 4 && b[1]&3 == 3 {
				counts["CE"]++
			}
			if b[0]>>4 == 4 && b[6]&0x20 != 0 {
				counts["fragments"]++
			}
			if b[0]>>4 == 4 && b[9] == unix.IPPROTO_ICMP {
				counts["ICMP"]++
			}
			if b[0]>>4 == 4 && b[4] == 0 && b[5] == 0 {
				counts["ID 0"]++
			}
		}
		want := map[string]int{"udp4-quic-like ID 0": 300, "tcp4-ecn CE": 1, "mixed-flows fragments": 10, "mixed-flows ICMP": 4}
		for key, n := range want {
			if what, of := strings.CutPrefix(key, name+" "); of && counts[what] < n {
				t.Errorf("%s: %d %s, want %d", name, counts[what], what, n)
			}
		}
		if len(packets) < 200 {
			t.Errorf("%s: %d packets", name, len(packets))
		}
	}
}
