// SPDX-License-Identifier: MIT

package offload_test

import (
	"fmt"
	"log"

	"tunproof/offload"
)

// Superpackets that a TUN opened with IFF_VNET_HDR hands out are cut into packets.
func ExampleSegmenter() {
	fromTUN := superpacket() // as read: a VnetHdr, then an IP packet

	h, err := offload.ParseVnetHdr(fromTUN)
	if err != nil {
		log.Fatal(err)
	}
	var s offload.Segmenter // one for each reader, reused for every read
	if err := s.Reset(h, fromTUN[offload.VnetHdrLen:]); err != nil {
		fmt.Println("refused:", err) // count the packet and drop it; the tunnel goes on
		return
	}
	fmt.Println(s.Len(), "segments")
	for packet := range s.InPlace() {
		fmt.Println(len(packet), "bytes to encrypt and send")
	}
	// Output:
	// 3 segments
	// 140 bytes to encrypt and send
	// 140 bytes to encrypt and send
	// 90 bytes to encrypt and send
}

// Packets for a TUN are joined, and each superpacket is written with one writev(2).
func ExampleCoalescer() {
	c, err := offload.NewCoalescer(offload.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var iov [][]byte
	batch := packets() // decrypted, in the order in which they arrived
	for _, p := range c.Coalesce(batch) {
		iov = p.Buffers(iov[:0])
		fmt.Printf("%d packets, %d bytes in %d pieces\n", len(p.Packets()), p.Len(), len(iov))
	}
	// Output:
	// 3 packets, 290 bytes in 4 pieces
}

// packets returns three consecutive TCP packets.
func packets() [][]byte {
	var s offload.Segmenter
	b := superpacket()
	h, _ := offload.ParseVnetHdr(b)
	if err := s.Reset(h, b[offload.VnetHdrLen:]); err != nil {
		log.Fatal(err)
	}
	var list [][]byte
	for s.Len() > 0 {
		p := make([]byte, s.NextLen())
		if _, err := s.Next(p); err != nil {
			log.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// superpacket returns 250 bytes of TCP, for segments of 100, with a partial checksum.
func superpacket() []byte {
	h := offload.VnetHdr{Flags: offload.NeedsCsum, GSOType: offload.GSOTCPv4, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
	p := append([]byte{
		0x45, 0, 290 >> 8, 290 & 0xFF, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
		0x12, 0x34, 0x01, 0xBB, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0,
	}, make([]byte, 250)...)
	sum := offload.PseudoHeaderSum(6, p[12:16], p[16:20], 270)
	p[36], p[37] = byte(sum>>8), byte(sum)
	return append(h.AppendTo(nil), p...)
}
