// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/record"
)

// notAnInput returns an error if a file that is to be written is an input. A name of ""
// stands for no file.
func notAnInput(inputs []string, names ...string) error {
	for _, name := range names {
		for _, in := range inputs {
			if name != "" && file.Same(in, name) {
				return fmt.Errorf("%w: %s is an input and would be overwritten", errUsage, name)
			}
		}
	}
	return nil
}

// newOutput is notAnInput for the files of a flag that cannot be the standard output.
func newOutput(flag string, inputs []string, names ...string) error {
	if slices.ContainsFunc(names, func(name string) bool { return name != "" && file.IsStdout(name) }) {
		return fmt.Errorf("%w: %s writes to a file, not to standard output", errUsage, flag)
	}
	return notAnInput(inputs, names...)
}

// nothingFound says that there is no excerpt.
func nothingFound(s streams, command, name string) error {
	_, err := fmt.Fprintf(s.err, "%s: %s is not written: nothing was found\n", command, name)
	return err
}

// writeExcerpt writes a part of a capture to a pcapng file, and says so.
func writeExcerpt(s streams, command, name string, list []pcap.Packet) error {
	f, err := file.Create(name)
	if err != nil {
		return err
	}
	w, err := pcap.NewWriter(f, pcap.NG)
	for _, p := range list {
		if err == nil {
			err = w.Write(p)
		}
	}
	if err = f.Finish(err); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.err, "%s: %s: %s\n", command, name, record.Count(len(list), "packet"))
	return err
}
