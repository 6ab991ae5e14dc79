// Package tun is the Linux TUN device for programs that carry packets: reads are
// cut into segments, written batches are coalesced, with what package offload
// proves of both.
//
// [Open] makes or attaches to an interface by name, [Adopt] takes descriptors that
// somebody else opened. A [Device] has one or more queues, a descriptor each;
// [Queue.ReadBatch] and [Queue.WriteBatch] are the data path. Neither starts a
// goroutine, and in steady state neither allocates. Descriptors are in Go's
// poller: calls can be given deadlines, and Close wakes those that wait.
//
// Nothing is lost in silence. A superpacket that the kernel refuses is sent again
// as its packets, in its place, and its protocol is switched off; a packet that
// the kernel refuses does not keep the others of its batch from being sent;
// [Stats] counts every packet once by what became of it.
//
// Of each queue one call that reads and one that writes may run at the same time;
// further calls wait for their turn. Everything else may be called at any time.
//
// On other systems Open and Adopt return errors.ErrUnsupported. Rule numbers in
// comments (T1, T4 ...) are those of docs/rules.md.
package tun
