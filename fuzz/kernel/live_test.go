// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/tunlive"
)

// cannot is the reason why the kernel cannot be asked, or nil.
var cannot error

func TestMain(m *testing.M) {
	cannot = tunlive.Enter()
	debug.SetGCPercent(400) // the answers are copied
	os.Exit(m.Run())
}

var opened = sync.OnceValues(open)

// skip skips a test, unless TUNLIVE=require forbids it.
func skip(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("TUNLIVE") == "require" {
		t.Fatalf("TUNLIVE=require: %v", why)
	}
	t.Skip(why)
}

// kernel returns the kernel of this machine, opened once.
func kernel(t *testing.T) *Kernel {
	t.Helper()
	if cannot != nil {
		skip(t, cannot)
	}
	k, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// need skips a test if its oracle is missing.
func need(t *testing.T, k *Kernel, o *Oracle) {
	t.Helper()
	if o.Missing == nil {
		return
	}
	for _, u := range k.Unexpected() {
		if strings.HasPrefix(u, o.Name+":") {
			skip(t, o.Missing)
		}
	}
	t.Skip(o.Missing)
}

// model returns a Kernel that judges the model alone.
func model(t *testing.T) (k *Kernel, forget func()) {
	clone := *kernel(t)
	clone.subject, forget = modelOnce()
	return &clone, forget
}

// TestRandom checks K1 to K4 on generated scenarios: every oracle judges production and
// the model. It also checks that the model keeps the order of conflicting packets.
func TestRandom(t *testing.T) {
	m, forget := model(t)
	judges := chosen(t, kernel(t), m, (*Kernel).Parts)
	coalesce := func(batch [][]byte) ([]law.Super, []string) { return nil, nil }
	t.Run("order", func(*testing.T) { coalesce = m.subject.coalescer(pkts.Config{}) })
	check := func(supers bool, g *rapid.Generator[scenario.Scenario]) {
		rapid.Check(t, func(r *rapid.T) {
			forget()
			s := g.Draw(r, "scenario")
			for _, j := range judges {
				if j.Supers != supers {
					continue
				}
				if err := j.check(&s); err != nil {
					for _, c := range s.Cases(j.Property, "Linux, as asked") {
						r.Logf("%s", pkts.Format(c))
					}
					r.Fatal(err)
				}
			}
			for _, batch := range s.Batches {
				if err := keepsOrder(coalesce, batch); err != nil {
					r.Fatal(err)
				}
			}
		})
	}
	check(true, draw.Supers())
	check(true, draw.Tunnels())
	check(false, draw.Batches())
	for _, j := range judges {
		j.compared(t)
	}
}

// TestStated checks K1 to K4 on the corpus and the captures, for production and the model.
func TestStated(t *testing.T) {
	m, _ := model(t)
	for _, j := range chosen(t, kernel(t), m, (*Kernel).Stated) {
		if err := j.check(nil); err != nil {
			t.Error(err)
		}
		j.compared(t)
	}
}

// TestModel checks the model on batches that are not generated: three packets, where the
// second has one header bit flipped or is cut to some length. The kernel judges them, and
// conflicting packets must keep their order.
func TestModel(t *testing.T) {
	k, _ := model(t)
	for _, o := range k.Joins {
		t.Run("K3 flips, "+o.Name, func(t *testing.T) {
			need(t, k, o)
			var tally Tally
			flips(func(batch [][]byte) {
				s := scenario.Scenario{Batches: [][][]byte{batch}}
				if err := k.JoinsBatches(o, &s, &tally); err != nil {
					t.Fatal(err)
				}
			})
			if tally.Rounds < 2000 {
				t.Errorf("%d rounds", tally.Rounds)
			}
		})
	}
	t.Run("order", func(t *testing.T) {
		coalesce := k.subject.coalescer(pkts.Config{})
		flips(func(batch [][]byte) {
			if err := keepsOrder(coalesce, batch); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// flips calls f with batches of three packets. The second follows the first except for
// one bit of its headers, or for its length. Or it has other ports and is cut, a fragment
// or of another protocol. The third follows the second, or the first.
func flips(f func(batch [][]byte)) {
	options := scenario.TCP4(8)
	options.Options = scenario.Timestamps
	for _, p := range []scenario.Packet{scenario.TCP4(8), scenario.TCP6(8), scenario.UDP4(8), scenario.UDP6(8), options} {
		q, other := p.Next(8), p.Next(8)
		other.SrcPort ^= 0x0101
		first, second, third, instead := p.Bytes(), q.Bytes(), q.Next(8).Bytes(), q.Bytes()
		for bit := range 8 * (len(second) - 8) {
			for _, fix := range []int{0, packet.FixL4Csum | packet.FixIPCsum} {
				b := bytes.Clone(second)
				b[bit/8] ^= 1 << (bit % 8)
				packet.Fix(b, fix)
				f([][]byte{first, b, third})
				f([][]byte{first, b, instead})
			}
		}
		for length := range len(second) {
			f([][]byte{first, second[:length], instead})
			f([][]byte{first, other.Bytes()[:length], instead})
		}
		for _, frag := range []uint16{0x2000, 1} {
			r := other
			r.Frag = frag
			f([][]byte{first, r.Bytes(), instead})
		}
		b := other.Bytes()
		if p.V6 {
			b[6] = 58 // ICMPv6
		} else {
			b[9] = 1 // ICMP
		}
		packet.Fix(b, packet.FixIPCsum)
		f([][]byte{first, b, instead})
	}
}

// TestFields checks K3 with the values of each field that is only compared, altered in the
// same way in all packets of a batch: what the kernel joins and Coalesce does not needs a rule,
// whatever the values are. LONG=1 has every value, in ten minutes.
func TestFields(t *testing.T) {
	k, _ := model(t)
	step := 499
	if os.Getenv("LONG") != "" {
		step = 1
	}
	var batch [][]byte
	for _, p := range []scenario.Packet{scenario.TCP4(40), scenario.UDP4(40), scenario.TCP6(40), scenario.UDP6(40)} {
		if !p.UDP {
			p.Options = scenario.Timestamps
		}
		batch = append(batch, p.Bytes(), p.Next(40).Bytes())
	}
	for _, o := range k.Joins {
		t.Run(o.Name, func(t *testing.T) {
			need(t, k, o)
			var tally Tally
			asked := 0
			for _, f := range law.Fields {
				for _, v := range f.Values(step) {
					asked++
					s := scenario.Scenario{Batches: [][][]byte{f.Alter(batch, v)}}
					if err := k.JoinsBatches(o, &s, &tally); err != nil {
						t.Fatalf("%s, altered by %#x: %v", f.Name, v, err)
					}
				}
			}
			if asked < 2000 || tally.Rounds < asked {
				t.Errorf("%d batches, %d rounds", asked, tally.Rounds)
			}
			t.Logf("%d batches", asked)
		})
	}
}

// keepsOrder checks that no two packets that conflict change places.
func keepsOrder(coalesce func([][]byte) ([]law.Super, []string), batch [][]byte) error {
	supers, _ := coalesce(batch)
	var out []int
	for _, p := range supers {
		out = append(out, p.Members...)
	}
	for i, m := range out {
		for _, n := range out[:i] {
			if m < n && conflict(batch[m], batch[n]) {
				return law.Violatedf("P3", "packet %d leaves before packet %d, with which it conflicts", n, m)
			}
		}
	}
	return nil
}

// TestEndToEnd checks K5 on every path, with less traffic.
func TestEndToEnd(t *testing.T) {
	k := kernel(t)
	need(t, k, k.Cuts[0])
	for _, p := range Paths {
		t.Run(p.Name, func(t *testing.T) {
			p.Bytes, p.Datagram = p.Bytes/8, p.Datagram/4
			seed := uint64(20261121)
			r, err := EndToEnd(t.Context(), p, seed, k.Features["uso"])
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if p.Impaired && (r.Lost == 0 || r.Doubled == 0 || r.Swapped == 0) {
				t.Errorf("nothing was impaired: %+v", r)
			}
			if !p.Complete && r.Written >= r.Packets {
				t.Errorf("nothing was joined: %+v", r)
			}
		})
	}
}

// TestAllDoubled doubles every packet, also those of the handshake. Nothing of it is an error.
func TestAllDoubled(t *testing.T) {
	k := kernel(t)
	need(t, k, k.Cuts[0])
	for _, v6 := range []bool{false, true} {
		e := tunlive.EndToEnd{V6: v6, Bytes: 1 << 18, Impairment: tunlive.Impairment{Seed: 1, Double: 1}, Offload: newBridge(false, k.Features["uso"])}
		r, err := e.Run(t.Context())
		if err != nil || len(r.Counters) > 0 || r.Doubled == 0 {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// TestClasses checks that the cases of the corpus meet every class of answer, every
// divergence and every refusal.
func TestClasses(t *testing.T) {
	k := kernel(t)
	need(t, k, k.Cuts[0])
	var tally Tally
	for _, p := range k.Stated() {
		if p.Method() == "corpus, tun" && p.Property == "K1" {
			if err := p.Check(nil, &tally); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"kernel: delivered", "kernel: refused", "kernel: frame-error", "kernel: rx-dropped", "kernel: dropped",
		"divergence: hdr_len past the end is refused", "divergence: no IP version is refused", "divergence: RSC_INFO is ignored",
		"divergence: over 65,535 bytes is cut", "divergence: UFO becomes fragments", "divergence: one packet with odd headers is taken",
		"divergence: payload <= gso_size < payload + options is dropped"} {
		if tally.Counts[name] == 0 {
			t.Errorf("no case of the corpus meets %q", name)
		}
	}
	for _, r := range law.RefusalNames() {
		if tally.Counts["refused: "+r] == 0 && r != "RSCInfo" && r != "TooLong" && r != "Fragment" && r != "Tunnel" { // these are divergences, or refused by the guard
			t.Errorf("no case of the corpus is refused with %s", r)
		}
	}
}

// TestTunnelClasses checks that the cases of the corpus meet every divergence and refusal of
// superpackets in tunnels.
func TestTunnelClasses(t *testing.T) {
	k := kernel(t)
	tap := k.Tunnels[0]
	need(t, k, tap)
	var tally Tally
	for _, p := range k.Stated() {
		if p.Oracle == tap {
			if err := p.Check(nil, &tally); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"kernel: delivered", "kernel: refused", "kernel: dropped", "refused: GSOType", "refused: GSOSize",
		"refused: NoCsum", "refused: Protocol", "refused: CsumStart", "refused: CsumOffset", "refused: Segments",
		"divergence: the outer version and outer_th_offset are not compared with the packet", "divergence: an odd inner_nh_offset is taken"} {
		if tally.Counts[name] == 0 {
			t.Errorf("no case of the corpus meets %q; met are %v", name, tally.Counts)
		}
	}
}

// TestUnexpected checks which oracles a machine may lack.
func TestUnexpected(t *testing.T) {
	missing := &tunlive.Missing{What: "x"}
	for _, test := range []struct {
		oracle int
		root   bool
		want   int
	}{{0, true, 1}, {1, false, 1}, {2, true, 1}, {2, false, 0}, {3, false, 1}} {
		k := unopened()
		k.Features = tunlive.Features{"root": test.root}
		k.oracles()[test.oracle].Missing = missing
		if got := k.Unexpected(); len(got) != test.want {
			t.Errorf("%s missing, root %v: %v", k.oracles()[test.oracle].Name, test.root, got)
		}
	}
}

// TestAt checks that an error of the harness does not become a violation.
func TestAt(t *testing.T) {
	var v *law.Violation
	if err := at(law.Violatedf("K1", "x"), "y"); !errors.As(err, &v) || v.Property != "K1" || !strings.Contains(err.Error(), "y: x") {
		t.Error(err)
	}
	if err := at(os.ErrClosed, "y %d", 1); errors.As(err, &v) || !errors.Is(err, os.ErrClosed) || fmt.Sprint(err) != "y 1: file already closed" {
		t.Error(err)
	}
}
