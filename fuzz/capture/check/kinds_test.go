package check

import (
	"os"
	"strings"
	"testing"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// inCorpus reports whether the corpus has a case.
func inCorpus(name string) bool {
	_, err := os.Stat("../../../corpus/" + name + ".pkts")
	return err == nil
}

// TestCases asks for the case of each kind for TCP and UDP over IPv4 and IPv6: the corpus has
// it. It is of the protocol and the version, if there is such a case, and else of the protocol,
// unless the kind has cases of another protocol only.
func TestCases(t *testing.T) {
	for _, k := range Kinds() {
		if k.Case == "" || !inCorpus(k.Case) {
			t.Errorf("%s: the corpus does not have %q", k.Name, k.Case)
		}
		if got := k.caseOf(packet.Header{}); got != k.Case {
			t.Errorf("%s: without a header it is %q", k.Name, got)
		}
		n := len(k.Case) - 4
		if s := k.Case[n:]; s != "tcp4" && s != "tcp6" && s != "udp4" && s != "udp6" {
			if got := k.caseOf(packet.Header{Version: 4, Proto: 17}); got != k.Case {
				t.Errorf("%s: %q, want %q", k.Name, got, k.Case)
			}
			continue
		}
		for proto, number := range map[string]uint8{"tcp": 6, "udp": 17} {
			for version, digit := range map[int]string{4: "4", 6: "6"} {
				onlyTCP := strings.HasPrefix(k.Name, "tcp-") || strings.HasPrefix(k.Name, "seq-") || k.Name == "id-descending"
				onlyUDP := strings.HasPrefix(k.Name, "udp-") || k.Name == "vnet-ecn" || k.Name == "vnet-needs-csum" || k.Name == "vnet-segments"
				if proto == "udp" && onlyTCP || proto == "tcp" && onlyUDP {
					continue // no packet of this protocol gets it
				}
				got := k.caseOf(packet.Header{Version: version, Proto: number})
				if !inCorpus(got) {
					t.Errorf("%s of %s%s: the corpus does not have %q", k.Name, proto, digit, got)
				}
				stem := k.Case[:n]
				if proto == "udp" && udpCases[stem] != "" {
					stem = udpCases[stem]
				}
				of := func(suffix string) bool { return inCorpus(stem + suffix) }
				switch {
				case of(proto + digit):
					if got != stem+proto+digit {
						t.Errorf("%s of %s%s: %q, and the corpus has %s", k.Name, proto, digit, got, stem+proto+digit)
					}
				case of(proto + "4"), of(proto + "6"):
					if !strings.HasPrefix(got, stem+proto) {
						t.Errorf("%s of %s%s: %q is of another protocol", k.Name, proto, digit, got)
					}
				case got != k.Case:
					t.Errorf("%s of %s%s: %q, want %q", k.Name, proto, digit, got, k.Case)
				}
			}
		}
	}
}

// TestCaseOfFinding checks that findings have cases of their packet's protocol and version.
func TestCaseOfFinding(t *testing.T) {
	for name, p := range map[string]scenario.Packet{"tcp4": scenario.TCP4(40), "tcp6": scenario.TCP6(40), "udp4": scenario.UDP4(40), "udp6": scenario.UDP6(40)} {
		b := p.Bytes()
		b[len(b)-1]++
		for _, f := range findings(t, Config{}, b, b[:len(b)-1]) {
			if !strings.HasSuffix(f.Case, name) || !inCorpus(f.Case) {
				t.Errorf("%s: %v has %q", name, f, f.Case)
			}
		}
	}
}
