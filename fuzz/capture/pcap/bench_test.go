// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func BenchmarkRead(b *testing.B) {
	for _, format := range []Format{Classic, NG} {
		for _, size := range []int{60, 1400} {
			var file bytes.Buffer
			w, err := NewWriter(&file, format)
			if err != nil {
				b.Fatal(err)
			}
			p := Packet{Time: time.Unix(1_700_000_000, 1), Data: make([]byte, size)}
			for range 10_000 {
				if err := w.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("format=%s/size=%d", [...]string{"classic", "ng"}[format], size), func(b *testing.B) {
				b.SetBytes(int64(file.Len()))
				b.ReportAllocs()
				for b.Loop() {
					r, err := NewReader(bytes.NewReader(file.Bytes()))
					for err == nil {
						_, err = r.Next()
					}
					if !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, format := range []Format{Classic, NG} {
		b.Run(fmt.Sprintf("format=%s/size=1400", [...]string{"classic", "ng"}[format]), func(b *testing.B) {
			w, err := NewWriter(io.Discard, format)
			if err != nil {
				b.Fatal(err)
			}
			p := Packet{Time: time.Unix(1_700_000_000, 1), Data: make([]byte, 1400), Comment: "packet 7"}
			b.SetBytes(int64(len(p.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
