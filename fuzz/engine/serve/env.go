// SPDX-License-Identifier: MIT

package serve

import (
	"os"
	"strconv"
	"time"
)

// Env is the configuration of a process that a campaign or tunproof verify starts. It is
// passed in environment variables. The zero Env is that of a process started by hand.
type Env struct {
	Serve   string        // TUNPROOF_EXECUTE: the target whose inputs the process executes (see Serve) instead of testing
	Target  string        // TUNPROOF_TARGET: the target that command libfuzzer runs
	Memory  int           // TUNPROOF_MEMORY: limit of the process's memory, in MB; 0 for none
	Time    time.Duration // TUNPROOF_TIME: limit of one execution's time; 0 for the engine's own
	NoSeeds bool          // TUNPROOF_SEEDS=none: start without the seeds
	Reach   string        // TUNPROOF_REACH: directory for the process's law.Tally; "" for none
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

// FromEnviron returns the Env that this process was started with. A malformed number or
// duration counts as not set.
func FromEnviron() Env {
	e := Env{Serve: os.Getenv("TUNPROOF_EXECUTE"), Target: os.Getenv("TUNPROOF_TARGET"),
		NoSeeds: os.Getenv("TUNPROOF_SEEDS") == "none", Reach: os.Getenv("TUNPROOF_REACH")}
	e.Memory, _ = strconv.Atoi(os.Getenv("TUNPROOF_MEMORY"))
	e.Time, _ = time.ParseDuration(os.Getenv("TUNPROOF_TIME"))
	return e
}
