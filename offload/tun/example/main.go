// SPDX-License-Identifier: MIT

//go:build linux

// Example is an unencrypted point-to-point tunnel over UDP between two hosts, each
// with a TUN.
//
//	example -local 192.0.2.1:5000 -remote 192.0.2.2:5000 -name tun0 [-whole]
//
// Run it as root on both hosts. Then give the interface an address and set it up:
//
//	ip addr add 10.9.0.1 peer 10.9.0.2 dev tun0; ip link set tun0 up mtu 1400
//
// It shows how a VPN uses package tun: one goroutine reads the TUN and sends, another
// receives and writes the TUN, each a batch at a time. With -whole it shows instead how
// superpackets are carried without being cut, and what a peer's VnetHdr must pass first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
)

// batch is the number of packets written to the TUN at once. packetLen is the length
// of the longest packet carried.
const (
	batch     = 128
	packetLen = 2048
)

func main() {
	local := flag.String("local", "", "own `ADDRESS:PORT`")
	remote := flag.String("remote", "", "the other's `ADDRESS:PORT`")
	name := flag.String("name", "tun%d", "of the interface")
	join := flag.Bool("offload", true, "join packets that are written to the TUN")
	whole := flag.Bool("whole", false, "carry superpackets whole, with the VnetHdr that the TUN gave; both ends need it")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *local, *remote, *name, *join, *whole); err != nil {
		log.Fatal("example: ", err)
	}
}

func run(ctx context.Context, local, remote, name string, join, whole bool) error {
	from, err := net.ResolveUDPAddr("udp", local)
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp", remote)
	if err != nil {
		return err
	}
	conn, err := net.DialUDP("udp", from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(4 << 20) // the kernel may grant less

	dev, err := tun.Open(tun.Config{
		Name:      name,
		NoTunnels: whole, // a VnetHdr of ten bytes
		Coalesce:  offload.Config{DisableTCPv4: !join, DisableTCPv6: !join, DisableUDP: !join},
		Observer:  tun.Observer{Refused: func(r *tun.Refusal) { log.Print(r) }},
	})
	if err != nil {
		return err
	}
	defer dev.Close()
	fmt.Printf("%s: %+v\n", dev.Name(), dev.Features())

	done := make(chan error, 2)
	out, in := send, receive
	if whole {
		out, in = sendWhole, receiveWhole
	}
	go func() { done <- out(dev.Queue(0), conn) }()
	go func() { done <- in(dev.Queue(0), conn) }()
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	fmt.Printf("%+v\n", dev.Stats())
	return err
}

// send cuts superpackets from the TUN in place, and sends the segments.
func send(q *tun.Queue, conn *net.UDPConn) error {
	for {
		segments, err := q.ReadSuper()
		if err != nil {
			return err
		}
		for segment := range segments.InPlace() {
			// A packet that cannot be sent is lost, as on any link: there is no peer,
			// or no room.
			if _, err := conn.Write(segment); errors.Is(err, net.ErrClosed) {
				return err
			}
		}
	}
}

// receive writes arriving packets to the TUN, all that are there at once.
func receive(q *tun.Queue, conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var bufs [batch][packetLen]byte
	var packets [][]byte
	read := func(fd uintptr) bool { // all that is there; false to wait
		for packets = packets[:0]; len(packets) < batch; {
			buf := bufs[len(packets)][:]
			n, err := unix.Read(int(fd), buf)
			if err != nil { // EAGAIN, or there is no peer
				break
			}
			packets = append(packets, buf[:n])
		}
		return len(packets) > 0
	}
	for {
		if err := raw.Read(read); err != nil {
			return err
		}
		if _, err := q.WriteBatch(packets); errors.Is(err, os.ErrClosed) {
			return err // any other is about one packet, and counted
		}
	}
}
