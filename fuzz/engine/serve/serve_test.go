package serve

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/law"
)

var eaten [][]byte

// body does what the input names.
func body(b []byte, _ *law.Tally) error {
	switch string(b) {
	case "hang":
		select {} // no deadlock: the goroutine of LimitMemory runs
	case "eat":
		for {
			eaten = append(eaten, make([]byte, 1<<20))
		}
	case "exit":
		os.Exit(3)
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

// TestMain runs the tests, or serves inputs for TestProcess if the environment asks for it.
func TestMain(m *testing.M) {
	if FromEnviron().Serve == "" {
		os.Exit(m.Run())
	}
	LimitMemory(256)
	if err := Serve(os.Stdin, os.Stdout, body); err != nil {
		os.Exit(2)
	}
}

// TestProcess checks that each way in which an input can end has its own Outcome, and that
// the next input is executed after each.
func TestProcess(t *testing.T) {
	p := &Process{Program: os.Args[0], Target: "body", Limits: Limits{Time: time.Second, Memory: 256}}
	defer p.Close()
	for _, c := range []struct{ input, key, msg string }{
		{"holds", " ", ""},
		{"field", "P4 ip.tos", "P4 violated: packet 12\n\tip.tos"},
		{"words", "P3 packet N is after N", "P3 violated: packet 12"},
		{"error", "P1 error", "plain"},
		{"panic", "P1 panic in fuzz/engine/serve.body", "at the disco"},
		{"hang", "P1 hang", "more than 1s"},
		{"holds", " ", ""},
		{"eat", "P1 memory", "more than 256 MB"},
		{"exit", "P1 crash: ", "exit status 3"},
		{"", " ", ""},
	} {
		o, err := p.Run(t.Context(), []byte(c.input))
		if err != nil {
			t.Fatalf("%s: %v", c.input, err)
		}
		if o.Key() != c.key || !strings.Contains(o.Msg, c.msg) {
			t.Errorf("%s: %q, %q", c.input, o.Key(), o.Msg)
		}
	}
}

// TestInterrupt checks that the end of the context ends a running input, and that this is
// an error and not a finding.
func TestInterrupt(t *testing.T) {
	p := &Process{Program: os.Args[0], Target: "body", Limits: Limits{Time: time.Minute, Memory: 256}}
	defer p.Close()
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if o, err := p.Run(ctx, []byte("hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", o, err)
	}
}
