// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"syscall"

	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/internal/file"
)

// htmlFile is the page that -html writes.
type htmlFile struct {
	page.Page
	name string // "" without -html
	f    *file.New
}

// htmlFlag adds the flag -html to a command.
func htmlFlag(flags *flag.FlagSet) *htmlFile {
	h := &htmlFile{Page: page.Page{Command: flags.Name()}}
	flags.StringVar(&h.name, "html", "", "write the report to `FILE` too, as one HTML page with the packets' bytes and pictures of the flows")
	return h
}

// open creates the file, before anything is judged. Without -html it does nothing.
func (h *htmlFile) open(inputs []string) error {
	if h.name == "" {
		return nil
	}
	if err := newOutput("-html", inputs, h.name); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves early, such as head, costs the text only
	var err error
	if h.f, err = file.Create(h.name); err != nil {
		return fmt.Errorf("-html: %w", err)
	}
	return nil
}

// add adds a section to the page.
func (h *htmlFile) add(s page.Section, err error) error {
	h.Sections = append(h.Sections, s)
	return err
}

// finish writes the page and returns failed, the error of the command, with its own. If
// nothing was judged, there is no page.
func (h *htmlFile) finish(failed error) error {
	if h.f == nil {
		return failed
	}
	if len(h.Sections) == 0 {
		return h.f.Finish(cmp.Or(failed, errors.New("-html: nothing was judged")))
	}
	return errors.Join(failed, h.f.Finish(h.Write(h.f)))
}
