// Package document finds and replaces what commands write into documents.
package document

import (
	"bytes"
	"fmt"
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
