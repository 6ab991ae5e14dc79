// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTerminal runs the command with a terminal as its output, and with a pipe.
func TestTerminal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		env      []string
		pipe     bool
		coloured bool
	}{
		{name: "terminal", coloured: true},
		{name: "NO_COLOR", env: []string{"NO_COLOR=1"}},
		{name: "dumb terminal", env: []string{"TERM=dumb"}},
		{name: "pipe", pipe: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if !test.pipe {
				r, w, err = terminal()
			}
			if err != nil {
				t.Skip(err)
			}
			defer r.Close()
			c := exec.Command(self, "check", corpusDir+"captures/tcp4-bulk.pcap")
			c.Env = append(append(os.Environ(), "NO_COLOR=", "TERM=xterm"), test.env...)
			c.Stdout = w
			err = c.Run()
			w.Close()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := io.ReadAll(r) // a terminal ends with an error
			if !strings.Contains(string(out), "holds") || strings.Contains(string(out), "\x1b[") != test.coloured {
				t.Errorf("%q", out)
			}
		})
	}
}

// terminal opens a pseudo-terminal. What is written to w can be read from r.
func terminal() (r, w *os.File, err error) {
	if r, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(r.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	w, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	return r, w, err
}
