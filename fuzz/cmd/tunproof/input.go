package main

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
	"tunproof/fuzz/check"
	"tunproof/fuzz/hexdump"
	"tunproof/fuzz/pcap"
)

// input is a file of packets, read one after another: a capture, or packets as
// text. "-" is the standard input.
type input struct {
	name   string
	kind   string // capture, case or hex dump
	file   io.Closer
	size   int64 // of the file, 0 if it is not known
	pcap   *pcap.Reader
	text   []pcap.Packet // of a case or hex dump, those not read yet
	counts int           // packets read
}

// maxText is the largest file that is read at once: a case, a crasher, packets as
// text.
const maxText = 1 << 25

// openFile opens a file and looks at its first bytes.
func openFile(name string, stdin io.Reader) (f io.ReadCloser, size int64, head []byte, r *bufio.Reader, err error) {
	f = io.NopCloser(stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, 0, nil, nil, err
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			file.Close()
			return nil, 0, nil, nil, fmt.Errorf("%s: is a directory", name)
		} else if err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		f = file
	}
	r = bufio.NewReaderSize(f, 1<<16)
	head, err = r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, 0, nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, size, head, r, nil
}

// openPackets opens a capture or packets as text.
func openPackets(name string, stdin io.Reader) (*input, error) {
	f, size, head, r, err := openFile(name, stdin)
	if err != nil {
		return nil, err
	}
	in, err := newInput(name, f, size, head, r)
	if err != nil {
		f.Close()
		return nil, err
	}
	return in, nil
}

func newInput(name string, f io.Closer, size int64, head []byte, r io.Reader) (*input, error) {
	in := &input{name: name, file: f, size: size, kind: "capture"}
	var err error
	if pcap.IsPcap(head) {
		if in.pcap, err = pcap.NewReader(r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return in, nil
	}
	text, err := readText(name, r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte(caseMagic)) {
		in.kind = "case"
		return in, in.readCase(text)
	}
	in.kind = "hex dump"
	list, err := hexdump.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: neither a capture, nor packets as text: %w", name, err)
	}
	for i, p := range list {
		in.text = append(in.text, pcap.Packet{Number: i + 1, Time: time.Unix(0, 0), Data: p.Data, Comment: p.Comment})
	}
	return in, nil
}

// readCase takes the packets of a case, such as a recorder writes; superpackets with
// their VnetHdr.
func (in *input) readCase(text []byte) error {
	c, err := pkts.Parse(in.name, text)
	if err != nil {
		return err
	}
	if c.Op == pkts.OpChecksum {
		return fmt.Errorf("%s: a case of op checksum has no packets", in.name)
	}
	for _, b := range c.Batches {
		for _, p := range b.In {
			comment := ""
			if c.Op == pkts.OpSegment {
				comment = check.VnetComment(p.Vnet)
			}
			in.text = append(in.text, pcap.Packet{Number: len(in.text) + 1, Time: time.Unix(0, 0), Data: p.Data, Comment: comment})
		}
	}
	return nil
}

// readText reads all there is, up to a limit.
func readText(name string, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if n > maxText {
		return nil, fmt.Errorf("%s: offset %d: a text of over %d bytes", name, maxText, maxText)
	}
	return b.Bytes(), nil
}

// next returns the next packet, or io.EOF.
func (in *input) next() (pcap.Packet, error) {
	if in.pcap != nil {
		p, err := in.pcap.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return p, fmt.Errorf("%s: %w", in.name, err)
		}
		if err == nil {
			in.counts++
		}
		return p, err
	}
	if len(in.text) == 0 {
		return pcap.Packet{}, io.EOF
	}
	p := in.text[0]
	in.text = in.text[1:]
	in.counts++
	return p, nil
}

// notes are what was left out.
func (in *input) notes() []string {
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

func (in *input) close() { in.file.Close() }

// progress tells every two seconds how far a command is.
type progress struct {
	out     io.Writer
	command string
	inputs  []*input
	calls   int
	told    time.Time
}

func newProgress(out io.Writer, command string, inputs ...*input) *progress {
	return &progress{out: out, command: command, inputs: inputs, told: time.Now()}
}

// tell is called after each packet.
func (p *progress) tell(ctx context.Context, found int) error {
	if p.calls++; p.calls%256 != 0 {
		return nil
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	if time.Since(p.told) < 2*time.Second {
		return nil
	}
	p.told = time.Now()
	for _, in := range p.inputs {
		var at int64
		if in.pcap != nil {
			at = in.pcap.Offset()
		}
		fmt.Fprintf(p.out, "%s: %s: %d of %d MB, %d packets, %d findings\n", p.command, in.name, at>>20, in.size>>20, in.counts, found)
	}
	return nil
}

var errInterrupted = errors.New("interrupted")
