package serve

import (
	"os"
	"strconv"
	"time"
)

// Env is the whole protocol by which a process of an engine is started: it travels in
// the environment. The zero Env is that of a process that a person starts.
type Env struct {
	Serve   string        // TUNPROOF_EXECUTE: the target whose inputs the process serves instead of testing
	Target  string        // TUNPROOF_TARGET: the target that libFuzzer's program runs
	Memory  int           // TUNPROOF_MEMORY: how much memory the process may take, in MB; 0 for any
	Time    time.Duration // TUNPROOF_TIME: how long an execution may take; 0 for the engine's own limit
	NoSeeds bool          // TUNPROOF_SEEDS=none: start without the corpus
	Reach   string        // TUNPROOF_REACH: directory in which the process writes what its inputs met
}

// Environ returns the environment of this process with e added.
func (e Env) Environ() []string {
	list := os.Environ()
	add := func(name, value string, set bool) {
		if set {
			list = append(list, name+"="+value)
		}
	}
	add("TUNPROOF_EXECUTE", e.Serve, e.Serve != "")
	add("TUNPROOF_TARGET", e.Target, e.Target != "")
	add("TUNPROOF_MEMORY", strconv.Itoa(e.Memory), e.Memory != 0)
	add("TUNPROOF_TIME", e.Time.String(), e.Time != 0)
	add("TUNPROOF_SEEDS", "none", e.NoSeeds)
	add("TUNPROOF_REACH", e.Reach, e.Reach != "")
	return list
}

// FromEnviron returns the Env that this process was started with. A value that cannot
// be read is as if it were not set.
func FromEnviron() Env {
	e := Env{Serve: os.Getenv("TUNPROOF_EXECUTE"), Target: os.Getenv("TUNPROOF_TARGET"),
		NoSeeds: os.Getenv("TUNPROOF_SEEDS") == "none", Reach: os.Getenv("TUNPROOF_REACH")}
	e.Memory, _ = strconv.Atoi(os.Getenv("TUNPROOF_MEMORY"))
	e.Time, _ = time.ParseDuration(os.Getenv("TUNPROOF_TIME"))
	return e
}
