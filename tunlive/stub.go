// SPDX-License-Identifier: MIT

//go:build !linux

package tunlive

import (
	"context"
	"errors"
)

var errNoLinux = &Missing{"Linux", "", errors.ErrUnsupported}

// Enter returns a *Missing: only Linux has these oracles.
func Enter() error { return errNoLinux }

// NewSegmenter, NewVethSegmenter, NewToggle and NewGate return a *Missing.
func NewSegmenter() (Segmenter, error)     { return nil, errNoLinux }
func NewVethSegmenter() (Segmenter, error) { return nil, errNoLinux }
func NewToggle() (GRO, error)              { return nil, errNoLinux }
func NewGate() (GRO, error)                { return nil, errNoLinux }

// NewTAPSegmenter and NewTunnels return a *Missing.
func NewTAPSegmenter() (Segmenter, error) { return nil, errNoLinux }
func NewTunnels() (*Tunnels, error)       { return nil, errNoLinux }

// Tunnels has no devices.
type Tunnels struct{}

// Kinds returns nothing, and the other methods return a *Missing.
func (*Tunnels) Kinds() []string { return nil }
func (*Tunnels) Send(int, VnetHdr, []byte) (whole, cut []Packet, err error) {
	return nil, nil, errNoLinux
}
func (*Tunnels) Close() error { return errNoLinux }

// Probe finds no features.
func Probe() (Features, error) { return nil, errNoLinux }

// Run returns a *Missing.
func (e *EndToEnd) Run(context.Context) (*Report, error) { return nil, errNoLinux }

// Recordings is empty.
func Recordings() []string { return nil }

// Record returns a *Missing.
func Record(context.Context, string) ([]Recorded, error) { return nil, errNoLinux }
