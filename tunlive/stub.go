//go:build !linux

package tunlive

import (
	"context"
	"errors"
)

var errNoLinux = &Missing{"Linux", "", errors.ErrUnsupported}

// Enter is a *Missing: only Linux is asked.
func Enter() error { return errNoLinux }

// NewSegmenter, NewVethSegmenter, NewToggle and NewGate are a *Missing.
func NewSegmenter() (Segmenter, error)     { return nil, errNoLinux }
func NewVethSegmenter() (Segmenter, error) { return nil, errNoLinux }
func NewToggle() (GRO, error)              { return nil, errNoLinux }
func NewGate() (GRO, error)                { return nil, errNoLinux }

// Probe finds nothing.
func Probe() (Features, error) { return nil, errNoLinux }

// Run is a *Missing.
func (e *EndToEnd) Run(context.Context) (*Report, error) { return nil, errNoLinux }

// Recordings are none.
func Recordings() []string { return nil }

// Record is a *Missing.
func Record(context.Context, string) ([]Recorded, error) { return nil, errNoLinux }
