// SPDX-License-Identifier: MIT

package main

import (
	"os"

	"github.com/tailscale/wireguard-go/conn"
	ts "github.com/tailscale/wireguard-go/tun"

	"tunproof/offload/tun"
)

// onTunproof is the fork's tun.Device on tunproof's. Segments are cut into the fork's slab, with
// the space between them that it asks for.
type onTunproof struct {
	dev    *tun.Device
	mtu    int
	bufs   [][]byte
	sizes  []int
	pkts   [][]byte
	events chan ts.Event
}

// createTunproof takes the place of the fork's CreateTUN.
func createTunproof(name string, mtu int, _ ...ts.Option) (ts.Device, error) {
	dev, err := tun.Open(tun.Config{Name: name, MTU: mtu})
	if err != nil {
		return nil, err
	}
	return &onTunproof{dev: dev, mtu: mtu, sizes: make([]int, conn.IdealBatchSize), events: make(chan ts.Event, 1)}, nil
}

// Read reads one superpacket, or what is left of the last one. A slab that has no room for
// all segments gets the rest with the next Read.
func (d *onTunproof) Read(slab []byte, packets []ts.ReadPacket) (int, error) {
	stride := d.mtu + ts.ReadPacketSpacing
	d.bufs = d.bufs[:0]
	for at := ts.ReadPacketSpacing; at+stride <= len(slab) && len(d.bufs) < min(len(packets), len(d.sizes)); at += stride {
		d.bufs = append(d.bufs, slab[at:at+d.mtu])
	}
	n, err := d.dev.Queue(0).ReadBatch(d.bufs, d.sizes, 0)
	for i := range n {
		packets[i] = ts.ReadPacket{Offset: ts.ReadPacketSpacing + i*stride, Size: d.sizes[i]}
	}
	return n, err
}

func (d *onTunproof) Write(bufs [][]byte, offset int) (int, error) {
	d.pkts = d.pkts[:0]
	for _, b := range bufs {
		d.pkts = append(d.pkts, b[offset:])
	}
	return d.dev.Queue(0).WriteBatch(d.pkts)
}

func (d *onTunproof) File() *os.File          { return nil }
func (d *onTunproof) MTU() (int, error)       { return d.dev.MTU() }
func (d *onTunproof) Name() (string, error)   { return d.dev.Name(), nil }
func (d *onTunproof) Events() <-chan ts.Event { return d.events }
func (d *onTunproof) BatchSize() int          { return conn.IdealBatchSize }

func (d *onTunproof) Close() error {
	close(d.events)
	return d.dev.Close()
}
