// Package offload does in user space what the kernel does behind a TUN opened
// with IFF_VNET_HDR: it cuts superpackets into wire-sized segments (TSO, USO)
// and coalesces batches of segments into superpackets (GRO).
//
// One equation says what right means:
//
//	Segment(Coalesce(batch)) == batch
//
// byte for byte. Segment is defined by Linux: what its software segmentation
// does, to the last bit. Coalesce is the inverse of Segment: packets join if,
// and only if, cutting what they were joined to gives back exactly them. Nothing
// is repaired on the way: a packet whose checksums, lengths or padding are wrong
// leaves exactly as wrong as it came.
//
// [Segmenter] cuts, [Coalescer] joins; both are reusable, allocate nothing in
// steady state, and are for one goroutine at a time. The package is bytes in,
// bytes out: it does no I/O and runs on every platform. Rule numbers in comments
// (V1, S4, C2 ...) are those of docs/rules.md.
package offload
