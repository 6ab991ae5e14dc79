package record

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"tunproof/fuzz/internal/file"
)

// Block returns what is before, in and behind a block of a document, which stands between
// the lines "<!-- name -->" and "<!-- /name -->"; the lines are before and behind it.
func Block(doc []byte, name string) (before, in, after []byte, err error) {
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->\n")
	at := bytes.Index(doc, begin)
	to := bytes.Index(doc, end)
	if at < 0 || to < at {
		return nil, nil, nil, fmt.Errorf("no lines %q and %q", bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	at += len(begin)
	return doc[:at], doc[at:to], doc[to:], nil
}

// Replace returns a document with another text in a block.
func Replace(doc []byte, name string, text []byte) ([]byte, error) {
	before, _, after, err := Block(doc, name)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{before, text, after}, nil), nil
}

// Render writes what table makes of a file of records, into a block of a document
// if one is named.
func Render(out io.Writer, records, into, name string, table func(io.Writer, []Result) error) error {
	f, err := os.Open(records)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", records, err)
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s: no records", records)
	}
	if into == "" {
		return table(out, rows)
	}
	var text bytes.Buffer
	if err := table(&text, rows); err != nil {
		return err
	}
	return ReplaceFile(into, name, text.Bytes())
}

// ReplaceFile writes what is made by a command into a block of a document.
func ReplaceFile(document, name string, text []byte) error {
	doc, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if doc, err = Replace(doc, name, text); err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	return file.Write(document, doc)
}

// WriteFile writes result records, one a line.
func WriteFile(name string, rows []Result) error {
	f, err := file.Create(name)
	if err != nil {
		return err
	}
	return f.Finish(Write(f, rows))
}
