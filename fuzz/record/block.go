// SPDX-License-Identifier: MIT

package record

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"tunproof/fuzz/internal/file"
)

// Block splits a document at a block: the text between the lines "<!-- name -->" and
// "<!-- /name -->". before and after include these lines.
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

// Replace returns the document with the text of a block replaced.
func Replace(doc []byte, name string, text []byte) ([]byte, error) {
	before, _, after, err := Block(doc, name)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{before, text, after}, nil), nil
}

// Render reads a file of records and writes the table that the function table makes of
// them. It writes to out or, if into names a document, into the block name of that.
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

// ReplaceFile replaces the text of a block in the file of a document.
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

// WriteFile writes result records to a file, one JSON object a line.
func WriteFile(name string, rows []Result) error {
	f, err := file.Create(name)
	if err != nil {
		return err
	}
	return f.Finish(Write(f, rows))
}
