// SPDX-License-Identifier: MIT

// Package corpus embeds the cases and the captures: known bugs, and real traffic.
// Package pkts has their format. A case's path is its ID. It is named after a
// behaviour, and an ID is never changed or reused.
package corpus

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"tunproof/corpus/pkts"
)

//go:embed coalesce segment checksum captures/*.pcap
var files embed.FS

// Case is a case with its ID, such as "coalesce/flags-psh-tcp4".
type Case struct {
	ID string
	*pkts.Case
}

// Cases returns every case, sorted by ID.
func Cases() ([]Case, error) {
	var list []Case
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".pkts" {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		c, err := pkts.Parse(name, text)
		if err != nil {
			return err
		}
		list = append(list, Case{name[:len(name)-len(".pkts")], c})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return list, nil
}

// Capture is a recording in a classic pcap file.
type Capture struct {
	Name string // such as "tcp4-bulk"
	Pcap []byte
}

// Captures returns every capture. The README.md of their directory describes how they
// were made.
func Captures() ([]Capture, error) {
	names, err := fs.Glob(files, "captures/*.pcap")
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	var list []Capture
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
		list = append(list, Capture{path.Base(name[:len(name)-len(".pcap")]), b})
	}
	return list, nil
}
