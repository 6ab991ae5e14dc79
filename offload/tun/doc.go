// SPDX-License-Identifier: MIT

// Package tun is the Linux TUN device for programs that carry packets. Reads are cut
// into segments and written batches are coalesced, with the guarantees of package
// offload.
//
// [Open] makes an interface or attaches to one by name; [Adopt] takes descriptors
// that somebody else opened. A [Device] has one or more queues, each with a
// descriptor. [Queue.ReadBatch] and [Queue.WriteBatch] are the data path. They start
// no goroutines, and do not allocate in steady state. Descriptors are in Go's poller,
// so calls can have deadlines, and Close wakes those that wait.
//
// The device loses no packet without counting it. If the kernel refuses a superpacket, its
// packets are sent one by one in its place, and after EINVAL its protocol is switched
// off. If the kernel refuses a packet, the others of the batch are still sent. [Stats]
// counts every packet once, by its outcome.
//
// On each queue, one read and one write may run at the same time; further calls wait
// for their turn. What ReadSuper returns is valid until the next read by anybody, so only
// one goroutine may use it. All other methods may be called at any time.
//
// On other systems Open and Adopt return errors.ErrUnsupported. Rule numbers in
// comments (T1, T4 ...) refer to docs/rules.md.
package tun
