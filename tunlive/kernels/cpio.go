// SPDX-License-Identifier: MIT

package kernels

import (
	"bytes"
	"fmt"
)

// entry is a file of an initramfs.
type entry struct {
	name string
	mode uint32 // including the type: 0o100755
	data []byte
}

const regular, directory = 0o100000, 0o040000

// cpio returns an archive in the format that the kernel unpacks
// (Documentation/driver-api/early-userspace, format "newc"): directories before their
// contents.
func cpio(list []entry) []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for n, e := range append(list, entry{name: "TRAILER!!!"}) {
		links := 1
		if e.mode&directory != 0 {
			links = 2
		}
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", n+1, e.mode, 0, 0, links, 0, len(e.data), 0, 0, 0, 0, len(e.name)+1, 0)
		b.WriteString(e.name)
		b.WriteByte(0)
		pad()
		b.Write(e.data)
		pad()
	}
	return b.Bytes()
}
