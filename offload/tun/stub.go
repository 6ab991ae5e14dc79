// SPDX-License-Identifier: MIT

//go:build !linux

package tun

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"tunproof/offload"
)

var errNoLinux = fmt.Errorf("tun: only Linux has this device: %w", errors.ErrUnsupported)

// Open and Adopt return an error that is errors.ErrUnsupported.
func Open(Config) (*Device, error)          { return nil, errNoLinux }
func Adopt(Config, ...int) (*Device, error) { return nil, errNoLinux }

// Device exists only so that programs compile.
type Device struct{}

func (d *Device) AddQueue() (*Queue, error)           { return nil, errNoLinux }
func (d *Device) Close() error                        { return errNoLinux }
func (d *Device) Disabled() Protocols                 { return allProtocols }
func (d *Device) DumpRead(io.Writer, string) error    { return errNoLinux }
func (d *Device) DumpWritten(io.Writer, string) error { return errNoLinux }
func (d *Device) Features() Features                  { return Features{} }
func (d *Device) MTU() (int, error)                   { return 0, errNoLinux }
func (d *Device) Name() string                        { return "" }
func (d *Device) Queue(int) *Queue                    { return nil }
func (d *Device) Queues() int                         { return 0 }
func (d *Device) SetDisabled(p Protocols, off bool)   {}
func (d *Device) SetMTU(int) error                    { return errNoLinux }
func (d *Device) SetTxQueueLen(int) error             { return errNoLinux }
func (d *Device) Stats() Stats                        { return Stats{} }
func (d *Device) TxQueueLen() (int, error)            { return 0, errNoLinux }
func (d *Device) VnetHdrLen() int                     { return 0 }

// Queue exists only so that programs compile.
type Queue struct{}

func (q *Queue) Close() error                                      { return errNoLinux }
func (q *Queue) NextSuper() (*offload.Segmenter, error)            { return nil, errNoLinux }
func (q *Queue) ReadBatch([][]byte, []int, int) (n int, err error) { return 0, errNoLinux }
func (q *Queue) ReadSuper() (*offload.Segmenter, error)            { return nil, errNoLinux }
func (q *Queue) SetDeadline(time.Time) error                       { return errNoLinux }
func (q *Queue) SetReadDeadline(time.Time) error                   { return errNoLinux }
func (q *Queue) SetWriteDeadline(time.Time) error                  { return errNoLinux }
func (q *Queue) Stats() Stats                                      { return Stats{} }
func (q *Queue) SyscallConn() (syscall.RawConn, error)             { return nil, errNoLinux }
func (q *Queue) WriteBatch([][]byte) (n int, err error)            { return 0, errNoLinux }
