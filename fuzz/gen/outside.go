package gen

import (
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Check runs rapid.Check outside of go test, with this many checks and this seed. It
// returns what was logged, and whether the property failed.
func Check(name string, checks int, seed uint64, prop func(*rapid.T)) (log string, failed bool, err error) {
	if err := setRapid(checks, seed); err != nil {
		return "", false, err
	}
	tb := &outside{name: name}
	done := make(chan struct{})
	go func() { // rapid ends the goroutine of a test that failed
		defer close(done)
		rapid.Check(tb, prop)
	}()
	<-done
	return tb.log, tb.failed, nil
}

// outside is a rapid.TB outside of go test: it keeps what was logged.
type outside struct {
	name   string
	log    string
	failed bool
}

func (o *outside) Helper()                    {}
func (o *outside) Name() string               { return o.name }
func (o *outside) Logf(f string, args ...any) { o.log += fmt.Sprintf(f, args...) + "\n" }
func (o *outside) Log(args ...any)            { o.log += fmt.Sprintln(args...) }
func (o *outside) Skipf(string, ...any)       { runtime.Goexit() }
func (o *outside) Skip(...any)                { runtime.Goexit() }
func (o *outside) SkipNow()                   { runtime.Goexit() }
func (o *outside) Errorf(f string, args ...any) {
	o.Logf(f, args...)
	o.Fail()
}
func (o *outside) Error(args ...any) {
	o.Log(args...)
	o.Fail()
}
func (o *outside) Fatalf(f string, args ...any) {
	o.Errorf(f, args...)
	runtime.Goexit()
}
func (o *outside) Fatal(args ...any) {
	o.Error(args...)
	runtime.Goexit()
}
func (o *outside) FailNow() {
	o.Fail()
	runtime.Goexit()
}
func (o *outside) Fail()        { o.failed = true }
func (o *outside) Failed() bool { return o.failed }

// setRapid sets rapid's flags, as go test would.
func setRapid(checks int, seed uint64) error {
	if flag.Lookup("test.short") == nil {
		testing.Init()
	}
	if !flag.Parsed() {
		if err := flag.CommandLine.Parse(nil); err != nil {
			return err
		}
	}
	if testing.Short() {
		checks *= 5 // rapid divides by as much
	}
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(checks),
		"rapid.seed": strconv.FormatUint(seed, 10), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}
