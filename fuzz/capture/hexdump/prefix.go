// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// perRow is the number of bytes in a full row of print_hex_dump.
const perRow = 16

// logRow is a row of print_hex_dump (lib/hexdump.c) in a kernel log: what is before it, its
// address if DUMP_PREFIX_ADDRESS asks for it, and its bytes.
var logRow = regexp.MustCompile(`^(.*(?:\[ *\d+\.\d+\]|\bkernel:) (?:[\w .-]+: )?)(?:([0-9a-f]{16}): )?((?:[0-9a-f]{2} ){0,15}[0-9a-f]{2})(?:  .*)?$`)

// numbered returns a kernel log whose dumps have no offsets (DUMP_PREFIX_NONE or
// DUMP_PREFIX_ADDRESS of print_hex_dump) with offsets. The lines keep their places. A dump
// starts at a row that does not follow another one, after a short row, where the addresses do
// not go on, and after as many bytes as the IP header says. Any other text is returned as it
// is.
func numbered(text []byte) []byte {
	if !bytes.Contains(text, []byte("] ")) && !bytes.Contains(text, []byte("kernel: ")) {
		return text
	}
	lines := bytes.SplitAfter(text, []byte{'\n'})
	var packet []byte // so far
	var next uint64   // the address of the next row
	changed := false
	for i, line := range lines {
		row := logRow.FindSubmatch(bytes.TrimRight(line, "\r\n"))
		if row == nil {
			packet = nil
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(string(row[3]), " ", ""))
		if err != nil {
			return text
		}
		at, _ := strconv.ParseUint(string(row[2]), 16, 64) // 0 without one
		if n := len(packet); n%perRow != 0 || at != 0 && at != next || n > 0 && n >= lengthOf(packet) {
			packet = nil
		}
		lines[i] = fmt.Appendf(nil, "%s%08x: %s\n", row[1], len(packet), row[3])
		packet, next, changed = append(packet, b...), at+perRow, true
	}
	if !changed {
		return text
	}
	return bytes.Join(lines, nil)
}

// lengthOf returns the length that the IP header at the start of b says, or 65,535 if there is
// none.
func lengthOf(b []byte) int {
	switch {
	case len(b) >= 4 && b[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(b[2:]))
	case len(b) >= 6 && b[0]>>4 == 6:
		return 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	return 0xFFFF
}
