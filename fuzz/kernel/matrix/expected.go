// SPDX-License-Identifier: MIT

package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tunproof/fuzz/record"
)

// Expected has the features of tunlive.FeatureTable that the newest kernel of each series
// is expected to have. If a kernel differs the run fails: either the series got a fix, or
// a probe is wrong.
var Expected = map[string][]string{
	"5.10":       {"root", "small-gso", "held-cwr", "hop-by-hop", "hop-limit-flow"},
	"6.1":        {"root", "csum-offset-check", "held-cwr", "hop-by-hop"},
	"6.12":       sixTwelve,
	"6.18":       {"root", "uso", "tunnel-gso", "small-gso", "uso-128", "csum-offset-check", "csum-start-check", "one-without-csum", "fixed-ids", "hop-by-hop"},
	"7":          {"root", "uso", "tunnel-gso", "backpressure", "uso-128", "csum-offset-check", "csum-start-check", "one-without-csum", "dissects", "fixed-ids", "equal-cwr", "hop-by-hop"},
	"6.12-s390x": append([]string{"small-gso"}, sixTwelve...), // an older kernel than the other two
	"6.12-arm64": sixTwelve,
}

var sixTwelve = []string{"root", "uso", "uso-128", "csum-offset-check", "csum-start-check", "one-without-csum", "held-cwr", "hop-by-hop"}

// gate is the name of an oracle. It needs GRO on a veth, which exists since 5.13.
const gate = "gate"

// tunnels is the feature that everything about superpackets in tunnels needs.
const tunnels = "tunnel-gso"

// has reports whether a kernel is expected to have a feature, or the oracle gate.
func has(series, feature string) bool {
	if feature == gate {
		return series != "5.10"
	}
	return slices.Contains(Expected[series], feature)
}

// needs has the feature that an oracle needs. Other oracles are on every kernel.
var needs = map[string]string{gate: gate, "tap": tunnels, "vxlan": tunnels}

// mayMiss reports whether a kernel lacks the oracle of a method.
func mayMiss(series, method string) bool {
	feature := needs[method[strings.LastIndex(method, " ")+1:]]
	return feature != "" && !has(series, feature)
}

// skips has the tests that are skipped, and the feature or oracle that they need.
var skips = map[string]map[string]string{
	Device: {
		"TestWrite/udp=true/v6=false": "uso", "TestWrite/udp=true/v6=true": "uso", "TestSwitches": "uso", "TestSameMask": "uso",
		"TestRefused/udp=true/v6=false": "uso", "TestRefused/udp=true/v6=true": "uso", "TestRefusedLongUDP": "uso",
		"TestBackpressureLive": "backpressure", "TestTunnelsLive": tunnels,
	},
	Harness: {"TestOraclesAgree": gate, "TestTunnels": tunnels, "TestTunnelsToTUN": tunnels},
}

// checkSkips compares the skipped tests of a kind with the expected ones. It returns "" if
// they are the same, otherwise both lists.
func checkSkips(kind, series string, got []string) string {
	var want []string
	for test, feature := range skips[kind] {
		if !has(series, feature) {
			want = append(want, test)
		}
	}
	slices.Sort(want)
	got = slices.Sorted(slices.Values(got))
	if slices.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("skipped: %s; expected to be: %s", strings.Join(got, ", "), strings.Join(want, ", "))
}

// probed returns a record that compares the features of record r with the expected ones.
func probed(series string, r record.Result) record.Result {
	row := record.Result{Property: Features, Method: "as expected", Unit: "features", Count: len(r.Features), Result: record.Holds, Env: r.Env, Features: r.Features}
	var other []string
	for _, name := range slices.Sorted(maps.Keys(r.Features)) {
		if has := r.Features[name]; has != slices.Contains(Expected[series], name) {
			other = append(other, fmt.Sprintf("%s is %v", name, has))
		}
	}
	for _, name := range Expected[series] {
		if _, tried := r.Features[name]; !tried {
			other = append(other, name+" was not tried")
		}
	}
	if len(other) > 0 {
		row.Result, row.Detail = record.Violated, "other than expected: "+strings.Join(other, ", ")
	}
	return row
}
