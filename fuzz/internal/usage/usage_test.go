// SPDX-License-Identifier: MIT

package usage

import (
	"flag"
	"io"
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"20": 20 * time.Second, "0": 0, "1.5": 1500 * time.Millisecond, "90s": 90 * time.Second,
		"1h30m": 90 * time.Minute, "-1": -time.Second, "": -1, "x": -1, "20x": -1, "1e99": -1, "NaN": -1, "Inf": -1} {
		var got time.Duration
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		Time(flags, &got, "time", time.Minute, "")
		err := flags.Parse([]string{"-time", text})
		if want == -1 && err == nil || want != -1 && (err != nil || got != want) {
			t.Errorf("-time %q is %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestNearest checks that each word with one letter missing, doubled, wrong or exchanged
// means the word, and that other words mean nothing.
func TestNearest(t *testing.T) {
	known := []string{"verify", "check", "compare", "replay", "anonymise", "corpus", "fuzz", "exhaustive"}
	for _, k := range known {
		for i := range k {
			wrong := []string{k[:i] + k[i+1:], k[:i] + k[i:i+1] + k[i:], k[:i] + "q" + k[i+1:]}
			if i > 0 {
				wrong = append(wrong, k[:i-1]+k[i:i+1]+k[i-1:i]+k[i+1:])
			}
			for _, w := range wrong {
				if got := Nearest(w, known); got != k {
					t.Errorf("%s means %q, want %s", w, got, k)
				}
			}
		}
	}
	for _, w := range []string{"", "prove", "x", "zzzzzzzz", "-", "-x"} {
		if got := Nearest(w, known); got != "" {
			t.Errorf("%q means %s, want nothing", w, got)
		}
	}
}
