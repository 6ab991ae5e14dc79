package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"tunproof/fuzz/document"
	"tunproof/fuzz/record"
)

// renderRecords writes what table makes of a file of records, into a block of a document
// if one is named.
func renderRecords(out io.Writer, file, into, name string, table func(io.Writer, []record.Result) error) error {
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
	if into == "" {
		return table(out, rows)
	}
	var text bytes.Buffer
	if err := table(&text, rows); err != nil {
		return err
	}
	return replaceBlock(into, name, text.Bytes())
}

// replaceBlock writes what is made by a command into a block of a document.
func replaceBlock(file, name string, text []byte) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if doc, err = document.Replace(doc, name, text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return writeFile(file, doc)
}
