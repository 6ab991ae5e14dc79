// SPDX-License-Identifier: MIT

package capture

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"

	"tunproof/fuzz/internal/process"
)

// compression is a form of compressed data.
type compression struct {
	name  string
	magic string // the data starts with it; at most 4 bytes
	// open returns the data without compression. It is nil if the program with this name
	// has to do it.
	open func(io.Reader) (io.Reader, error)
}

var compressions = []compression{
	{name: "gzip", magic: "\x1f\x8b\x08", open: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{name: "bzip2", magic: "BZh", open: func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{name: "zstd", magic: "\x28\xb5\x2f\xfd"},
	{name: "xz", magic: "\xfd7zX"},
	{name: "lz4", magic: "\x04\x22\x4d\x18"},
	{name: "lz4", magic: "\x02\x21\x4c\x18"}, // the legacy form
}

// maxLayers is how many times a file may be compressed.
const maxLayers = 4

// compressionOf returns the compression of data that starts with head, nil if there is
// none. Four bytes are enough.
func compressionOf(head []byte) *compression {
	for i := range compressions {
		if bytes.HasPrefix(head, []byte(compressions[i].magic)) {
			return &compressions[i]
		}
	}
	return nil
}

// decompress lets the file be read without a compression.
func (f *File) decompress(c *compression) error {
	var r io.Reader
	var err error
	if c.open != nil {
		r, err = c.open(f.r)
	} else {
		r, err = f.run(c.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	f.r = bufio.NewReaderSize(&decompressed{name: c.name, r: r}, bufferLen)
	f.size = 0
	return nil
}

// decompressed reads data without compression. Its errors name the compression.
type decompressed struct {
	name string
	r    io.Reader
}

func (d *decompressed) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", d.name, err)
	}
	return n, err
}

// run starts a program that decompresses the file, and returns what it writes. Closing the
// file ends it.
func (f *File) run(program string) (io.Reader, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("compressed data, and the program %s, which can read it, is not installed: run %s -d where it is", program, program)
	}
	p := &decompressor{cmd: exec.Command(path, "-dc"), fed: make(chan error, 1)}
	process.Bound(p.cmd)
	p.cmd.Stderr = &p.says
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	from := &readErr{r: f.r}
	go func() {
		_, _ = io.Copy(in, from) // a program that fails reads no more, and says why
		in.Close()
		p.fed <- from.err
	}()
	f.programs = append(f.programs, p)
	return p, nil
}

// readErr keeps the error of a reader, so that it can be told from a writer's.
type readErr struct {
	r   io.Reader
	err error
}

func (r *readErr) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// decompressor reads what a program writes. That the program fails is an error.
type decompressor struct {
	cmd   *exec.Cmd
	out   io.Reader
	says  firstBytes // its standard error
	fed   chan error // the error of reading its input, once the input has ended
	ended bool
	err   error // once it has ended
}

func (p *decompressor) Read(b []byte) (int, error) {
	if p.ended {
		return 0, p.err
	}
	n, err := p.out.Read(b)
	if err == nil {
		return n, nil
	}
	p.ended, p.err = true, err
	if failed := p.cmd.Wait(); failed != nil {
		p.err = failed
		line, _, _ := strings.Cut(strings.TrimSpace(p.says.String()), "\n")
		switch {
		case unfinished.MatchString(line):
			p.err = fmt.Errorf("%w: %s", io.ErrUnexpectedEOF, line)
		case line != "":
			p.err = fmt.Errorf("%w: %s", failed, line)
		}
	} else if unread := <-p.fed; unread != nil {
		p.err = unread
	}
	return n, p.err
}

// unfinished matches what xz, zstd and lz4 say of data without an end.
var unfinished = regexp.MustCompile(`(?i)unexpected end of input|premature end|unfinished stream`)

// end kills the program if it still runs.
func (p *decompressor) end() {
	if !p.ended {
		_ = process.Kill(p.cmd) // it may have ended on its own
		_ = p.cmd.Wait()        // killed
	}
}

// firstBytes keeps the first bytes that are written to it.
type firstBytes struct{ bytes.Buffer }

func (f *firstBytes) Write(b []byte) (int, error) {
	f.Buffer.Write(b[:min(len(b), max(0, 1<<12-f.Len()))])
	return len(b), nil
}
