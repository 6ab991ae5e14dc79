// SPDX-License-Identifier: MIT

package serve

import (
	"strings"
	"testing"
	"time"
)

// TestEnv checks that an Env is the same after it was passed in environment variables, with
// no field set and with all.
func TestEnv(t *testing.T) {
	for _, want := range []Env{{}, {Serve: "Agree", Target: "Order", Memory: 512, Time: 3 * time.Second, NoSeeds: true, Reach: "/a b"}} {
		for _, v := range want.Environ() {
			if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "TUNPROOF_") {
				t.Setenv(name, value)
			}
		}
		if got := FromEnviron(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
