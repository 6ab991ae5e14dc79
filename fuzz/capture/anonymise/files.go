// SPDX-License-Identifier: MIT

package anonymise

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// NameError is the error of a copy that has no name: a file of that name exists already,
// or two copies would have it.
type NameError string

func (e NameError) Error() string { return string(e) }

// written is a copy under its temporary name.
type written struct {
	*file.New
	to      string // its name
	report  string
	packets int
}

// attempt is the copies of all captures with one key.
type attempt struct {
	list          []*written
	whole, unlike int
	key           [32]byte
}

// discard removes the copies, which have their temporary names.
func (t *attempt) discard(err error) error {
	for _, w := range t.list {
		err = w.Finish(err)
	}
	return err
}

// Files writes copies of captures into a directory, which it creates, reports each on out,
// and returns the number of packets. The name "-" is stdin. After an error there is no copy
// of any capture, and nothing has been reported. A NameError comes before anything is
// written.
//
// Files tries other keys if check says of some copies something else than of the originals.
func (a *Anonymiser) Files(ctx context.Context, stdin io.Reader, out, progress io.Writer, dir string, names []string) (packets int, err error) {
	copies := map[string]string{}
	for _, name := range names {
		to := copyName(name, dir)
		if err := absent(to); err != nil {
			return 0, err
		}
		if other, twice := copies[to]; twice {
			return 0, NameError(fmt.Sprintf("%s and %s would both be written to %s", other, name, to))
		}
		copies[to] = name
	}
	_, err = os.Stat(dir)
	created := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	a.translations(ctx, names)
	best, err := a.best(ctx, stdin, progress, dir, names)
	if err == nil {
		err = best.finish()
	}
	if err != nil {
		if created {
			_ = os.Remove(dir) // it is empty
		}
		return 0, err
	}
	for _, w := range best.list {
		fmt.Fprint(out, w.report)
		packets += w.packets
	}
	a.Whole, a.Unlike = best.whole, best.unlike
	return packets, nil
}

// translations finds the flows of each further capture that are those of the first, with
// other addresses or ports, and the datagrams that are those of the first with other bytes. A
// capture that cannot be read is left to the copying.
func (a *Anonymiser) translations(ctx context.Context, names []string) {
	a.same, a.before, a.short = map[packet.Flow]packet.Flow{}, map[string][]byte{}, map[string]bool{}
	a.origin, a.copies = map[[2]int]original{}, map[int][]byte{}
	kept := 0 // bytes in a.origin
	for i, name := range names[min(1, len(names)):] {
		file := i + 1
		var in [2]*capture.Source
		for i, n := range [2]string{names[0], name} {
			if info, err := os.Stat(n); err != nil || !info.Mode().IsRegular() {
				return // it can be read only once
			}
			c, err := capture.Open(n, nil)
			if err != nil {
				return
			}
			defer c.Close()
			in[i] = c
		}
		var changed []compare.Finding
		found, _ := compare.Translations(ctx, in, func(f compare.Finding) {
			if f.What == compare.Changed && f.Data[compare.Before] != nil && f.Data[compare.After] != nil && len(changed) < maxChanged {
				changed = append(changed, f)
			}
		})
		for g, f := range found {
			if _, has := a.same[f]; !has && f != g {
				a.same[g] = f
			}
		}
		for _, f := range changed {
			a.changes(f.Data)
			if was := f.Data[compare.Before]; f.Segments[compare.After] == 0 && kept < maxOrigins {
				kept += len(was)
				a.origin[[2]int{file, f.Packets[compare.After]}] = original{bytes.Clone(was), f.Packets[compare.Before]}
				if f.Segments[compare.Before] == 0 {
					a.copies[f.Packets[compare.Before]] = nil // to be made
				}
			}
		}
	}
}

// finish gives the copies their names. After an error there are none.
func (t *attempt) finish() (err error) {
	finished := 0
	for _, w := range t.list {
		if err == nil {
			err = absent(w.to) // it was when the run began
		}
		if err = w.Finish(err); err == nil {
			finished++
		}
	}
	if err != nil {
		for _, w := range t.list[:finished] {
			err = errors.Join(err, os.Remove(w.to))
		}
	}
	return err
}

const (
	// maxAttempts and maxAttemptBytes bound how often Files tries another key.
	maxAttempts, maxAttemptBytes = 100, 1 << 22

	// maxSearch bounds the bytes of packets that explain judges when it looks for a payload.
	maxSearch = 1 << 22
)

// best returns the best copies of several attempts. Each has another key. The best ones are
// those of which check says most of what it says of the originals. If check does not say
// the same of all packets, the last attempt may change payloads, see explain.
func (a *Anonymiser) best(ctx context.Context, stdin io.Reader, progress io.Writer, dir string, names []string) (best attempt, err error) {
	var size int64
	again := true
	for _, name := range names {
		info, err := os.Stat(name)
		if again = again && err == nil && info.Mode().IsRegular(); again {
			size += info.Size()
		}
	}
	most := int(max(1, min(maxAttempts, maxAttemptBytes/max(size, 1))))
	for n := 1; ; n++ {
		var t attempt
		if t, err = a.try(ctx, stdin, progress, dir, names); err != nil {
			return best, best.discard(t.discard(err))
		}
		if n == 1 || t.unlike < best.unlike {
			best, t = t, best
		}
		_ = t.discard(errDiscarded)
		switch {
		case best.unlike == 0 || !again || n > most:
			return best, nil
		case n < most:
			err = a.restart(sha256.Sum256(a.key[:]))
		default:
			a.search = maxSearch
			err = a.restart(best.key)
		}
		if err != nil {
			return best, best.discard(err)
		}
	}
}

// errDiscarded makes Finish remove a copy.
var errDiscarded = errors.New("there is a better copy")

// try writes the copies of all captures with the Anonymiser's key.
func (a *Anonymiser) try(ctx context.Context, stdin io.Reader, progress io.Writer, dir string, names []string) (attempt, error) {
	t := attempt{key: a.key}
	for i, name := range names {
		a.file = i
		w, err := a.copyFile(ctx, stdin, progress, name, copyName(name, dir))
		if w != nil {
			t.list = append(t.list, w)
		}
		if err != nil {
			return t, err
		}
	}
	t.whole, t.unlike = a.Whole, a.Unlike
	return t, nil
}

// absent returns a NameError if there is a file of this name.
func absent(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return NameError(name + " exists already, and is not overwritten")
	}
	return nil
}

// copyName returns the file that the copy of a capture is written to. The copy of
// a text is a pcapng file, and no copy is compressed.
func copyName(name, dir string) string {
	if name == "-" {
		name = "stdin.pcapng"
	}
	if ext := filepath.Ext(name); ext == ".gz" || ext == ".bz2" || ext == ".zst" || ext == ".xz" || ext == ".lz4" {
		name = strings.TrimSuffix(name, ext)
	}
	if ext := filepath.Ext(name); ext == ".pkts" || ext == ".txt" || ext == ".hex" {
		name = strings.TrimSuffix(name, ext) + ".pcapng"
	}
	return filepath.Join(dir, filepath.Base(name))
}

// copyFile writes the copy of one capture under its temporary name. If it returns a copy, the
// caller must finish it, also after an error.
func (a *Anonymiser) copyFile(ctx context.Context, stdin io.Reader, progress io.Writer, name, to string) (*written, error) {
	in, err := capture.Open(name, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := file.Create(to)
	if err != nil {
		return nil, err
	}
	w := &written{New: f, to: to}
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = a.copy(ctx, in, buffered, progress, &w.packets)
	if err == nil {
		err = buffered.Flush()
	}
	for _, note := range in.Notes() {
		w.report += fmt.Sprintf("%s: %s\n", in.Name, note)
	}
	w.report += fmt.Sprintf("%s: %s\n", to, record.Count(w.packets, "packet"))
	return w, err
}

// copy writes the copy of one capture and counts its packets. For a record that was left
// out it writes one without a packet, so that the packets keep their numbers. One that the
// capture cut is cut in the copy too, so that no packet is called lost that may be there.
func (a *Anonymiser) copy(ctx context.Context, in *capture.Source, to, progress io.Writer, packets *int) error {
	format := pcap.Classic
	if in.NG() || in.Name == capture.Stdin {
		format = pcap.NG // it has room for comments
	}
	w, err := pcap.NewWriter(to, format)
	if err != nil {
		return err
	}
	a.Begin()
	ctx = capture.Until(ctx, in)
	tell := capture.NewProgress(progress, "anonymise", in)
	var last time.Time
	cut := 0 // of the records that the capture cut, those that were written
	for number := 1; ; number++ {
		if number == 1 && ctx.Err() != nil {
			return capture.ErrInterrupted
		}
		p, err := in.Next()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if !ended {
			last = p.Time
		}
		for c := in.Cuts(); cut < c.N && !in.Text(); cut++ {
			if err := w.WriteCut(last, c.Least); err != nil {
				return err
			}
			number++
		}
		if ended {
			return nil
		}
		for ; number < p.Number; number++ {
			if err := w.WriteLeftOut(p.Time); err != nil {
				return err
			}
		}
		if p, err = a.Packet(p); err != nil {
			return fmt.Errorf("%s: %w", in.Name, err)
		}
		if err := w.Write(p); err != nil {
			return err
		}
		if err := tell.Step(ctx, 0); err != nil {
			return err
		}
		*packets++
	}
}
