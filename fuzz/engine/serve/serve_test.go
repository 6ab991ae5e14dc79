// SPDX-License-Identifier: MIT

package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/law"
)

var eaten [][]byte

// body does what the input asks for.
func body(b []byte, _ *law.Tally) error {
	switch words := strings.Fields(string(b) + " "); strings.Join(words[:min(1, len(words))], "") {
	case "hang":
		select {} // no deadlock: the goroutine that watches the memory runs
	case "call": // then hang
		c, err := net.Dial("tcp", words[1])
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, c)
	case "eat":
		for {
			eaten = append(eaten, make([]byte, 1<<20))
		}
	case "exit":
		os.Exit(3)
	case "leave":
		os.Exit(0)
	case "panic":
		panic("at the disco")
	case "field":
		return law.Mismatchf("P4", []byte{0x45, 0, 0, 1}, []byte{0x45, 1, 0, 1}, "packet 12")
	case "words":
		return law.Violatedf("P3", "packet 12 is after 0x1f")
	case "error":
		return errors.New("plain")
	}
	return nil
}

// TestMain serves body to the other tests, which start this program again.
func TestMain(m *testing.M) {
	if FromEnviron().Serve == "" {
		os.Exit(m.Run())
	}
	LimitMemory(256)
	if err := Serve(os.Stdin, os.Stdout, body); err != nil {
		os.Exit(2)
	}
}

// toy is a process that serves body. Its time limit is one that only a hang reaches.
func toy(t *testing.T) *Process {
	p := &Process{Program: os.Args[0], Target: "body", Limits: Limits{Time: time.Hour, Memory: 256}}
	t.Cleanup(p.Close)
	return p
}

// TestProcess checks that the ways in which an input can end have different outcomes, and
// that the next input is executed after each of them.
func TestProcess(t *testing.T) {
	p := toy(t)
	for _, c := range []struct{ input, key, msg string }{
		{"holds", " ", ""},
		{"field", "P4 ip.tos", "P4 violated: packet 12\n\tip.tos"},
		{"words", "P3 packet N is after N", "P3 violated: packet 12"},
		{"error", "P1 error", "plain"},
		{"panic", "P1 panic in fuzz/engine/serve.body", "at the disco"},
		{"hang", "P1 hang", "longer than 100ms"},
		{"holds", " ", ""},
		{"eat", "P1 memory", "more than 256 MB"},
		{"exit", "P1 crash: ", "exit status 3"},
		{"", " ", ""},
	} {
		p.Limits.Time = time.Hour
		if c.input == "hang" {
			p.Limits.Time = 100 * time.Millisecond // it ends no other way
		}
		o, err := p.Run(t.Context(), []byte(c.input))
		if err != nil {
			t.Fatalf("%s: %v", c.input, err)
		}
		if o.Key() != c.key || !strings.Contains(o.Msg, c.msg) {
			t.Errorf("%s: %q, %q", c.input, o.Key(), o.Msg)
		}
	}
	if o, err := p.Run(t.Context(), []byte("leave")); err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("a process that leaves without an answer: %+v, %v", o, err)
	}
}

// TestInterrupt checks that the end of the context ends an input that runs, without an
// outcome, and that the process can be used again.
func TestInterrupt(t *testing.T) {
	p := toy(t)
	calls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	why := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		c, err := calls.Accept() // so it runs
		if err != nil {
			t.Error(err)
		}
		stop(why)
		_, _ = io.Copy(io.Discard, c) // until it is killed
	}()
	if o, err := p.Run(ctx, []byte("call "+calls.Addr().String())); err != why {
		t.Errorf("%v, %v", o, err)
	}
	if o, err := p.Run(ctx, []byte("holds")); err != why {
		t.Errorf("after the end of the context: %v, %v", o, err)
	}
	if o, err := p.Run(t.Context(), []byte("field")); err != nil || o.Key() != "P4 ip.tos" {
		t.Errorf("after an interrupt: %v, %v", o, err)
	}
}
