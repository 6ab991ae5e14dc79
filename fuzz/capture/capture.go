// Package capture opens files that hold packets, in any form, and detects their kind.
package capture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/hexdump"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/record"
)

// Source is a file of packets that are read one after another: a capture, a case, or
// packets as text.
type Source struct {
	Name string // of the file; "-" for the standard input
	Kind Kind
	Read int // packets read so far

	file io.Closer
	size int64         // of the file; 0 if unknown
	pcap *pcap.Reader  // set for a capture
	text []pcap.Packet // for a case or packets as text: those not read yet
}

// maxText is the size of the largest case, crasher, or file of packets as text: these
// are read at once.
const maxText = 1 << 25

// Kind is what a file holds.
type Kind string

// The kinds of files that hold packets.
const (
	Capture Kind = "capture"
	Case    Kind = "case"     // a .pkts file, of the corpus or from a recorder
	Text    Kind = "hex dump" // packets as text
	Crasher Kind = "crasher"  // an input file of Go's fuzzing engine
)

// caseMagic starts a case.
const caseMagic = "# format:"

// KindOf returns the kind of a file that starts with head. 512 bytes are enough. A
// file of no other kind is Text.
func KindOf(head []byte) Kind {
	switch {
	case pcap.IsPcap(head):
		return Capture
	case bytes.HasPrefix(head, []byte(caseMagic)):
		return Case
	case crasher.Is(head):
		return Crasher
	}
	return Text
}

// File is an open file whose first bytes have been looked at.
type File struct {
	Name string
	Kind Kind

	f    io.ReadCloser
	r    *bufio.Reader
	size int64 // 0 if unknown
}

// OpenFile opens a file and detects its kind. The name "-" stands for stdin. The caller
// closes the File.
func OpenFile(name string, stdin io.Reader) (*File, error) {
	f := &File{Name: name, f: io.NopCloser(stdin)}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			file.Close()
			return nil, fmt.Errorf("%s: is a directory", name)
		} else if err == nil && info.Mode().IsRegular() {
			f.size = info.Size()
		}
		f.f = file
	}
	f.r = bufio.NewReaderSize(f.f, 1<<16)
	head, err := f.r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.Kind = KindOf(head)
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Text returns the contents of the file. A file of over 32 MiB is an error.
func (f *File) Text() ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f.r, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if n > maxText {
		return nil, fmt.Errorf("%s: offset %d: a text of over %d bytes", f.Name, maxText, maxText)
	}
	return b.Bytes(), nil
}

// Open opens a capture, a case, or packets as text. The name "-" stands for stdin. The
// caller closes the Source.
func Open(name string, stdin io.Reader) (*Source, error) {
	f, err := OpenFile(name, stdin)
	if err != nil {
		return nil, err
	}
	in, err := f.Packets()
	if err != nil {
		f.Close()
		return nil, err
	}
	return in, nil
}

// Packets returns the packets of the file. The Source takes over the file: closing the
// Source closes it.
func (f *File) Packets() (*Source, error) {
	in := &Source{Name: f.Name, Kind: f.Kind, file: f, size: f.size}
	var err error
	if f.Kind == Capture {
		if in.pcap, err = pcap.NewReader(f.r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		return in, nil
	}
	text, err := f.Text()
	if err != nil {
		return nil, err
	}
	if f.Kind == Case {
		return in, in.readCase(text)
	}
	in.Kind = Text
	list, err := hexdump.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: neither a capture, nor packets as text: %w", f.Name, err)
	}
	for i, p := range list {
		in.text = append(in.text, pcap.Packet{Number: i + 1, Time: time.Unix(0, 0), Data: p.Data, Comment: p.Comment})
	}
	return in, nil
}

// readCase takes the packets of a case. Superpackets get their VnetHdr as a comment.
func (in *Source) readCase(text []byte) error {
	c, err := pkts.Parse(in.Name, text)
	if err != nil {
		return err
	}
	if c.Op == pkts.OpChecksum {
		return fmt.Errorf("%s: a case of op checksum has no packets", in.Name)
	}
	for _, b := range c.Batches {
		for _, p := range b.In {
			comment := ""
			if c.Op == pkts.OpSegment {
				comment = pcap.VnetComment(p.Vnet)
			}
			in.text = append(in.text, pcap.Packet{Number: len(in.text) + 1, Time: time.Unix(0, 0), Data: p.Data, Comment: comment})
		}
	}
	return nil
}

// Next returns the next packet, or io.EOF at the end. The caller owns the packet.
func (in *Source) Next() (pcap.Packet, error) {
	if in.pcap != nil {
		p, err := in.pcap.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return p, fmt.Errorf("%s: %w", in.Name, err)
		}
		if err == nil {
			in.Read++
		}
		return p, err
	}
	if len(in.text) == 0 {
		return pcap.Packet{}, io.EOF
	}
	p := in.text[0]
	in.text = in.text[1:]
	in.Read++
	return p, nil
}

// Notes returns lines for people: which records of the file were left out, and why.
func (in *Source) Notes() []string {
	if in.pcap == nil {
		return nil
	}
	var list []string
	first, n := in.pcap.Skipped()
	for _, s := range first {
		list = append(list, fmt.Sprintf("record %d left out: %s", s.Number, s.Why))
	}
	if n > len(first) {
		list = append(list, fmt.Sprintf("and %s left out", record.Count(n-len(first), "more record")))
	}
	return list
}

// NG reports whether the packets come from a file that has room for comments: a
// pcapng file, or text.
func (in *Source) NG() bool { return in.pcap == nil || in.pcap.NG() }

// Close closes the file.
func (in *Source) Close() { in.file.Close() }

// Progress prints every two seconds how far a command has read its files.
type Progress struct {
	out     io.Writer
	command string
	inputs  []*Source
	calls   int
	printed time.Time
}

// NewProgress returns the Progress of a command that reads inputs. It prints to out.
func NewProgress(out io.Writer, command string, inputs ...*Source) *Progress {
	return &Progress{out: out, command: command, inputs: inputs, printed: time.Now()}
}

// Step is called after each packet, with the number of findings so far. It returns
// ErrInterrupted if ctx has ended.
func (p *Progress) Step(ctx context.Context, found int) error {
	if p.calls++; p.calls%256 != 0 {
		return nil
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if time.Since(p.printed) < 2*time.Second {
		return nil
	}
	p.printed = time.Now()
	for _, in := range p.inputs {
		var at int64
		if in.pcap != nil {
			at = in.pcap.Offset()
		}
		fmt.Fprintf(p.out, "%s: %s: %d of %d MB, %s, %s\n", p.command, in.Name, at>>20, in.size>>20, record.Count(in.Read, "packet"), record.Count(found, "finding"))
	}
	return nil
}

// ErrInterrupted is the error of a command that was interrupted.
var ErrInterrupted = errors.New("interrupted")
