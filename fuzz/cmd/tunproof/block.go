package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"tunproof/fuzz/record"
)

// renderRecords writes what table makes of a file of records, into a block of a document
// if one is named.
func renderRecords(out io.Writer, file, document, name string, table func(io.Writer, []record.Result) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := record.Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s: no records", file)
	}
	if document == "" {
		return table(out, rows)
	}
	var text bytes.Buffer
	if err := table(&text, rows); err != nil {
		return err
	}
	return replaceBlock(document, name, text.Bytes())
}

// replaceBlock writes what is made by a command into a document, between the lines
// "<!-- name -->" and "<!-- /name -->".
func replaceBlock(file, name string, text []byte) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, _, after, err := block(doc, name)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return writeFile(file, bytes.Join([][]byte{before, text, after}, nil))
}

// block returns what is before, in and behind a block of a document, with its lines
// around it.
func block(doc []byte, name string) (before, in, after []byte, err error) {
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->\n")
	at := bytes.Index(doc, begin)
	to := bytes.Index(doc, end)
	if at < 0 || to < at {
		return nil, nil, nil, fmt.Errorf("no lines %q and %q", bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	at += len(begin)
	return doc[:at], doc[at:to], doc[to:], nil
}
