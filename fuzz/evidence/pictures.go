// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/internal/svg"
	"tunproof/fuzz/kernel/matrix"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/fuzz/replay"
	"tunproof/fuzz/scenario/draw"
	"tunproof/tunlive/kernels"
)

// drawn is the sample size of the picture of inputs, in batches and in superpackets.
const drawn = 10_000

// reached counts the Reasons, refusals and fields that generated inputs meet.
type reached struct {
	reasons, refusals, fields map[string]int
}

// reach runs n generated batches and as many superpackets through production.
func reach(n int, seed uint64) *reached {
	r := &reached{map[string]int{}, map[string]int{}, map[string]int{}}
	source := draw.NewSource(draw.Kinds{Batches: true, Supers: true}, record.Seed(seed, "reach", 0))
	for i := range 2 * n {
		batches, supers := replay.Explain(source.Draw(i))
		for _, b := range batches {
			for _, p := range b.Packets {
				r.reasons[p.Reason]++
				for _, f := range p.Fields {
					if len(p.Fields) == 1 || !strings.HasSuffix(f.Field, ".checksum") {
						r.fields[f.Field]++
					}
				}
			}
		}
		for _, s := range supers {
			if s.Packets == nil {
				r.refusals[cmp.Or(s.Refused, "accepted")]++
			}
		}
	}
	return r
}

// counted returns a panel with a bar for each count, the largest first. Lengths are
// logarithmic.
func counted(heading string, m map[string]int, fill svg.Color) panel {
	p := panel{heading: heading, most: 10}
	for _, n := range m {
		p.most = max(p.most, float64(n))
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(m[b]-m[a], strings.Compare(a, b)) })
	for _, k := range keys {
		p.bars = append(p.bars, bar{k, svg.Number(float64(m[k])), logarithm(max(.5, float64(m[k])), p.most), fill})
	}
	return p
}

// inputsPicture returns an SVG picture of the Reasons, refusals and fields that n generated
// batches and n superpackets hit.
func inputsPicture(n int, seed uint64) ([]byte, error) {
	r := reach(n, seed)
	return bars(fmt.Sprintf("What %s generated batches and as many superpackets hit", svg.Number(float64(n))), "how often each outcome came; the axes are logarithmic",
		[]panel{counted("Reason of each packet", r.reasons, svg.Blue)},
		[]panel{counted("field that keeps a packet apart (Mismatch)", r.fields, svg.Green)},
		[]panel{counted("superpackets refused, and accepted", r.refusals, svg.Orange)}), nil
}

// capturesPicture returns an SVG picture of the packets per superpacket for each capture and mode.
func capturesPicture() ([]byte, error) {
	list, err := corpus.Captures()
	if err != nil {
		return nil, err
	}
	fills := []svg.Color{svg.Blue, svg.Sky, svg.Green, svg.Orange, svg.Purple}
	columns := make([][]panel, 2)
	most := 1.0
	for i, c := range list {
		packets, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil {
			return nil, fmt.Errorf("capture %s: %w", c.Name, err)
		}
		p := panel{heading: fmt.Sprintf("%s, %d packets", c.Name, len(packets))}
		for k, m := range law.Modes {
			s := law.Capture(packets, 64, m.Config)
			mean := law.MeanSegments(&s)
			most = max(most, mean)
			p.bars = append(p.bars, bar{m.Name, fmt.Sprintf("%.1f", mean), mean, fills[k%len(fills)]})
		}
		columns[i*2/len(list)] = append(columns[i*2/len(list)], p)
	}
	for _, column := range columns {
		for _, p := range column {
			for i := range p.bars {
				p.bars[i].length /= most
			}
		}
	}
	return bars("Packets per superpacket on the captures, by mode", "in batches of 64; longer is better: fewer calls for as many packets", columns...), nil
}

// compared has the benchmarks of bench.txt that the picture of speed shows.
var compared = []struct{ name, heading string }{
	{"Sum/size=1448", "checksum of 1,448 bytes"},
	{"Segment/proto=tcp4/size=1448", "segmenting TCP, 1,448 bytes a segment"},
	{"Coalesce/proto=tcp4/size=1448/flows=1/pkts=128", "coalescing TCP, one flow, 1,448 bytes"},
	{"Coalesce/proto=tcp4/size=200/flows=64/pkts=1024", "coalescing TCP, 64 flows, 200 bytes"},
	{"Coalesce/proto=udp4/size=1200/flows=1/pkts=128", "coalescing UDP, one flow, 1,200 bytes"},
	{"Coalesce/proto=acks/flows=8/pkts=128", "pure ACKs of 8 flows"},
}

// medians returns the median time of each implementation in a benchmark.
func medians(bench []byte, name string) map[string]float64 {
	all := map[string][]float64{}
	for s := bufio.NewScanner(bytes.NewReader(bench)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 || !strings.HasPrefix(f[0], "Benchmark"+name+"/") {
			continue
		}
		_, impl, _ := strings.Cut(f[0], "/impl=")
		if ns, err := strconv.ParseFloat(f[2], 64); err == nil {
			all[impl] = append(all[impl], ns)
		}
	}
	median := map[string]float64{}
	for impl, ns := range all {
		slices.Sort(ns)
		median[impl] = ns[len(ns)/2]
	}
	return median
}

// speedPicture returns an SVG picture of the time of each implementation, divided by tunproof's.
func speedPicture(root string) ([]byte, error) {
	bench, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(record.Data), "bench", "bench.txt"))
	if err != nil {
		return nil, err
	}
	fills := map[string]svg.Color{"tunproof": svg.Blue, "tunproof-next": svg.Sky, "nebula": svg.Red, "tailscale": svg.Green, "wireguard-go": svg.Purple, "gvisor": svg.Orange}
	columns := make([][]panel, 2)
	for i, c := range compared {
		m := medians(bench, c.name)
		ours := m["tunproof"]
		if ours == 0 {
			return nil, fmt.Errorf("docs/evidence/current/bench/bench.txt: no %s of tunproof", c.name)
		}
		p := panel{heading: c.heading}
		longest := 0.0
		for impl, ns := range m {
			if fills[impl] != "" {
				longest = max(longest, ns/ours)
			}
		}
		for _, impl := range slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Compare(m[a], m[b]) }) {
			if fills[impl] != "" {
				p.bars = append(p.bars, bar{impl, fmt.Sprintf("%.2f", m[impl]/ours), m[impl] / ours / longest, fills[impl]})
			}
		}
		columns[i%2] = append(columns[i%2], p)
	}
	return bars("Time divided by that of tunproof", "shorter is faster; medians of alternating rounds (docs/bench.md); each panel has a scale of its own", columns...), nil
}

// kernelsPicture returns an SVG picture of the amount asked of each kernel, by property.
func kernelsPicture(rows []record.Result) ([]byte, error) {
	ids := []string{"K1", "K2", "K3", "K4", "K5", matrix.Device, matrix.Harness, matrix.Features}
	var columns []string
	cells := make([][]cell, len(ids))
	for _, k := range kernels.All {
		of := slices.DeleteFunc(slices.Clone(rows), func(r record.Result) bool { return r.Judge != k.Name })
		if len(of) == 0 {
			continue
		}
		columns = append(columns, k.Name)
		for i, id := range ids {
			n, c := 0, cell{"not run", svg.None, svg.Soft}
			for _, r := range of {
				if r.Property != id {
					continue
				}
				n += r.Count
				switch {
				case r.Result == record.Violated:
					c.fill, c.ink = svg.Bad, svg.White
				case r.Result == record.Holds && c.fill != svg.Bad:
					c.fill, c.ink = svg.Good, svg.White
				}
			}
			if c.fill != svg.None {
				c.text = Short(n)
			}
			cells[i] = append(cells[i], c)
		}
	}
	return grid("Number of inputs by property and kernel, in virtual machines", "green: the property holds; red: it is violated; env.json has the releases", lawful(ids, record.LawOf), columns, cells), nil
}

// othersPicture returns an SVG picture of the properties that hold for other implementations.
func othersPicture(others []Other) ([]byte, error) {
	var columns []string
	for _, o := range others {
		columns = append(columns, o.Name)
	}
	var cells [][]cell
	for _, p := range conform.Properties() {
		var line []cell
		for _, o := range others {
			line = append(line, map[string]cell{record.Holds: {"holds", svg.Good, svg.White}, record.Violated: {"violated", svg.Bad, svg.White},
				refuses: {"refuses", svg.Yellow, svg.Black}, record.NotRun: {"n/a", svg.None, svg.Soft}}[o.Properties[p]])
		}
		cells = append(cells, line)
	}
	return grid("The same properties for other implementations, judged from outside", "refuses: every violation is a superpacket that is refused; n/a: not judged", lawful(conform.Properties(), conform.About), columns, cells), nil
}

// Short returns a count with three significant digits.
func Short(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.3gM", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%.3gk", float64(n)/1e3)
	}
	return strconv.Itoa(n)
}
