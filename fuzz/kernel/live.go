// SPDX-License-Identifier: MIT

// Package kernel asks the Linux kernel, through package tunlive, to judge package
// offload, the model, the cases of the corpus and the captures. It checks the
// properties K1 to K5 of docs/properties.md.
package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tunproof/tunlive"
	"tunproof/tunlive/gro"
)

// Oracle is one way to ask the kernel. It either cuts superpackets or joins packets.
type Oracle struct {
	Name      string // "tun", "veth", "toggle", "gate", "tap", "vxlan"
	segmenter tunlive.Segmenter
	gro       tunlive.GRO
	tunnels   *tunlive.Tunnels
	tap       bool  // takes only superpackets in UDP tunnels
	linkLen   int   // length of the link-layer header, which csum_start includes
	Missing   error // a *tunlive.Missing: why this machine does not have the oracle
}

// Kernel is the kernel of this machine, with the oracles that ask it.
type Kernel struct {
	Features tunlive.Features
	Rules    gro.Rules
	Cuts     []*Oracle // segmentation: between two TUNs, and on a veth
	Joins    []*Oracle // GRO: of a TUN, and of a veth
	Tunnels  []*Oracle // superpackets in tunnels: between two TAPs, and of VXLAN and Geneve devices

	subject subject
}

// Open opens the oracles that this machine has. Call tunlive.Enter first.
func Open() (*Kernel, error) {
	k := unopened()
	var errs [6]error
	k.Cuts[0].segmenter, errs[0] = tunlive.NewSegmenter()
	k.Cuts[1].segmenter, errs[1] = tunlive.NewVethSegmenter()
	k.Joins[0].gro, errs[2] = tunlive.NewToggle()
	k.Joins[1].gro, errs[3] = tunlive.NewGate()
	k.Tunnels[0].segmenter, errs[4] = tunlive.NewTAPSegmenter()
	k.Tunnels[1].tunnels, errs[5] = tunlive.NewTunnels()
	for i, o := range k.oracles() {
		var missing *tunlive.Missing
		if o.Missing = errs[i]; errs[i] != nil && !errors.As(errs[i], &missing) {
			k.Close()
			return nil, fmt.Errorf("%s: %w", o.Name, errs[i])
		}
	}
	var err error
	if k.Features, err = tunlive.Probe(); err != nil {
		k.Close()
		return nil, err
	}
	k.Rules = gro.Rules{FixedIDs: k.Features["fixed-ids"], HopByHop: k.Features["hop-by-hop"],
		HopLimitFlow: k.Features["hop-limit-flow"], NoUDP: k.lacks("uso"), HeldCWR: k.Features["held-cwr"], EqualCWR: k.Features["equal-cwr"]}
	return k, nil
}

// lacks reports whether a feature was probed and is absent.
func (k *Kernel) lacks(name string) bool {
	has, probed := k.Features[name]
	return probed && !has
}

// unopened returns a Kernel whose oracles are not open yet.
func unopened() *Kernel {
	return &Kernel{subject: production(), Cuts: []*Oracle{{Name: "tun"}, {Name: "veth", linkLen: 14}},
		Joins: []*Oracle{{Name: "toggle"}, {Name: "gate"}}, Tunnels: []*Oracle{{Name: "tap", tap: true}, {Name: vxlan}}}
}

// vxlan is the name of the oracle that reads superpackets from VXLAN and Geneve devices.
const vxlan = "vxlan"

func (k *Kernel) oracles() []*Oracle { return slices.Concat(k.Cuts, k.Joins, k.Tunnels) }

// Close closes the oracles.
func (k *Kernel) Close() error {
	var err error
	for _, o := range k.oracles() {
		if o.Missing != nil {
			continue
		}
		if o.segmenter != nil {
			err = errors.Join(err, o.segmenter.Close())
		}
		if o.gro != nil {
			err = errors.Join(err, o.gro.Close())
		}
		if o.tunnels != nil {
			err = errors.Join(err, o.tunnels.Close())
		}
	}
	return err
}

// Tally counts questions, compared packets and kinds of answers.
type Tally struct {
	Rounds   int            // questions that the kernel answered
	Segments int            // packets that were compared
	Counts   map[string]int // by "kind: what"
}

// count adds one to a count of a kind.
func (t *Tally) count(kind, what string) {
	if t.Counts == nil {
		t.Counts = map[string]int{}
	}
	t.Counts[kind+": "+what]++
}

// Add adds u to t.
func (t *Tally) Add(u Tally) {
	t.Rounds += u.Rounds
	t.Segments += u.Segments
	for key, n := range u.Counts {
		if t.Counts == nil {
			t.Counts = map[string]int{}
		}
		t.Counts[key] += n
	}
}

// Lines returns the counts as text, sorted, one line for each kind.
func (t *Tally) Lines() []string {
	kinds := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(t.Counts)) {
		kind, what, _ := strings.Cut(key, ": ")
		kinds[kind] = append(kinds[kind], fmt.Sprintf("%s %d", what, t.Counts[key]))
	}
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		lines = append(lines, kind+": "+strings.Join(kinds[kind], ", "))
	}
	return lines
}

// Refusals returns the number of superpackets that K4 judged: those that were refused
// or dropped, and known divergences.
func (t *Tally) Refusals() int { return t.Sum("refused") + t.Sum("divergence") }

// Sum returns the sum of all counts of a kind.
func (t *Tally) Sum(kind string) int {
	n := 0
	for key, v := range t.Counts {
		if k, _, _ := strings.Cut(key, ": "); k == kind {
			n += v
		}
	}
	return n
}
