// Package capture opens files of packets, whatever their form, and says what they are.
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
	"tunproof/fuzz/engine/crasher"
)

// Source is a file of packets that are read one after another: a capture, a case, or
// packets as text.
type Source struct {
	Name string // of the file, "-" for the standard input
	Kind Kind
	Read int // packets read so far

	file io.Closer
	size int64         // of the file, 0 if it is not known
	pcap *pcap.Reader  // of a capture
	text []pcap.Packet // of a case or packets as text, those not read yet
}

// maxText is the size of the largest file that is read at once: a case, a crasher,
// packets as text.
const maxText = 1 << 25

// Kind says what is in a file.
type Kind string

// The kinds of files that hold packets.
const (
	Capture Kind = "capture"
	Case    Kind = "case"     // of the corpus, or as a recorder writes it
	Text    Kind = "hex dump" // packets as text
	Crasher Kind = "crasher"  // an input file of Go's fuzzing engine
)

// caseMagic starts a case.
const caseMagic = "# format:"

// KindOf returns the kind of a file that starts with head, of which 512 bytes are
// enough. Text is what is none of the others.
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
	size int64 // 0 if it is not known
}

// OpenFile opens a file and finds out its kind. The name "-" is stdin.
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

// Text returns all of the file. A file of over 32 MiB is an error.
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

// Open opens a capture, a case, or packets as text. The name "-" is stdin.
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

// Packets returns the packets of the file, which is now the Source's to close.
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

// readCase takes the packets of a case, such as a recorder writes; superpackets with
// their VnetHdr.
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

// Next returns the next packet, or io.EOF.
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

// Notes say which records of the file were left out, and why.
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
		list = append(list, fmt.Sprintf("and %d more records left out", n-len(first)))
	}
	return list
}

// NG reports whether the packets come from a file that has room for comments: a
// pcapng file, or text.
func (in *Source) NG() bool { return in.pcap == nil || in.pcap.NG() }

// Close closes the file.
func (in *Source) Close() { in.file.Close() }

// Progress says every two seconds how far a command is.
type Progress struct {
	out     io.Writer
	command string
	inputs  []*Source
	calls   int
	said    time.Time
}

// NewProgress returns a Progress of a command that reads these.
func NewProgress(out io.Writer, command string, inputs ...*Source) *Progress {
	return &Progress{out: out, command: command, inputs: inputs, said: time.Now()}
}

// Step is called after each packet, with the number of findings. It returns
// ErrInterrupted when the context has ended.
func (p *Progress) Step(ctx context.Context, found int) error {
	if p.calls++; p.calls%256 != 0 {
		return nil
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if time.Since(p.said) < 2*time.Second {
		return nil
	}
	p.said = time.Now()
	for _, in := range p.inputs {
		var at int64
		if in.pcap != nil {
			at = in.pcap.Offset()
		}
		fmt.Fprintf(p.out, "%s: %s: %d of %d MB, %d packets, %d findings\n", p.command, in.Name, at>>20, in.size>>20, in.Read, found)
	}
	return nil
}

// ErrInterrupted is the error of a run that was interrupted.
var ErrInterrupted = errors.New("interrupted")
