package anonymise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/record"
)

// NameError is the error of a copy that has no name: a file of that name exists already,
// or two copies would have it.
type NameError string

func (e NameError) Error() string { return string(e) }

// Files writes copies of captures into a directory, reports each on out, and returns the
// number of packets. The name "-" is stdin. A NameError comes before anything is written.
func (a *Anonymiser) Files(ctx context.Context, stdin io.Reader, out, progress io.Writer, dir string, names []string) (packets int, err error) {
	copies := map[string]string{}
	for _, name := range names {
		to := copyName(name, dir)
		if _, err := os.Lstat(to); err == nil {
			return 0, NameError(to + " exists already, and is not overwritten")
		}
		if other, twice := copies[to]; twice {
			return 0, NameError(fmt.Sprintf("%s and %s would both be written to %s", other, name, to))
		}
		copies[to] = name
	}
	for _, name := range names {
		n, err := a.file(ctx, stdin, out, progress, name, copyName(name, dir))
		if err != nil {
			return 0, err
		}
		packets += n
	}
	return packets, nil
}

// copyName returns the file that the copy of a capture is written to. The copy of
// a text is a pcapng file.
func copyName(name, dir string) string {
	if name == "-" {
		name = "stdin.pcapng"
	}
	if ext := filepath.Ext(name); ext == ".pkts" || ext == ".txt" || ext == ".hex" {
		name = strings.TrimSuffix(name, ext) + ".pcapng"
	}
	return filepath.Join(dir, filepath.Base(name))
}

// file writes the copy of one capture and returns the number of its packets. After an
// error there is no copy.
func (a *Anonymiser) file(ctx context.Context, stdin io.Reader, out, progress io.Writer, name, to string) (n int, err error) {
	in, err := capture.Open(name, stdin)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	f, err := file.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = f.Finish(err); err == nil {
			for _, note := range in.Notes() {
				fmt.Fprintf(out, "%s: %s\n", name, note)
			}
			fmt.Fprintf(out, "%s: %s\n", to, record.Count(n, "packet"))
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	format := pcap.Classic
	if in.NG() {
		format = pcap.NG // it has room for comments
	}
	w, err := pcap.NewWriter(buffered, format)
	if err != nil {
		return 0, err
	}
	tell := capture.NewProgress(progress, "anonymise", in)
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return n, buffered.Flush()
		}
		if err == nil {
			p, err = a.Packet(p)
		}
		if err == nil {
			err = w.Write(p)
		}
		if err == nil {
			err = tell.Step(ctx, 0)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}
