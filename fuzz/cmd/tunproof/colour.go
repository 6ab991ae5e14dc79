// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"runtime"
)

// onTerminal returns a writer to f that colours verdicts if f is a terminal, and f itself
// if it is not, or if the user wants no colours (https://no-color.org).
func onTerminal(f *os.File) io.Writer {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || runtime.GOOS == "windows" {
		return f
	}
	return &painter{to: f}
}

// painter colours the verdicts in text. Each line is written when it is complete.
type painter struct {
	to   io.Writer
	line []byte // the beginning of a line
}

// verdicts are the words that are coloured, as first group, and the colours of a terminal.
var verdicts = []struct {
	words *regexp.Regexp
	ink   string
}{
	{regexp.MustCompile(`^(VIOLATED|BLIND|violated|finding)\b|  (violated)$`), "31"},                       // red
	{regexp.MustCompile(`^(all holds|what ran holds|holds)\b|  (holds)$`), "32"},                           // green
	{regexp.MustCompile(`^(nothing ran|not run|too short|interrupted|inconclusive)\b|  (not run):`), "33"}, // yellow
}

func (p *painter) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		at := bytes.IndexByte(p.line, '\n')
		if at < 0 {
			return len(b), nil
		}
		line := p.line[:at]
		p.line = p.line[at+1:]
		if _, err := p.to.Write(append(paint(line), '\n')); err != nil {
			return 0, err
		}
	}
}

// paint returns a line with its verdict coloured.
func paint(line []byte) []byte {
	for _, v := range verdicts {
		m := v.words.FindSubmatchIndex(line)
		if m == nil {
			continue
		}
		from, to := m[2], m[3]
		if from < 0 {
			from, to = m[4], m[5]
		}
		return bytes.Join([][]byte{line[:from], []byte("\x1b[" + v.ink + "m"), line[from:to], []byte("\x1b[0m"), line[to:]}, nil)
	}
	return bytes.Clone(line)
}

// flush writes a last line that has no end.
func (p *painter) flush() { p.to.Write(p.line) }
