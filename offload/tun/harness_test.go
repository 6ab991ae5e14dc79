// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// cannot is the reason why the kernel cannot be asked.
var cannot error

func TestMain(m *testing.M) {
	cannot = tunlive.Enter() // all tests run in a namespace of their own
	os.Exit(m.Run())
}

// must skips the test if this machine lacks something it needs, unless
// TUNLIVE=require is set.
func must(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var missing *tunlive.Missing
	switch {
	case errors.As(err, &missing) && os.Getenv("TUNLIVE") != "require":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// queueLen is enough for all segments that a test writes, and ownQueueLen for all that
// it sends to the device under test. Linux clears three times that memory for each of
// the 256 transmit queues of a device that has several, which took most of a test's time.
const (
	queueLen    = 100_000
	ownQueueLen = 2_000
)

// rig is a device under test, with a TUN of the harness at the other end.
type rig struct {
	t    testing.TB
	w    *tunlive.Wiring
	far  *tunlive.TUN
	name string // the device's name
	dev  *tun.Device
	q    *tun.Queue
}

// wiring returns the harness's Wiring and one of its TUNs.
func wiring(t testing.TB) (*tunlive.Wiring, *tunlive.TUN) {
	t.Helper()
	must(t, cannot)
	w, err := tunlive.NewWiring()
	must(t, err)
	t.Cleanup(func() { w.Close() })
	far, err := tunlive.OpenTUN()
	must(t, err)
	t.Cleanup(func() { far.Close() })
	must(t, w.SetUp(far.Name(), queueLen))
	return w, far
}

// writing returns a rig whose packets all go to the other end. There each is read as
// the kernel cut it.
func writing(t testing.TB, cfg tun.Config, f ...tun.Faults) *rig {
	t.Helper()
	r := opened(t, cfg, f...)
	must(t, r.w.Redirect(r.name, r.far.Name()))
	return r
}

// reading returns a rig whose device receives all that is written at the other end.
func reading(t testing.TB, cfg tun.Config) *rig {
	t.Helper()
	r := opened(t, cfg)
	must(t, r.w.Redirect(r.far.Name(), r.name))
	return r
}

func opened(t testing.TB, cfg tun.Config, f ...tun.Faults) *rig {
	t.Helper()
	w, far := wiring(t)
	cfg.Node = os.Getenv("TUNLIVE_DEVICE")
	var dev *tun.Device
	var err error
	if len(f) > 0 {
		dev, err = tun.OpenWith(cfg, f[0])
	} else {
		dev, err = tun.Open(cfg)
	}
	must(t, err)
	t.Cleanup(func() { dev.Close() })
	r := &rig{t: t, w: w, far: far, name: dev.Name(), dev: dev, q: dev.Queue(0)}
	must(t, w.SetUp(r.name, ownQueueLen))
	return r
}

// unsupported returns the protocols that the kernel is never asked to segment.
func unsupported(d *tun.Device) tun.Protocols {
	if d.Features().USO {
		return 0
	}
	return tun.UDP
}

// write writes a batch, all of which the kernel must take.
func (r *rig) write(batch [][]byte) {
	r.t.Helper()
	if n, err := r.q.WriteBatch(batch); n != len(batch) || err != nil {
		r.t.Fatalf("WriteBatch of %d packets: %d, %v", len(batch), n, err)
	}
}

// arrived returns copies of the packets that came out at the other end.
func (r *rig) arrived() [][]byte {
	r.t.Helper()
	packets, err := r.w.ReadAll(r.far)
	if err != nil {
		r.t.Fatal(err)
	}
	var out [][]byte
	for _, p := range packets {
		if p.Hdr.GSOType != 0 || p.Hdr.Flags != 0 {
			r.t.Fatalf("out of a TUN without offloads: %+v", p.Hdr)
		}
		out = append(out, bytes.Clone(p.Data))
	}
	return out
}

// equal compares packets byte for byte.
func equal(t testing.TB, got, want [][]byte) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("packet %d of %d:\ngot  %x\nwant %x", i, len(want), head(got[i]), head(want[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
}

func head(b []byte) []byte { return b[:min(len(b), 80)] }

// cause returns the reason of an error of the data path, which names the operation and
// the device, or another error unchanged.
func cause(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) && (named.Op == "read" || named.Op == "write") && strings.HasPrefix(named.Path, "tun") {
		return named.Err
	}
	return err
}

// stats returns the device's Stats, after checking the sums that Stats promises.
func (r *rig) stats() tun.Stats {
	r.t.Helper()
	s := r.dev.Stats()
	w := s.Write
	var reasons uint64
	for _, n := range w.Reasons {
		reasons += n
	}
	if w.Packets != reasons || w.Packets != w.Sent+w.Refused+w.Down+w.NoMemory+w.Failed+w.Unsent {
		r.t.Errorf("sums of the write counters do not hold: %+v", w)
	}
	return s
}

// flow describes packets of these tests. The kernel and package offload judge them
// only by their bytes; random packets are made in fuzz.
type flow struct {
	v6, udp bool
	port    uint16
	fixedID bool // DF and ID 0
}

var allFlows = []flow{{port: 1}, {v6: true, port: 1}, {udp: true, port: 1}, {v6: true, udp: true, port: 1}}

func (f flow) String() string {
	return fmt.Sprintf("udp=%v/v6=%v", f.udp, f.v6)
}

// packet returns packet i of the flow, with n payload bytes and right lengths and
// checksums.
func (f flow) packet(i, n int) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, 0, 64}
	if f.v6 {
		b = append(b, make([]byte, 32)...)
		b[8], b[23], b[24], b[39] = 0xFD, 1, 0xFD, 2
	} else {
		b = []byte{0x45, 0, 0, 0, byte(i >> 8), byte(i), 0x40, 0, 64, 0, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		if f.fixedID {
			b[4], b[5] = 0, 0
		}
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, f.port)
	b = binary.BigEndian.AppendUint16(b, 443)
	if f.udp {
		b = append(b, 0, 0, 0, 0)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(i*n))
		b = append(b, 0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0)
	}
	for k := range n {
		b = append(b, byte(n*i+k))
	}
	f.seal(b, at)
	return b
}

// seal sets lengths and checksums to the right values.
func (f flow) seal(b []byte, at int) {
	proto, csumAt := uint8(6), at+16
	if f.udp {
		proto, csumAt = 17, at+6
		binary.BigEndian.PutUint16(b[at+4:], uint16(len(b)-at))
	}
	src, dst := b[12:16], b[16:20]
	if f.v6 {
		src, dst = b[8:24], b[24:40]
		b[6] = proto
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	} else {
		b[9] = proto
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[10:], offload.Checksum(b[:20], 0))
	}
	sum := offload.Checksum(b[at:], offload.PseudoHeaderSum(proto, src, dst, len(b)-at))
	if f.udp && sum == 0 {
		sum = 0xFFFF
	}
	binary.BigEndian.PutUint16(b[csumAt:], sum)
}

// batch returns n packets, of the flows in turn.
func batch(n, size int, flows ...flow) [][]byte {
	var list [][]byte
	for i := range n {
		list = append(list, flows[i%len(flows)].packet(i/len(flows), size))
	}
	return list
}

// buffers returns n buffers for ReadBatch, each with headroom and size bytes.
func buffers(n, headroom, size int) ([][]byte, []int) {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, headroom+size)
	}
	return bufs, make([]int, n)
}
