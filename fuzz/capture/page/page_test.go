// SPDX-License-Identifier: MIT

package page_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// element is an element of a page, with the text in it.
type element struct {
	name, class, id string
	text            string // of it and of the elements in it
}

// elements parses a page and returns its elements in the order of their ends. It fails if the
// page is not well-formed, or if two elements have one id.
func elements(t *testing.T, html []byte) (list []element) {
	t.Helper()
	ids := map[string]bool{}
	type part struct {
		element
		from int // where its text begins
	}
	var open []part
	var text bytes.Buffer
	for d := xml.NewDecoder(bytes.NewReader(html)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := part{element{name: x.Name.Local}, text.Len()}
			for _, a := range x.Attr {
				switch a.Name.Local {
				case "class":
					e.class = a.Value
				case "id":
					e.id = a.Value
					if ids[e.id] {
						t.Errorf("two elements have the id %q", e.id)
					}
					ids[e.id] = true
				case "src", "onclick", "onload", "style":
					if a.Name.Local != "style" || a.Value != "text-anchor:start" {
						t.Errorf("attribute %s=%q", a.Name.Local, a.Value)
					}
				case "href":
					if !strings.HasPrefix(a.Value, "#") {
						t.Errorf("a link to %q", a.Value)
					}
				}
			}
			open = append(open, e)
		case xml.CharData:
			text.Write(x)
		case xml.EndElement:
			e := open[len(open)-1]
			e.text = string(text.Bytes()[e.from:])
			list = append(list, e.element)
			open = open[:len(open)-1]
		}
	}
	for _, e := range list {
		if e.name == "script" || e.name == "img" || e.name == "link" || e.name == "iframe" {
			t.Errorf("the page has an element %s", e.name)
		}
		if e.name == "svg" && e.id == "" {
			t.Error("a picture without an id")
		}
	}
	return list
}

// having returns the texts of the elements with a name and a class.
func having(list []element, name, class string) (texts []string) {
	for _, e := range list {
		if e.name == name && slices.Contains(strings.Fields(e.class), class) {
			texts = append(texts, strings.TrimSpace(e.text))
		}
	}
	return texts
}

// write writes packets to a pcapng file and returns its path.
func write(t *testing.T, name string, packets []pcap.Packet) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := pcap.NewWriter(f, pcap.NG)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		if p.Time.IsZero() {
			p.Time = time.Unix(1000, int64(i)*50_000)
		}
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// bulk returns n segments of a TCP flow.
func bulk(n, size int) (list []pcap.Packet) {
	for i := range n {
		p := scenario.TCP4(size)
		p.Seq, p.ID = uint32(1+i*size), uint16(1000+i)
		b := p.Bytes()
		for k := len(b) - size; k < len(b); k++ {
			b[k] = byte(k*7 + i*13)
		}
		packet.Fix(b, packet.FixAll)
		list = append(list, pcap.Packet{Data: b})
	}
	return list
}

// checked judges a capture and returns its page and what is printed.
func checked(t *testing.T, most int, paths ...string) (html []byte, printed string) {
	t.Helper()
	p := page.Page{Command: "check"}
	var out bytes.Buffer
	for _, path := range paths {
		in, err := capture.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		var seen page.Check
		r, err := check.File(context.Background(), io.Discard, in, check.Options{Most: most, Each: seen.Found})
		if err != nil {
			t.Fatal(err)
		}
		r.Print(&out)
		s, err := seen.Section(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Sections = append(p.Sections, s)
	}
	return written(t, &p), out.String()
}

// written returns a page as HTML.
func written(t *testing.T, p *page.Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compared compares two captures and returns the page and what is printed.
func compared(t *testing.T, before, after string, cfg compare.Config) (html []byte, printed string) {
	t.Helper()
	var in [2]*capture.Source
	for i, path := range []string{before, after} {
		var err error
		if in[i], err = capture.Open(path, nil); err != nil {
			t.Fatal(err)
		}
		defer in[i].Close()
	}
	var seen page.Compare
	cfg.Each, cfg.Cut = seen.Found, seen.Cut
	r, err := compare.Files(context.Background(), io.Discard, in, cfg, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.Print(&out)
	s, err := seen.Section(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, &page.Page{Command: "compare", Sections: []page.Section{s}}), out.String()
}

// hasPrinted fails unless the page has every line that is printed, but for white space and
// brackets. The names of the captures are left out, which the page has elsewhere.
func hasPrinted(t *testing.T, list []element, printed string, captures ...string) {
	t.Helper()
	squeeze := strings.NewReplacer("[", "", "]", "", " ", "", "\n", "")
	body := ""
	for _, e := range list {
		if e.name == "body" {
			body = squeeze.Replace(e.text)
		}
	}
	for _, name := range captures {
		printed = strings.ReplaceAll(printed, name+": ", "")
	}
	for line := range strings.Lines(printed) {
		if !strings.Contains(body, squeeze.Replace(line)) {
			t.Errorf("printed, and not in the page: %q", line)
		}
	}
}

// TestCheck checks the page of a capture with findings: it has all that is printed, and
// marks the bytes of the fields.
func TestCheck(t *testing.T) {
	list := bulk(20, 100)
	list[5].Data[37] ^= 0x40  // tcp.checksum
	list[9].Data[10] ^= 0x40  // ip.checksum
	list[12].Data[3] ^= 0x04  // ip.total_length
	list[15].Data[47] ^= 0x04 // payload
	a, right := write(t, "a.pcapng", list), write(t, "right.pcapng", bulk(3, 100))
	html, printed := checked(t, 100, a, right)
	found := elements(t, html)
	hasPrinted(t, found, printed, a, right)
	if n := strings.Count(printed, "\npacket"); n < 3 || len(having(found, "details", "finding")) != n {
		t.Errorf("%d findings, %d printed", len(having(found, "details", "finding")), n)
	}
	var marks []string
	for _, e := range found {
		if e.name == "mark" {
			marks = append(marks, e.text)
		}
	}
	for _, want := range []string{"tcp.checksum", "ip.checksum", "ip.total_length", fmt.Sprintf("%02x %02x", list[9].Data[10], list[9].Data[11])} {
		if !slices.Contains(marks, want) {
			t.Errorf("%q is not marked; %q are", want, marks)
		}
	}
	if n := len(having(found, "rect", "wrong")); n < 4 { // and one in the legend
		t.Errorf("%d bars have a finding", n)
	}
}

// TestHostile checks that names and comments of any bytes become text.
func TestHostile(t *testing.T) {
	evil := "<script>alert(1)</script>\"'&\u202e<!--\x01]]>"
	list := bulk(3, 50)
	list[1].Data[37] ^= 0x40
	list[1].Comment = evil + "\nvnet flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0"
	name := strings.ReplaceAll(evil, "/", "\\")
	html, _ := checked(t, 100, write(t, name, list))
	found := elements(t, html)
	if bytes.Contains(html, []byte("<script")) || bytes.Contains(html, []byte("<!--")) {
		t.Error("a name or a comment is markup")
	}
	clean := strings.NewReplacer("\u202e", "\ufffd", "\x01", "\ufffd").Replace(evil)
	if !slices.ContainsFunc(found, func(e element) bool { return e.text == "comment: "+clean }) {
		t.Error("the comment is not in the page as it is")
	}
	if !slices.ContainsFunc(found, func(e element) bool {
		return e.name == "h2" && strings.HasSuffix(e.text, strings.ReplaceAll(clean, "/", "\\"))
	}) {
		t.Error("the name is not in the page as it is")
	}
}

// broken returns the packets of a flow after an offload that loses, doubles, changes and
// reorders some of them.
func broken(list []pcap.Packet) []pcap.Packet {
	after := slices.Clone(list)
	after[30], after[33] = after[33], after[30]
	changed := bytes.Clone(after[22].Data)
	changed[60] ^= 0x55
	after[22].Data = changed
	after = slices.Insert(after, 40, after[40])
	return slices.Delete(after, 12, 14)
}

// TestCompare checks the page of two captures: each kind of finding is in the picture, and
// what differs is marked on both sides.
func TestCompare(t *testing.T) {
	list := bulk(60, 200)
	html, printed := compared(t, write(t, "before.pcapng", list), write(t, "after.pcapng", broken(list)), compare.Config{})
	found := elements(t, html)
	hasPrinted(t, found, printed)
	for _, what := range []string{compare.Lost, compare.Duplicated, compare.Changed, compare.Reordered} {
		if len(having(found, "rect", what)) < 2 || len(having(found, "text", what)) < 2 { // the legend has one of each
			t.Errorf("%s is not in the picture", what)
		}
	}
	was, is := fmt.Sprintf("%02x", list[22].Data[60]), fmt.Sprintf("%02x", list[22].Data[60]^0x55)
	for _, want := range []string{was, is} {
		if !slices.ContainsFunc(found, func(e element) bool { return e.name == "mark" && e.text == want }) {
			t.Errorf("%s is not marked", want)
		}
	}
	html, printed = compared(t, write(t, "before.pcapng", list), write(t, "after.pcapng", list), compare.Config{})
	found = elements(t, html)
	hasPrinted(t, found, printed)
	if len(having(found, "p", "holds")) != 1 || len(having(found, "figure", "picture")) != 1 {
		t.Error("right traffic has no verdict or no picture")
	}
}

// TestTranslated checks that the packets of a flow that was translated are shown as they were
// captured, in one picture, and that only what the finding is about is marked.
func TestTranslated(t *testing.T) {
	before, after := bulk(20, 200), bulk(20, 200)
	for i := range after {
		copy(after[i].Data[16:20], []byte{192, 0, 2, 77})
		packet.Fix(after[i].Data, packet.FixAll)
	}
	after[9].Data[60] ^= 1
	html, printed := compared(t, write(t, "b.pcapng", before), write(t, "a.pcapng", after), compare.Config{})
	if !strings.Contains(printed, "translated") || !strings.Contains(printed, "1 changed") {
		t.Fatalf("printed: %s", printed)
	}
	found := elements(t, html)
	for _, e := range found {
		if e.name == "mark" && strings.Contains(e.text, "ip.dst") {
			t.Error("the translated address is marked as a fault")
		}
	}
	titles := having(found, "figure", "dump")
	if len(titles) != 2 || !strings.Contains(titles[1], "after: packet 10, translated") || !strings.Contains(titles[1], "192.0.2.77") {
		t.Errorf("shown: %q", titles)
	}
	if n := len(having(found, "figure", "picture")); n != 1 {
		t.Errorf("%d pictures, want one", n)
	}
}

// TestIgnored checks that a field that is ignored is not marked.
func TestIgnored(t *testing.T) {
	list := bulk(30, 200)
	after := slices.Clone(list)
	for i := range after {
		b := bytes.Clone(after[i].Data)
		b[8]--
		if i == 15 {
			b[60] ^= 1
		}
		packet.Fix(b, packet.FixIPCsum)
		after[i].Data = b
	}
	html, _ := compared(t, write(t, "b.pcapng", list), write(t, "a.pcapng", after), compare.Config{Ignore: []string{"ip.ttl", "ip.checksum"}})
	var marks []string
	for _, e := range elements(t, html) {
		if e.name == "mark" {
			marks = append(marks, e.text)
		}
	}
	if !slices.Contains(marks, "payload") || slices.Contains(marks, "ip.ttl") || slices.Contains(marks, "ip.checksum") {
		t.Errorf("%q are marked", marks)
	}
}

// TestBounds checks that many findings stay in bounds, and that the page says what it lacks.
func TestBounds(t *testing.T) {
	const n = page.MostLines + 1234
	l := page.List{Title: "Findings"}
	b := bulk(1, 1400)[0].Data
	other := bytes.Clone(b)
	other[50] ^= 1
	for i := range n {
		l.Findings = append(l.Findings, page.Finding{Text: fmt.Sprintf("finding %d of many", i), Dumps: page.Sides("before", "after", b, other, nil, "")})
	}
	l.Bound(5, "advice")
	html := written(t, &page.Page{Command: "compare", Sections: []page.Section{{Title: "x", Result: "violated", Verdict: "VIOLATED", Lists: []page.List{l}}}})
	found := elements(t, html)
	if got := len(having(found, "details", "finding")); got != page.MostDumped {
		t.Errorf("%d findings with bytes, want %d", got, page.MostDumped)
	}
	if got := len(having(found, "div", "bare")); got != page.MostLines-page.MostDumped {
		t.Errorf("%d findings without bytes, want %d", got, page.MostLines-page.MostDumped)
	}
	left := having(found, "p", "left")
	if len(left) != 1 || !strings.HasPrefix(left[0], "1239 more left out; advice. The last 9500 are shown without the bytes") {
		t.Errorf("what is left out: %q", left)
	}
	if len(html) > 8<<20 {
		t.Errorf("the page has %d bytes", len(html))
	}
	t.Logf("%d findings: %d bytes", n, len(html))
}
