// SPDX-License-Identifier: MIT

package offload

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestReasonText checks that each Reason has a text of its own, which is read back, also as
// the key of a map in JSON, and that no other text is a Reason.
func TestReasonText(t *testing.T) {
	counts := map[Reason]int{}
	for r := range Reason(NumReasons) {
		counts[r] = int(r)
		text, err := r.MarshalText()
		if err != nil || string(text) != r.String() {
			t.Errorf("%d: %q, %v, want %q", r, text, err, r)
		}
		back := Reason(99)
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%q: %v, %v, want %d", text, back, err, r)
		}
	}
	b, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	var back map[Reason]int
	if err := json.Unmarshal(b, &back); err != nil || len(back) != NumReasons {
		t.Fatalf("%s: %v", b, err)
	}
	for r, n := range back {
		if int(r) != n {
			t.Errorf("Reason %d is read back as %d", n, r)
		}
	}
	for _, text := range []string{"", "joined", "Joined ", "Reason(?)", "3"} {
		r := Closed
		if err := r.UnmarshalText([]byte(text)); err == nil || r != Closed || !strings.Contains(err.Error(), text) {
			t.Errorf("%q is Reason %v, %v", text, r, err)
		}
	}
	for r := NumReasons; r < 256; r++ {
		if text, err := Reason(r).MarshalText(); err == nil {
			t.Errorf("%d has the text %q", r, text)
		}
	}
}
