// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"fmt"
	"testing"

	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// BenchmarkWriteBatch writes 64 packets to a TUN whose queue is full, which drops
// them: it measures the device and its system calls.
func BenchmarkWriteBatch(b *testing.B) {
	for _, f := range allFlows {
		for _, off := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v/offload=%v", f, !off), func(b *testing.B) {
				r := writing(b, tun.Config{})
				must(b, r.w.SetUp(r.far.Name(), 1))
				r.dev.SetDisabled(tun.TCPv4|tun.TCPv6|tun.UDP, off)
				in := batch(64, 1000, f)
				b.SetBytes(int64(64 * len(in[0])))
				b.ReportAllocs()
				for b.Loop() {
					r.write(in)
				}
			})
		}
	}
}

// BenchmarkRead reads a superpacket of 45 segments. The time includes the harness's
// write.
func BenchmarkRead(b *testing.B) {
	h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 1400, CsumStart: 20, CsumOffset: 16}
	super := flow{port: 1}.super(45, 1400)
	bufs, sizes := buffers(64, 16, 1500)
	for _, inPlace := range []bool{false, true} {
		b.Run(fmt.Sprintf("inplace=%v", inPlace), func(b *testing.B) {
			r := reading(b, tun.Config{})
			b.SetBytes(int64(len(super)))
			b.ReportAllocs()
			for b.Loop() {
				must(b, r.far.Write(h, super))
				n := 0
				if inPlace {
					s, err := r.q.ReadSuper()
					must(b, err)
					for range s.InPlace() {
						n++
					}
				} else {
					var err error
					n, err = r.q.ReadBatch(bufs, sizes, 16)
					must(b, err)
				}
				if n != 45 {
					b.Fatal(n)
				}
			}
		})
	}
}

// BenchmarkSmall writes 64 packets that do not join, and reads single packets: what a packet
// costs beside its system call. The time of a read includes the harness's write.
func BenchmarkSmall(b *testing.B) {
	var ports []flow
	for i := range 64 {
		ports = append(ports, flow{port: uint16(i), udp: true})
	}
	for name, in := range map[string][][]byte{
		"ACKs": batch(64, 0, flow{port: 1}), "datagrams of 64 bytes": batch(64, 36, ports...),
	} {
		b.Run("write "+name, func(b *testing.B) {
			r := writing(b, tun.Config{})
			must(b, r.w.SetUp(r.far.Name(), 1))
			b.ReportAllocs()
			for b.Loop() {
				r.write(in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(64*b.N), "ns/packet")
		})
		b.Run("read "+name, func(b *testing.B) {
			r := reading(b, tun.Config{})
			bufs, sizes := buffers(64, 16, 1500)
			b.ReportAllocs()
			for b.Loop() {
				must(b, r.far.Write(tunlive.VnetHdr{}, in[0]))
				if n, err := r.q.ReadBatch(bufs, sizes, 16); n != 1 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
