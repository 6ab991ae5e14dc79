// Package live joins package tunlive, the kernel, with what it judges: offload,
// the model, the corpus, the captures. Its checks are K1 to K5 of
// docs/properties.md.
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

// Oracle is one way of asking the kernel.
type Oracle struct {
	Name      string // "tun", "veth", "toggle", "gate"
	segmenter tunlive.Segmenter
	gro       tunlive.GRO
	linkLen   int   // bytes of the link's header, which csum_start counts too
	Missing   error // a *tunlive.Missing: why it cannot be asked
}

// Kernel is the kernel of this machine and the ways there are of asking it.
type Kernel struct {
	Features tunlive.Features
	Rules    gro.Rules
	Cuts     []*Oracle // segmentation: two TUNs, and a veth without any
	Joins    []*Oracle // GRO: a TUN's, and a veth's

	subject subject
}

// Open opens what there is. The program must have called tunlive.Enter.
func Open() (*Kernel, error) {
	k := unopened()
	var errs [4]error
	k.Cuts[0].segmenter, errs[0] = tunlive.NewSegmenter()
	k.Cuts[1].segmenter, errs[1] = tunlive.NewVethSegmenter()
	k.Joins[0].gro, errs[2] = tunlive.NewToggle()
	k.Joins[1].gro, errs[3] = tunlive.NewGate()
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

// lacks says whether a feature was probed, and is not there.
func (k *Kernel) lacks(name string) bool {
	has, probed := k.Features[name]
	return probed && !has
}

func unopened() *Kernel {
	return &Kernel{subject: production(), Cuts: []*Oracle{{Name: "tun"}, {Name: "veth", linkLen: 14}}, Joins: []*Oracle{{Name: "toggle"}, {Name: "gate"}}}
}

func (k *Kernel) oracles() []*Oracle { return slices.Concat(k.Cuts, k.Joins) }

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
	}
	return err
}

// Tally counts what was asked and answered.
type Tally struct {
	Rounds   int // questions that the kernel answered
	Segments int // compared
	Counts   map[string]int
}

// count counts what, of a kind.
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

// Lines are the counts, sorted, one kind a line.
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

// Refusals counts what was refused, dropped, or known to diverge: K4.
func (t *Tally) Refusals() int { return t.Sum("refused") + t.Sum("divergence") }

// Sum adds up the counts of a kind.
func (t *Tally) Sum(kind string) int {
	n := 0
	for key, v := range t.Counts {
		if k, _, _ := strings.Cut(key, ": "); k == kind {
			n += v
		}
	}
	return n
}
