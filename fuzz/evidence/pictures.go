package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/conform"
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

// counted returns a bar for each count, the largest first. Lengths are logarithmic.
func counted(m map[string]int, fill color.Color) (list []bar) {
	most := 1.0
	for _, n := range m {
		most = max(most, float64(n))
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(m[b]-m[a], strings.Compare(a, b)) })
	for _, k := range keys {
		list = append(list, bar{k, strconv.Itoa(m[k]), math.Log1p(float64(m[k])) / math.Log1p(most), fill})
	}
	return list
}

// inputsPicture returns an SVG picture of the Reasons, refusals and fields that n generated
// batches and n superpackets hit.
func inputsPicture(n int, seed uint64) ([]byte, error) {
	r := reach(n, seed)
	return bars(fmt.Sprintf("What %d generated batches and %d superpackets hit (logarithmic)", n, n),
		[]panel{{"Reason of each packet", counted(r.reasons, blue)}},
		[]panel{{"field that keeps a packet apart (Mismatch)", counted(r.fields, green)}},
		[]panel{{"superpackets refused, and accepted", counted(r.refusals, orange)}})
}

// capturesPicture returns an SVG picture of the packets per superpacket for each capture and mode.
func capturesPicture() ([]byte, error) {
	list, err := corpus.Captures()
	if err != nil {
		return nil, err
	}
	fills := []color.Color{blue, sky, green, orange, purple}
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
	return bars("Packets per superpacket on the captures, in batches of 64, by mode", columns...)
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
	fills := map[string]color.Color{"tunproof": blue, "tunproof-next": sky, "nebula": red, "tailscale": green, "wireguard-go": purple, "gvisor": orange}
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
			if fills[impl] != nil {
				longest = max(longest, ns/ours)
			}
		}
		for _, impl := range slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Compare(m[a], m[b]) }) {
			if fills[impl] != nil {
				p.bars = append(p.bars, bar{impl, fmt.Sprintf("%.2f", m[impl]/ours), m[impl] / ours / longest, fills[impl]})
			}
		}
		columns[i%2] = append(columns[i%2], p)
	}
	return bars("Time divided by that of tunproof (docs/bench.md: medians of alternating rounds)", columns...)
}

// kernelsPicture returns an SVG picture of the amount asked of each kernel, by property.
func kernelsPicture(rows []record.Result) ([]byte, error) {
	columns := []string{"K1", "K2", "K3", "K4", "K5", matrix.Device, matrix.Harness, matrix.Features}
	var names []string
	var cells [][]cell
	for _, k := range kernels.All {
		of := slices.DeleteFunc(slices.Clone(rows), func(r record.Result) bool { return r.Judge != k.Name })
		if len(of) == 0 {
			continue
		}
		names = append(names, of[0].Env.Kernel)
		var line []cell
		for _, p := range columns {
			n, c := 0, cell{"not run", grey, dark}
			for _, r := range of {
				if r.Property != p {
					continue
				}
				n += r.Count
				switch {
				case r.Result == record.Violated:
					c.fill, c.ink = red, color.White
				case r.Result == record.Holds && c.fill != red:
					c.fill, c.ink = green, color.White
				}
			}
			if c.fill != grey {
				c.text = Short(n)
			}
			line = append(line, c)
		}
		cells = append(cells, line)
	}
	return grid("Number of inputs by kernel and property, in virtual machines", names, columns, cells, 190)
}

// othersPicture returns an SVG picture of the properties that hold for other implementations.
func othersPicture(others []Other) ([]byte, error) {
	var rows, columns []string
	var cells [][]cell
	for _, p := range conform.Properties() {
		rows = append(rows, p)
		var line []cell
		for _, o := range others {
			c := map[string]cell{record.Holds: {"holds", green, color.White}, record.Violated: {"violated", red, color.White}, refuses: {"refuses", yellow, color.Black}, record.NotRun: {"n/a", grey, dark}}[o.Properties[p]]
			line = append(line, c)
		}
		cells = append(cells, line)
	}
	for _, o := range others {
		columns = append(columns, o.Name)
	}
	return grid("The same properties for other implementations, judged from outside", rows, columns, cells, 60)
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
