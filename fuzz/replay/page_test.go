// SPDX-License-Identifier: MIT

package replay

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// pageOf replays files and returns the page and what is printed.
func pageOf(t *testing.T, r *Run, names ...string) (written, printed string) {
	t.Helper()
	var out, b bytes.Buffer
	r.Ctx, r.Out, r.Err, r.Batch, r.Page = context.Background(), &out, io.Discard, 64, &page.Page{Command: "replay"}
	if _, err := r.Files(names); err != nil {
		t.Fatal(err)
	}
	if err := r.Page.Write(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return b.String(), out.String()
		} else if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
	}
}

// TestPage checks that the page of each case, and of a capture, has what is printed of it.
func TestPage(t *testing.T) {
	const dir = "../../corpus/"
	names := []string{dir + "captures/tcp4-ecn.pcap"}
	cases, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if i%10 == 0 && c.Op != "checksum" {
			names = append(names, dir+c.ID+".pkts")
		}
	}
	for _, name := range names {
		written, printed := pageOf(t, &Run{Properties: []law.Property{}}, name)
		text := html.UnescapeString(written)
		for line := range strings.Lines(printed) {
			line = strings.TrimSpace(strings.TrimPrefix(line, name+": "))
			if strings.HasPrefix(line, "batch ") || strings.HasPrefix(line, "superpacket ") {
				continue // a superpacket of one packet is not shown apart
			}
			if vnet := strings.HasPrefix(line, "flags=") || strings.HasPrefix(line, "IPv"); !vnet && !strings.Contains(text, line) {
				t.Errorf("%s: printed, and not in the page: %q", name, line)
			}
		}
	}
}

// TestPageOfViolation checks that the packets of a violation are on the page, side by side,
// with the difference marked, and that the picture marks the packet.
func TestPageOfViolation(t *testing.T) {
	bug := law.Property{Property: law.Properties[1].Property, Batches: true, Body: func(_ law.Subject, s *scenario.Scenario, _ *law.Tally) error {
		want := s.Batches[0][1]
		got := bytes.Clone(want)
		got[4] ^= 0xFF
		return law.Mismatchf("P2", want, got, "packet 1 is <changed>")
	}}
	written, printed := pageOf(t, &Run{Properties: []law.Property{bug}}, "../../corpus/captures/tcp4-ecn.pcap")
	for _, want := range []string{
		"<summary>VIOLATED P2: P2 violated: packet 1 is &lt;changed&gt;</summary>",
		"<figcaption>want<span>", "<figcaption>got<span>", `<mark title="ip.id">`, "<mark>ip.id</mark> at 4, 2 bytes", `<rect class="wrong"`,
	} {
		if !strings.Contains(written, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if !strings.Contains(printed, "VIOLATED P2: P2 violated: packet 1 is <changed>") {
		t.Errorf("printed: %s", printed)
	}
}
