// SPDX-License-Identifier: MIT

package svg_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tunproof/fuzz/internal/svg"
)

// TestPicture checks that a picture of any texts is well-formed, and has its title,
// description and texts.
func TestPicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("a<>&\"'é]"))).Draw(t, "text")
		p := svg.New(300, 200, text, "about "+text)
		p.Box(svg.Blue, 1, 2, 3, 4)
		p.Text(svg.Ink, 12, 5, 6, svg.Middle, text)
		p.Upright(svg.Soft, 12, 5, 6, text)
		p.Path(svg.Red, 2, true, [2]float64{1, 2}, [2]float64{3, 4})
		p.Dot(svg.Red, 1, 2, 3)
		found := map[string]string{}
		name := ""
		for d := xml.NewDecoder(bytes.NewReader(p.Bytes())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch x := token.(type) {
			case xml.StartElement:
				name = x.Name.Local
			case xml.CharData:
				found[name] += strings.TrimSuffix(string(x), "\n")
			}
		}
		if found["title"] != text || found["desc"] != "about "+text || found["text"] != text+text {
			t.Fatalf("%q, want the text %q", found, text)
		}
	})
}

// TestTicks checks, for any axis, that ticks are on it and that labels are apart.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := math.Pow(10, rapid.Float64Range(-4, 5).Draw(t, "low"))
		a := svg.Log{Low: low, High: low * math.Pow(10, rapid.Float64Range(.5, 6).Draw(t, "decades")), From: 400, To: 0}
		last, labels := math.Inf(1), 0
		for _, tick := range a.Ticks(30) {
			y := a.At(tick.Value)
			if y < -1 || y > 401 {
				t.Fatalf("%v is at %g", tick, y)
			}
			if tick.Label == "" {
				continue
			}
			labels++
			if last-y < 29.9 {
				t.Fatalf("the label of %v is %g pixels from the one before", tick, last-y)
			}
			last = y
		}
		if labels == 0 {
			t.Fatalf("no label from %g to %g", a.Low, a.High)
		}
	})
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.01: "0.01", 0.5: "0.5", 1: "1", 999: "999", 1000: "1,000", 50_000: "50,000", 1e6: "1,000,000", 1234.5: "1,234.5"} {
		if got := svg.Number(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}
