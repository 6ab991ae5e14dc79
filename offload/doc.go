// SPDX-License-Identifier: MIT

// Package offload does in user space what the kernel does behind a TUN opened with
// IFF_VNET_HDR. It cuts superpackets into wire-sized segments (TSO, USO), and it
// coalesces batches of segments into superpackets (GRO).
//
// One equation defines correctness:
//
//	Segment(Coalesce(batch)) == batch
//
// byte for byte. Linux defines Segment: the result equals that of the kernel's
// software segmentation in every bit. Coalesce is the inverse of Segment: packets
// join if and only if cutting the joined superpacket gives back exactly these
// packets. Nothing is repaired: a packet with a wrong checksum, length or padding
// leaves with the same wrong bytes.
//
// A superpacket may be in a UDP tunnel, as VXLAN and Geneve make it. Segmenter cuts it,
// outer and inner headers. Coalescer makes none.
//
// [Segmenter] cuts and [Coalescer] joins. Both are reusable, do not allocate in
// steady state, and are for one goroutine at a time. The package does no I/O and runs
// on every platform. Rule numbers in comments (V1, S4, C2 ...) refer to
// docs/rules.md.
package offload
