// SPDX-License-Identifier: MIT

// Package capture opens files that hold packets, in any form, and detects their kind.
package capture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/hexdump"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/record"
)

// Source is a file of packets that are read one after another: a capture, a case, or
// packets as text.
type Source struct {
	Name string // of the file; Stdin for the standard input
	Kind Kind
	Read int // packets read so far

	file    io.Closer
	live    bool           // it may grow while it is read
	size    int64          // of the file; 0 if unknown
	next    func() reading // reads pcap
	last    reading        // the latest
	cut     error          // where it is cut, if it ended there
	stopped bool           // an interrupt ended it
	pcap    *pcap.Reader   // set for a capture
	text    []pcap.Packet  // for a case or packets as text: those not read yet

	notes []string // about packets as text
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

// caseInside matches the line with which a case begins, also behind other words, as in a log.
var caseInside = regexp.MustCompile(`(?m)^.*# format: \d+[ \t\r]*$`)

// headLen is how many bytes at the start of a file show its kind.
const headLen = 512

// KindOf returns the kind of a file that starts with head, of which headLen bytes are
// enough. A file of no other kind is Text.
func KindOf(head []byte) Kind {
	switch {
	case pcap.IsPcap(head):
		return Capture
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte(caseMagic)): // also indented, see pkts.Unindent
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

	f        io.ReadCloser
	r        *bufio.Reader
	size     int64           // 0 if unknown
	live     bool            // the standard input, a pipe or a device
	programs []*decompressor // that r reads from
}

// bufferLen is the size of a File's buffer.
const bufferLen = 1 << 16

// OpenFile opens a file and detects its kind. The name "-" stands for stdin. The caller
// closes the File.
func OpenFile(name string, stdin io.Reader) (*File, error) {
	f := &File{Name: name, f: io.NopCloser(stdin), live: name == "-"}
	if name == "-" {
		f.Name = Stdin
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			file.Close()
			return nil, fmt.Errorf("%s: is a directory", name)
		} else if err == nil && info.Mode().IsRegular() {
			f.size = info.Size()
		} else {
			f.live = true
		}
		f.f = file
	}
	f.r = bufio.NewReaderSize(f.f, bufferLen)
	if err := f.detect(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return f, nil
}

// Stdin is what the standard input, whose name is "-" on the command line, is called in
// reports.
const Stdin = "standard input"

// detect removes compression, and detects the kind of the file. Of a capture it waits for
// no more than the first 4 bytes, because the others may come much later.
func (f *File) detect() error {
	head, err := f.head(4)
	for layers := 0; err == nil; layers++ {
		c := compressionOf(head)
		if c == nil {
			break
		}
		if layers == maxLayers {
			return fmt.Errorf("compressed more than %d times", maxLayers)
		}
		if err = f.decompress(c); err == nil {
			head, err = f.head(4)
		}
	}
	if err == nil && len(head) == 0 {
		return errors.New("empty file")
	}
	if err == nil && !pcap.IsPcap(head) {
		if err = f.unmark(head); err == nil {
			head, err = f.head(headLen)
		}
	}
	f.Kind = KindOf(head)
	if err == nil && f.Kind == Case {
		var text []byte
		if text, err = f.text(); err == nil {
			f.r = bufio.NewReaderSize(bytes.NewReader(pkts.Unindent(text)), bufferLen)
		}
	}
	return err
}

// unmark removes the byte order mark from a text that starts with head and has one. A text
// in UTF-16 becomes UTF-8.
func (f *File) unmark(head []byte) error {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := f.r.Discard(3)
		return err
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return nil
	}
	b, err := f.text()
	if err != nil {
		return err
	}
	if len(b)%2 != 0 {
		return fmt.Errorf("offset %d: text in UTF-16 with half a character at its end", len(b)-1)
	}
	var units []uint16
	for i := 2; i < len(b); i += 2 {
		units = append(units, order.Uint16(b[i:]))
	}
	f.r = bufio.NewReaderSize(strings.NewReader(string(utf16.Decode(units))), bufferLen)
	return nil
}

// head returns the first n bytes of the file, or fewer at its end, without taking them.
func (f *File) head(n int) ([]byte, error) {
	b, err := f.r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// Close closes the file.
func (f *File) Close() error {
	for _, p := range f.programs {
		p.end()
	}
	return f.f.Close()
}

// Text returns the contents of the file. A file of over 32 MiB is an error.
func (f *File) Text() ([]byte, error) {
	b, err := f.text()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return b, nil
}

// text is Text with errors that do not name the file.
func (f *File) text() ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f.r, maxText+1))
	if err == nil && n > maxText {
		err = fmt.Errorf("offset %d: a text of over %d bytes", maxText, maxText)
	}
	return b.Bytes(), err
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

// Of returns a Source of packets that are in memory.
func Of(name string, packets []pcap.Packet) *Source {
	return &Source{Name: name, Kind: Capture, file: io.NopCloser(nil), text: packets}
}

// Packets returns the packets of the file. The Source takes over the file: closing the
// Source closes it.
func (f *File) Packets() (*Source, error) {
	in := &Source{Name: f.Name, Kind: f.Kind, file: f, size: f.size, live: f.live}
	var err error
	if f.Kind == Capture {
		if in.pcap, err = pcap.NewReader(f.r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		in.next = in.read
		return in, nil
	}
	if f.Kind == Text {
		head, err := f.head(headLen)
		if err == nil {
			err = refuse(head)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	text, err := f.Text()
	if err != nil {
		return nil, err
	}
	if f.Kind == Case {
		return in, in.readCase(text)
	}
	in.Kind = Text
	if at := caseInside.FindIndex(text); at != nil {
		return nil, fmt.Errorf("%s:%d: a case begins here, behind other text: give only the lines of the case", f.Name, 1+bytes.Count(text[:at[0]], []byte("\n")))
	}
	list, err := hexdump.Parse(text)
	if errors.Is(err, hexdump.ErrNoPacket) {
		if known := refusal(text, textForeigners); known != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, known)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: neither a capture, nor packets as text: %w", f.Name, err)
	}
	in.takeText(list)
	return in, nil
}

// takeText takes the packets of a text, without those that were left out, and makes the
// notes about them. Packets that were left out are counted in the numbers of the others.
func (in *Source) takeText(list []hexdump.Packet) {
	left, cut := 0, 0
	frames := map[string]int{} // by kind
	for i, p := range list {
		switch {
		case p.Left == "":
			in.text = append(in.text, pcap.Packet{Number: i + 1, Time: time.Unix(0, 0), Data: p.Data, Comment: p.Comment})
		case left < maxNotes:
			in.notes = append(in.notes, fmt.Sprintf("packet %d, of line %d, left out: %s", i+1, p.Line, p.Left))
		}
		if p.Left != "" {
			left++
		}
		if p.Link != "" {
			frames[p.Link]++
		}
		if p.After > 0 {
			cut++
		}
	}
	in.last.cuts.N = left
	if left > maxNotes {
		in.notes = append(in.notes, fmt.Sprintf("and %s left out", record.Count(left-maxNotes, "more packet")))
	}
	for _, link := range slices.Sorted(maps.Keys(frames)) {
		in.notes = append(in.notes, fmt.Sprintf("%s of %s: only the IP packets in them were read", record.Count(frames[link], "frame"), link))
	}
	if cut > 0 {
		in.notes = append(in.notes, fmt.Sprintf("%s with padding or a checksum after the end, which was cut off", record.Count(cut, "packet")))
	}
}

// maxNotes is how many notes there are about packets of a text that were left out.
const maxNotes = 100

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

// reading is what reading a packet of a capture gave, and how far the file was read then.
type reading struct {
	p       pcap.Packet
	err     error
	offset  int64
	skipped []pcap.Skipped
	left    int
	cuts    pcap.Cuts
}

// read reads a packet of a capture.
func (in *Source) read() reading {
	p, err := in.pcap.Next()
	first, n := in.pcap.Skipped()
	return reading{p, err, in.pcap.Offset(), first, n, in.pcap.Cuts()}
}

// Live reports whether more packets may still come: from the standard input, a pipe or a
// device. Such a source can be read only once.
func (in *Source) Live() bool { return in.live }

// endWith makes Next return io.EOF once ctx has ended, also while it waits for a packet, if
// the source is a live capture. It reports whether it is one.
func (in *Source) endWith(ctx context.Context) bool {
	if !in.live || in.pcap == nil {
		return false
	}
	reads := make(chan reading)
	go func() {
		for {
			r := in.read()
			select {
			case reads <- r:
			case <-ctx.Done():
				return
			}
			if r.err != nil {
				return
			}
		}
	}()
	in.next = func() reading {
		if in.last.err != nil {
			return in.last
		}
		if ctx.Err() == nil {
			select {
			case r := <-reads:
				return r
			case <-ctx.Done():
			}
		}
		in.stopped = true
		r := in.last
		r.p, r.err = pcap.Packet{}, io.EOF
		return r
	}
	return true
}

// Until returns the context of the work on sources. If one is a live capture, the end of ctx
// ends only the capture: Next returns io.EOF, and the packets so far are judged. If none is,
// Until returns ctx.
func Until(ctx context.Context, sources ...*Source) context.Context {
	work := ctx
	for _, in := range sources {
		if in.endWith(ctx) {
			work = context.WithoutCancel(ctx)
		}
	}
	return work
}

// Next returns the next packet, or io.EOF at the end. The caller owns the packet. A file that
// ends inside a record ends there: the packets before are whole, as in a capture that stopped
// there. Notes says so.
func (in *Source) Next() (pcap.Packet, error) {
	if in.pcap != nil {
		in.last = in.next()
		p, err := in.last.p, in.last.err
		switch {
		case err == nil:
			in.Read++
		case errors.Is(err, pcap.ErrCut):
			in.cut, err = err, io.EOF
		case !errors.Is(err, io.EOF):
			err = fmt.Errorf("%s: %w", in.Name, err)
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

// Notes returns lines for people: what of the file was left out, and why, and what was cut
// off.
func (in *Source) Notes() []string {
	if in.pcap == nil {
		return in.notes
	}
	var list []string
	if in.stopped {
		list = append(list, fmt.Sprintf("an interrupt ended the capture after %s; a record that had only begun was not read", record.Count(in.Read, "packet")))
	}
	if in.cut != nil {
		list = append(list, fmt.Sprintf("the file is cut, inside its last record: %v; its writer was killed, or the file was copied while it grew. The %s before that count as the whole capture", in.cut, record.Count(in.Read, "packet")))
	}
	first, n := in.last.skipped, in.last.left
	if c := in.last.cuts; c.N > 0 {
		first = slices.DeleteFunc(slices.Clone(first), pcap.Skipped.Cut)
		n -= c.N
		list = append(list, cutNote(c))
	}
	for len(first) > 0 {
		why := first[0].Why
		of := slices.DeleteFunc(slices.Clone(first), func(s pcap.Skipped) bool { return s.Why != why })
		first = slices.DeleteFunc(slices.Clone(first), func(s pcap.Skipped) bool { return s.Why == why })
		if n -= len(of); len(of) == 1 {
			list = append(list, fmt.Sprintf("record %d left out: %s", of[0].Number, why))
		} else {
			list = append(list, fmt.Sprintf("records %d-%d left out (%d times): %s", of[0].Number, of[len(of)-1].Number, len(of), why))
		}
	}
	if n > 0 {
		list = append(list, fmt.Sprintf("and %s left out", record.Count(n, "more record")))
	}
	return list
}

// cutNote returns the line about records that the capture cut.
func cutNote(c pcap.Cuts) string {
	const again = "take it again with tcpdump -s 0"
	length := fmt.Sprint(c.Most)
	if c.Least < c.Most {
		length = fmt.Sprintf("%d to %d", c.Least, c.Most)
	}
	if c.N == 1 {
		return fmt.Sprintf("record %d left out: cut by the capture to %s bytes (snap length): %s", c.First, length, again)
	}
	which := fmt.Sprintf("records %d-%d", c.First, c.Last)
	if n := c.Last - c.First + 1; c.N < n {
		which = fmt.Sprintf("%d of the %d records %d-%d", c.N, n, c.First, c.Last)
	}
	return fmt.Sprintf("%s left out: cut by the capture to %s bytes (snap length): %s", which, length, again)
}

// Text reports whether the packets come from text.
func (in *Source) Text() bool { return in.pcap == nil }

// WhyCut returns why the records of Cuts were not judged.
func (in *Source) WhyCut() string {
	if in.Text() {
		return "left out of the text"
	}
	return "cut by the capture (snap length)"
}

// Cuts returns the records so far of which the capture has only the first bytes, or how many
// packets of a text were left out.
func (in *Source) Cuts() pcap.Cuts { return in.last.cuts }

// Left returns how many records of the file were left out so far.
func (in *Source) Left() int {
	return in.last.left
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
		at := in.last.offset
		of := ""
		if in.size > 0 {
			of = fmt.Sprintf(" of %d", in.size>>20)
		}
		fmt.Fprintf(p.out, "%s: %s: %d%s MB, %s, %s\n", p.command, in.Name, at>>20, of, record.Count(in.Read, "packet"), record.Count(found, "finding"))
	}
	return nil
}

// ErrInterrupted is the error of a command that was interrupted.
var ErrInterrupted = errors.New("interrupted")
