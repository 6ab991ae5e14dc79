// SPDX-License-Identifier: MIT

package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/offload"
)

// result is what comparing two captures gave.
type result struct {
	found []Finding
	Summary
}

// judged compares two captures, reading them in the order of their times.
func judged(t rapid.TB, cfg Config, before, after []pcap.Packet) result {
	t.Helper()
	var r result
	m := New(cfg, func(f Finding) { r.found = append(r.found, f) })
	sides := [2][]pcap.Packet{before, after}
	for len(sides[0])+len(sides[1]) > 0 {
		side := Before
		if len(sides[Before]) == 0 || len(sides[After]) > 0 && sides[After][0].Time.Before(sides[Before][0].Time) {
			side = After
		}
		if err := m.Add(side, sides[side][0]); err != nil {
			t.Fatal(err)
		}
		sides[side] = sides[side][1:]
	}
	if err := m.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	sortFindings(r.found)
	r.Summary = m.Summary
	return r
}

// property checks a property with fixed seeds, and with drawTimes seeds that rapid draws if
// draw is set. If COMPARE_DRAW is set, it makes all the checks that rapid was asked for,
// however long that takes.
func property(t *testing.T, seeds int, draw bool, f func(t rapid.TB, r *rand.Rand)) {
	t.Helper()
	for seed := range uint64(max(seeds, 10)) {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { f(t, seeded(seed)) }) {
			return
		}
	}
	all, tried := os.Getenv("COMPARE_DRAW") != "", map[uint64]bool{}
	if !all && !draw {
		return
	}
	rapid.Check(t, func(t *rapid.T) {
		if seed := rapid.Uint64().Draw(t, "seed"); all || tried[seed] || len(tried) < drawTimes { // a failure is repeated
			tried[seed] = true
			f(t, seeded(seed))
		}
	})
}

// drawTimes is the number of seeds that a property draws.
const drawTimes = 50

// seeded returns the source of random numbers of a seed.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// legal is a way in which right captures of the same traffic differ.
type legal struct {
	name string
	of   func(t rapid.TB, r *rand.Rand, packets []pcap.Packet) (before, after []pcap.Packet)
}

// joinedBy returns packets joined in one of the ways of correct implementations.
func joinedBy(t rapid.TB, r *rand.Rand, packets []pcap.Packet) []pcap.Packet {
	vnet := r.IntN(2) == 0
	switch r.IntN(4) {
	case 0:
		return byKernel(packets, vnet)
	case 1:
		list, _ := coalesced(t, packets, offload.Config{AtomicIDs: true}, 1+r.IntN(80), vnet)
		return list
	case 2:
		list, _ := coalesced(t, packets, offload.Config{}, 1+r.IntN(80), vnet)
		return complete(list)
	}
	list, _ := coalesced(t, packets, offload.Config{}, 1+r.IntN(80), vnet)
	return list
}

var images = []legal{
	{"itself", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) { return x, x }},
	{"joined", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x, joinedBy(t, r, x)
	}},
	{"cut", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return joinedBy(t, r, x), x
	}},
	{"joined otherwise", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return joinedBy(t, r, x), joinedBy(t, r, x)
	}},
	{"cut elsewhere", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		size := 30 + r.IntN(500)
		for slices.ContainsFunc(x, func(p pcap.Packet) bool {
			h := packet.Parse(p.Data)
			return h.Proto == 6 && len(p.Data) == h.PayloadOff+size
		}) {
			size++ // a sender's size would leave the boundaries as they are, with other IDs, which is a fault
		}
		return x, cutElsewhere(x, size)
	}},
	{"fragmented otherwise", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x, refragmented(x, 8*(3+r.IntN(30)))
	}},
	{"put together", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x, refragmented(x, 0)
	}},
	{"translated", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x, translated(x, true)
	}},
	{"translated and joined", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		joined := joinedBy(t, r, x)
		if slices.ContainsFunc(joined, looksComplete) {
			return joined, joined // translated would update it as a complete one, and legal takes none such
		}
		return x, translated(joined, true)
	}},
	{"started later", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x[r.IntN(len(x)/3):], joinedBy(t, r, x)
	}},
	{"ended earlier", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x[:len(x)-r.IntN(len(x)/3)], joinedBy(t, r, x[r.IntN(len(x)/3):])
	}},
	{"the clock differs", func(t rapid.TB, r *rand.Rand, x []pcap.Packet) (before, after []pcap.Packet) {
		return x, later(joinedBy(t, r, x), time.Duration(r.IntN(2_000_000)-1_000_000))
	}},
}

// drawn is how many packets the random captures of these tests have. The middle third is
// further from the ends than the edges of flows may be apart.
const drawn = 420

// TestLegal compares a capture with each legal image of it, either way round: nothing is
// found.
func TestLegal(t *testing.T) {
	t.Parallel()
	legal := func(t rapid.TB, r *rand.Rand, i int) {
		before, after := images[i].of(t, r, mixed(r, drawn, 0))
		if images[i].name != "itself" && slices.ContainsFunc(slices.Concat(before, after), looksComplete) {
			return
		}
		for range 2 {
			if got := judged(t, Config{}, before, after); len(got.found) > 0 {
				t.Fatalf("%s: %+v\n%d findings, the first: %v", images[i].name, got.Summary, len(got.found), got.found[0])
			}
			before, after = after, before
		}
	}
	for i, image := range images {
		t.Run(image.name, func(t *testing.T) {
			for seed := range uint64(5) {
				legal(t, seeded(seed), i)
			}
			for _, seed := range foundLegal[image.name] {
				r := seeded(seed)
				r.IntN(12) // there were as many images when it was found
				legal(t, r, i)
			}
		})
	}
	// Of the 14,294 draws from seed 1,000,000 on, none is accused, either way round.
	property(t, 0, false, func(t rapid.TB, r *rand.Rand) { legal(t, r, r.IntN(len(images))) })
}

// foundLegal are seeds with which a right capture was accused, by what was wrong.
var foundLegal = map[string][]uint64{
	"started later": {
		269, 814, 910, 1641, 2505, 2830, 3182, 3870, 5155, // an equal packet that was paired anew kept the time of the other one
		2438, 9992, 10083, // equal datagrams with DF: IDs that cutting gave counted as their own
		721, 4402, // of a TCP superpacket, only the last segment was captured before
		6471, 6652, 10012, 10941, 384839, // packets that took longer than all that were seen
		25399, // a datagram of one byte, and a superpacket that has this byte
	},
	"ended earlier": {
		5676, 7490, // equal datagrams, of which the other capture missed the last
		3324, 4310, 4368, // of a superpacket, only the first segment was captured before
		8862,                                          // a datagram from before the start, and an equal one from after the end
		10765,                                         // flows changed places, but nothing was joined
		14022, 102151, 324273, 344178, 349080, 388075, // a copy that was sent later took the place of a segment
		396912,         // an equal datagram with DF, with the ID that cutting gave
		395026, 508101, // of equal packets, the other capture missed the last, but the first may have been near its start
		333665, // a segment from before the start, and its retransmission from after the end
	},
	"translated and joined": {
		371795, // an equal datagram with DF, with the ID that cutting gave
	},
	"cut elsewhere": {
		12782, 21957, // a retransmission that is equal, of a packet that was cut
	},
	"joined otherwise": {
		1093, 1987, 3704, 5366, 5634, // partial superpackets, and shorter ones with complete checksums
		9129,                 // equal datagrams with the ID 0
		12928, 15052, 340574, // superpackets of datagrams without a VnetHdr on both sides
		322088, 359063, 371966, 372256, 383424, 389547, // the same, and the IDs that cutting gave
		202287, 118864580192805429, // the same, and a packet that seems to change places with them
		347693, // equal superpackets of equal datagrams, which have other places in the captures
	},
}

// follows are the fields that change with others, or whose change is also a change of length.
var follows = []string{"ip.checksum", "tcp.checksum", "udp.checksum", "length", "ip.total_length", "ip.payload_length", "udp.length"}

// mismatch compares findings with those that must be reported. at has the places of packets
// in the capture before.
func mismatch(found []Finding, want []Want, at map[int]placeOf) string {
	rest := slices.Clone(want)
	segments := map[int]int{} // of each superpacket before
	for _, p := range at {
		segments[p.number]++
	}
	for _, f := range found {
		if n := f.Packets[Before]; f.What == Lost && f.Segments[Before] == 0 && segments[n] > 1 { // a whole superpacket
			left := slices.DeleteFunc(slices.Clone(rest), func(w Want) bool { return w.What == Lost && at[w.Packet].number == n })
			if len(rest)-len(left) == segments[n] {
				rest = left
				continue
			}
		}
		i := slices.IndexFunc(rest, func(w Want) bool {
			place := placeOf{w.Packet, 0}
			if p, has := at[w.Packet]; has {
				place = p
			}
			names := f.FieldNames()
			return f.What == w.What && f.Packets[Before] == place.number && f.Segments[Before] == place.segment &&
				(w.Field == "" || slices.Contains(names, w.Field)) &&
				!slices.ContainsFunc(names, func(n string) bool { return n != w.Field && !slices.Contains(follows, n) })
		})
		if i < 0 {
			return fmt.Sprintf("not wanted: %v", f)
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) > 0 {
		return fmt.Sprintf("not found: %v", rest)
	}
	return ""
}

// looksComplete reports whether the partial checksum of a superpacket happens to be right as
// a complete one. Then it does not look like a superpacket.
func looksComplete(p pcap.Packet) bool {
	h := packet.Parse(p.Data)
	if packet.Checksum(p.Data) != packet.Right {
		return false
	}
	sum := h.SumOf(p.Data, len(p.Data))
	return sum.Partial == sum.Got
}

// onlyOne reports whether only one segment of a superpacket is not lost. Then it may also be a
// packet that lost its end, unless its VnetHdr shows what it is.
func onlyOne(want []Want, at map[int]placeOf) bool {
	lost, segments := map[int]int{}, map[int]int{}
	for n, p := range at {
		segments[p.number]++
		if slices.Contains(want, Want{n, "", Lost}) && p.segment > 0 {
			lost[p.number]++
		}
	}
	for n, k := range lost {
		if k+1 == segments[n] {
			return true
		}
	}
	return false
}

// asked is a comparison of captures with a fault between them.
type asked struct {
	name          string
	before, after []pcap.Packet
	want          []Want
	at            map[int]placeOf // where the packets before are, if they were joined
}

// ask returns the comparisons that show a fault: of packets, and of superpackets on one side.
func ask(t rapid.TB, r *rand.Rand, fault Fault, net byte) (list []asked) {
	packets := mixed(r, drawn, net)
	altered, want, ok := fault.Apply(r, packets)
	if !ok {
		return nil
	}
	list = append(list, asked{fault.Name, packets, altered, want, nil})
	if fault.plain {
		return list
	}
	vnet := r.IntN(2) == 0
	if joined, _ := coalesced(t, altered, offload.Config{}, 64, vnet); !slices.ContainsFunc(joined, looksComplete) {
		list = append(list, asked{fault.Name + ", joined after", packets, joined, want, nil})
	}
	if joined, at := coalesced(t, packets, offload.Config{}, 64, vnet); !slices.ContainsFunc(joined, looksComplete) && (vnet || !onlyOne(want, at)) {
		list = append(list, asked{fault.Name + ", joined before", joined, altered, want, at})
	}
	return list
}

// TestFaults applies each fault, and finds it and nothing else, whether either side has
// packets or superpackets.
func TestFaults(t *testing.T) {
	t.Parallel()
	check := func(t rapid.TB, r *rand.Rand, fault Fault) int {
		list := ask(t, r, fault, 0)
		for _, c := range list {
			if s := mismatch(judged(t, Config{}, c.before, c.after).found, c.want, c.at); s != "" {
				t.Fatalf("%s, want %v: %s", c.name, c.want, s)
			}
		}
		return len(list)
	}
	for _, fault := range faults {
		t.Run(fault.Name, func(t *testing.T) {
			done := 0
			for seed := uint64(0); seed < 20 && done < 3; seed++ {
				done += check(t, seeded(seed), fault)
			}
			if done == 0 {
				t.Error("it was not applied")
			}
		})
	}
	for name, seeds := range foundFaults {
		for _, seed := range seeds {
			r := seeded(seed)
			r.IntN(85) // there were as many faults when it was found
			check(t, r, faults[slices.IndexFunc(faults, func(f Fault) bool { return f.Name == name })])
		}
	}
	property(t, 0, true, func(t rapid.TB, r *rand.Rand) { check(t, r, faults[r.IntN(len(faults))]) })
}

// foundFaults are seeds with which more than the fault was reported, by what was wrong.
var foundFaults = map[string][]uint64{
	"longer, lengths corrected": {791, 2128}, // of a superpacket, the first datagram was longer
	"longer":                    {6837},      // bytes after the end of the last datagram of a superpacket
	"moved":                     {7764},      // equal datagrams
}

// essence is what a property compares of findings: everything but the values.
func essence(found []Finding) (list []string) {
	for _, f := range found {
		names := f.FieldNames()
		slices.Sort(names)
		list = append(list, fmt.Sprint(f.What, f.Packets, f.Segments, names))
	}
	slices.Sort(list)
	return list
}

// same fails the test if findings are not those that are wanted.
func same(t rapid.TB, what string, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// mirrored returns the findings of the reverse comparison. A lost copy is a duplicate there.
func mirrored(found []Finding) (list []Finding) {
	for _, f := range found {
		f.Packets[0], f.Packets[1] = f.Packets[1], f.Packets[0]
		f.Segments[0], f.Segments[1] = f.Segments[1], f.Segments[0]
		switch f.What {
		case Lost:
			f.What = Extra
		case Extra:
			f.What = Lost
		case Duplicated:
			f.What = Lost
			f.Packets[After], f.Segments[After] = 0, 0
		}
		fields := slices.Clone(f.Fields)
		for i, d := range fields {
			fields[i].WantText, fields[i].GotText = d.GotText, d.WantText
		}
		f.Fields = fields
		list = append(list, f)
	}
	return list
}

// TestMirror compares captures either way round: what was lost is extra, and what a field was
// it is.
func TestMirror(t *testing.T) {
	t.Parallel()
	values := func(found []Finding) (list []string) {
		for _, f := range found {
			s := essence([]Finding{f})[0]
			for _, d := range f.Fields {
				s += fmt.Sprint(" ", d.Field, " ", d.WantText, " ", d.GotText)
			}
			list = append(list, s)
		}
		slices.Sort(list)
		return list
	}
	property(t, 40, true, func(t rapid.TB, r *rand.Rand) {
		for _, c := range ask(t, r, faults[r.IntN(len(faults))], 0) {
			forth, back := judged(t, Config{}, c.before, c.after), judged(t, Config{}, c.after, c.before)
			for i, f := range back.found {
				if f.What == Duplicated { // a copy that is lost there
					back.found[i].What = Extra
					back.found[i].Packets[Before], back.found[i].Segments[Before] = 0, 0
				}
			}
			same(t, c.name, values(mirrored(forth.found)), values(back.found))
		}
	})
}

// TestRouted lowers every TTL and hop limit between captures that are joined or cut: each
// packet is found to be changed in these fields only, and none is lost or extra. Of equal
// packets, the ID of one may count as changed, and one may seem to change places.
func TestRouted(t *testing.T) {
	t.Parallel()
	lower := func(b []byte) {
		switch h := packet.Parse(b); h.Version {
		case 4:
			set(b, 8, []byte{b[8] - 1, b[9]}, 10)
		case 6:
			b[7]--
		}
	}
	property(t, 10, false, func(t rapid.TB, r *rand.Rand) {
		image := images[1+r.IntN(2)]
		before, after := image.of(t, r, mixed(r, drawn, 0))
		if slices.ContainsFunc(slices.Concat(before, after), looksComplete) {
			return
		}
		after = edited(after, lower)
		for range 2 {
			for _, f := range judged(t, Config{}, before, after).found {
				if f.What != Reordered && f.What != Changed || slices.ContainsFunc(f.FieldNames(), func(name string) bool { return name != "ip.id" && !slices.Contains(hopFields, name) }) {
					t.Fatalf("%s: %v", image.name, f)
				}
			}
			before, after = after, before
		}
	})
}
