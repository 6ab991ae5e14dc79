// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayPlanted checks that replay -plant runs a case with the bug, of the list and of a
// file, and that the right code holds on the same case.
func TestReplayPlanted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bugs.json")
	own := `[{"name": "own", "from": "me", "file": "offload/headers.go", "old": "return diff == 0\n", "new": "return true\n"}]`
	if err := os.WriteFile(file, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	const ttl = "../../../corpus/coalesce/ttl-tcp4.pkts"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{ttl}, 0, "holds"},
		{[]string{"-plant", "own", "-bugs=" + file, "-q", ttl}, 1, "VIOLATED"},
		{[]string{"-plant", "ttl-not-compared", "-q", ttl}, 1, "VIOLATED"},
		{[]string{"-plant", "ttl-not", ttl}, 2, `no bug "ttl-not"`},
		{[]string{"-plant", "other", "-bugs", file, ttl}, 2, file + " has own"},
		{[]string{"-bugs", file, ttl}, 2, "-bugs needs -plant"},
	} {
		if c.code == 1 && os.Getenv("LONG") == "" {
			t.Log("NOT RUN without LONG=1: it builds the command:", c.args)
			continue
		}
		out, errs, code := piped(t, "", append([]string{"replay"}, c.args...)...)
		out += errs
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
}
