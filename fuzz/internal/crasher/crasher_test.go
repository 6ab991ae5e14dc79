// SPDX-License-Identifier: MIT

package crasher_test

import (
	"strings"
	"testing"

	"tunproof/fuzz/internal/crasher"
)

// TestForm checks that Parse reads what Format writes, and that it refuses other files with
// the line number.
func TestForm(t *testing.T) {
	for _, b := range []string{"", "a\n\"\\\x00\xff", "π"} {
		got, err := crasher.Parse(crasher.Format([]byte(b)))
		if err != nil || string(got) != b {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
	for text, want := range map[string]string{"": "1: want", "go test fuzz v1\nint(3)\n": "2: want", "go test fuzz v1\n[]byte(\"": "2: want"} {
		if _, err := crasher.Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
