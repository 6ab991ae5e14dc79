// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"log"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive/guard"
)

// mostWhole is the longest datagram that UDP over IPv4 carries, in bytes.
const mostWhole = 65507

// sendWhole sends each packet or superpacket from the TUN in one datagram, behind the ten
// bytes of its VnetHdr in big-endian order. It cuts those that are too long for a datagram.
func sendWhole(q *tun.Queue, conn *net.UDPConn) error {
	raw, err := q.SyscallConn()
	if err != nil {
		return err
	}
	var s offload.Segmenter
	packet, one := make([]byte, offload.VnetHdrLen+65535), make([]byte, offload.VnetHdrLen+65535)
	for {
		n := 0
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.Read(int(fd), packet)
			return failed != unix.EAGAIN
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		h, err := offload.ParseVnetHdr(packet[:n])
		if err != nil {
			return err
		}
		if n <= mostWhole {
			toPeer(packet, h)
			_, err = conn.Write(packet[:n])
		} else if err = s.Reset(h, packet[offload.VnetHdrLen:n]); err == nil {
			toPeer(one, offload.VnetHdr{})
			for n, end := s.Next(one[offload.VnetHdrLen:]); end == nil; n, end = s.Next(one[offload.VnetHdrLen:]) {
				_, err = conn.Write(one[:offload.VnetHdrLen+n])
			}
		}
		if errors.Is(err, net.ErrClosed) {
			return err // any other is about one packet, which is lost
		}
	}
}

// toPeer writes a VnetHdr in big-endian order, without hdr_len.
func toPeer(b []byte, h offload.VnetHdr) {
	b[0], b[1] = byte(h.Flags), byte(h.GSOType)
	for i, v := range []uint16{0, h.GSOSize, h.CsumStart, h.CsumOffset} {
		binary.BigEndian.PutUint16(b[2+2*i:], v)
	}
}

// fromPeer reads what toPeer wrote. Nothing is known yet of the values.
func fromPeer(b []byte) offload.VnetHdr {
	field := func(i int) uint16 { return binary.BigEndian.Uint16(b[i:]) }
	return offload.VnetHdr{Flags: offload.Flags(b[0]), GSOType: offload.GSOType(b[1]), GSOSize: field(4), CsumStart: field(6), CsumOffset: field(8)}
}

// receiveWhole writes what sendWhole of the peer sent to the TUN. The VnetHdr comes from
// the peer, so Segmenter.Reset must accept it first.
func receiveWhole(q *tun.Queue, conn *net.UDPConn) error {
	raw, err := q.SyscallConn()
	if err != nil {
		return err
	}
	var s offload.Segmenter
	packet, one := make([]byte, mostWhole), make([]byte, 65535)
	for {
		n, err := conn.Read(packet)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil || n <= offload.VnetHdrLen {
			continue // there is no peer, or it sends something else
		}
		h := fromPeer(packet)
		body := packet[offload.VnetHdrLen:n]
		if err := s.Reset(h, body); err != nil {
			log.Printf("a superpacket of the peer is dropped: %v", err)
			continue
		}
		err = write(raw, h, body)
		if err == unix.EINVAL && h.GSOType != 0 { // a kernel that does not take this one whole
			for n, end := s.Next(one); end == nil; n, end = s.Next(one) {
				err = write(raw, offload.VnetHdr{}, one[:n])
			}
		}
		if errors.Is(err, os.ErrClosed) {
			return err
		}
	}
}

// write writes one packet or superpacket to the TUN.
func write(raw syscall.RawConn, h offload.VnetHdr, packet []byte) error {
	if err := guard.Check(uint8(h.GSOType), packet); err != nil {
		return err
	}
	buffers := [][]byte{h.AppendTo(nil), packet}
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		_, failed = unix.Writev(int(fd), buffers)
		return failed != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return failed
}
