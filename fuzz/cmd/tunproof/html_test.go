// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHTML checks where -html writes, and that it refuses what it cannot do before anything
// is judged.
func TestHTML(t *testing.T) {
	input := corpusDir + "captures/udp4-quic-like.pcap"
	dir := t.TempDir()
	out := filepath.Join(dir, "page.html")
	for _, test := range []struct {
		name string
		args []string
		code int
		want string // part of the error
	}{
		{"check", []string{"check", "-html", out, input}, 0, ""},
		{"check two", []string{"check", "-html", out, input, corpusDir + "captures/tcp4-bulk.pcap"}, 0, ""},
		{"compare", []string{"compare", "-html", out, input, input}, 0, ""},
		{"replay", []string{"replay", "-q", "-html", out, input}, 0, ""},
		{"replay an input", []string{"replay", "-html", input, input}, 2, "would be overwritten"},
		{"no directory", []string{"check", "-html", filepath.Join(dir, "none", "x"), input}, 2, "no such file or directory"},
		{"a directory", []string{"compare", "-html", dir, input, input}, 2, "is a directory"},
		{"standard output", []string{"check", "-html", "-", input}, 2, "-html writes to a file"},
		{"standard input", []string{"check", "-html", out, "-"}, 2, "it cannot come from standard input"},
		{"standard input as one of two", []string{"compare", "-html", out, input, "-"}, 2, "it cannot come from standard input"},
		{"an input", []string{"check", "-html", input, input}, 2, "would be overwritten"},
		{"no capture", []string{"check", "-html", out, filepath.Join(dir, "none")}, 2, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			os.Remove(out)
			stdout, stderr, code := call(t, test.args...)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			b, err := os.ReadFile(out)
			if written := err == nil; written != (test.code == 0) {
				t.Errorf("the page is written: %v", written)
			}
			if test.code != 0 && stdout != "" {
				t.Errorf("something was judged: %s", stdout)
			}
			if verdict, _, _ := strings.Cut(stdout, ";"); test.code == 0 && !strings.Contains(string(b), "holds") {
				t.Errorf("the page has no verdict, printed is %s", verdict)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestHTMLOfPart checks that the report of a capture with an error in it is written, with the
// error.
func TestHTMLOfPart(t *testing.T) {
	b, err := os.ReadFile(corpusDir + "captures/udp4-quic-like.pcap")
	if err != nil {
		t.Fatal(err)
	}
	input, out := testFile(t, "cut.pcap", string(slices.Concat(b[:len(b)-7], bytes.Repeat([]byte{0xFF}, 100)))), filepath.Join(t.TempDir(), "page.html")
	_, stderr, code := call(t, "check", "-html", out, input)
	html, err := os.ReadFile(out)
	if err != nil || code != 2 || !strings.Contains(string(html), "the report covers the") || strings.Contains(stderr, "became shorter") {
		t.Errorf("exit code %d, %v: %s", code, err, stderr)
	}
}
