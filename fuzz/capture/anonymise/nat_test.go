package anonymise

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestTranslated checks that two captures with a translation of addresses and ports between
// them give copies of which compare says what it says of them, for TCP and UDP over both
// versions, if nothing was changed and if a byte was.
func TestTranslated(t *testing.T) {
	for name, first := range map[string]scenario.Packet{"tcp4": scenario.TCP4(100), "udp4": scenario.UDP4(100), "tcp6": scenario.TCP6(100), "udp6": scenario.UDP6(100)} {
		for _, damaged := range []bool{false, true} {
			if damaged && name == "udp6" {
				continue // no ID shows what the damaged datagram was
			}
			var lists [2][]pcap.Packet
			p := first
			for i := range 6 {
				b := p.Bytes()
				b[len(b)-1] = byte(i) // payloads of their own
				packet.Fix(b, packet.FixAll)
				after := bytes.Clone(b)
				h := packet.Parse(b)
				if h.Version == 4 {
					after[15]++ // the source address
				} else {
					after[23]++
				}
				after[h.L4Off+1]++ // and port
				if damaged && i == 3 {
					after[len(after)-1] ^= 0x55
				}
				packet.Fix(after, packet.FixAll)
				at := time.Unix(1_700_000_000+int64(i), 0)
				lists[0] = append(lists[0], pcap.Packet{Time: at, Data: b})
				lists[1] = append(lists[1], pcap.Packet{Time: at, Data: after})
				p = p.Next(100)
			}
			dir := t.TempDir()
			to := filepath.Join(dir, "copies")
			var names, copies []string
			for side, list := range lists {
				var file bytes.Buffer
				if err := pcap.Write(&file, list); err != nil {
					t.Fatal(err)
				}
				base := [...]string{"before.pcap", "after.pcap"}[side]
				names, copies = append(names, filepath.Join(dir, base)), append(copies, filepath.Join(to, base))
				if err := os.WriteFile(names[side], file.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := anonymiser(t, 0).Files(t.Context(), nil, io.Discard, io.Discard, to, names); err != nil {
				t.Fatal(err)
			}
			want, got := verdictOf(t, names), verdictOf(t, copies)
			if want != got || damaged == (want == "") {
				t.Errorf("%s, damaged %v: compare says of the copies %q, of the captures %q", name, damaged, got, want)
			}
		}
	}
}

// verdictOf returns what compare finds in two captures, without values.
func verdictOf(t *testing.T, names []string) (found string) {
	t.Helper()
	var in [2]*capture.Source
	for side, name := range names {
		s, err := capture.Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		in[side] = s
	}
	r, err := compare.Files(t.Context(), io.Discard, in, compare.Config{}, 100)
	if err != nil || len(r.Told) != 1 || r.Told[0].What != compare.Translated {
		t.Fatalf("%v: %+v", err, r.Told)
	}
	for _, f := range r.Findings {
		found += f.What
		for _, d := range f.Fields {
			found += " " + d.Field
		}
		found += "\n"
	}
	return found
}
