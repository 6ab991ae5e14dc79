// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// perRow is the number of bytes in a full row of print_hex_dump.
const perRow = 16

// logRow is a row of print_hex_dump (lib/hexdump.c) in a kernel log: what is before it, with a
// name at its end, and its bytes. Between them is the address if DUMP_PREFIX_ADDRESS asks for
// one. It is hashed since Linux 4.15, so it says nothing.
var logRow = regexp.MustCompile(`^(.*(?:\[ *\d+\.\d+\](?:\[ *[TC]\d+\])?|\[[A-Z][a-z]{2} [^\]]*\]|\bkernel:) ([\w .-]+: )??)(?:[0-9a-f]{16}: )?((?:[0-9a-f]{2} ){0,15}[0-9a-f]{2})(?:  .*)?$`)

// isOffset matches what looks like a name and is an offset.
var isOffset = regexp.MustCompile(`^[0-9a-f]{8}: $`)

// numbered returns a kernel log whose dumps have no offsets (DUMP_PREFIX_NONE or
// DUMP_PREFIX_ADDRESS of print_hex_dump) with offsets. The lines keep their places. A dump
// starts at a row that does not follow another one, after a short row, and after a whole packet.
// Any other text is returned as it is.
func numbered(text []byte) []byte {
	if !bytes.Contains(text, []byte("] ")) && !bytes.Contains(text, []byte("kernel: ")) {
		return text
	}
	var out, packet []byte // packet has the bytes of a dump so far
	done := 0              // bytes of text that are in out
	at := 0
	for line := range bytes.Lines(text) {
		from := at
		at += len(line)
		var row [][]byte
		if len(line) <= maxDumpLine {
			row = logRow.FindSubmatch(bytes.TrimRight(line, "\r\n"))
		}
		if row == nil || isOffset.Match(row[2]) {
			packet = nil
			continue
		}
		b, _ := hex.DecodeString(strings.ReplaceAll(string(row[3]), " ", "")) // logRow has only digits
		if n := len(packet); n%perRow != 0 || n > 0 && whole(packet) {
			packet = nil
		}
		out = append(out, text[done:from]...)
		out = fmt.Appendf(out, "%s%08x: %s\n", row[1], len(packet), row[3])
		packet, done = append(packet, b...), at
	}
	if out == nil {
		return text
	}
	return append(out, text[done:]...)
}
