// SPDX-License-Identifier: MIT

package pkts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const example = `# format: 1
# op: coalesce
# why: three packets
# source: by hand
# rules: C1.flow+ C4.conflict-
# config: order=reorder atomic_ids=true max_segments=3 max_udp_segments=4 max_open=5 max_per_flow=6 tcp4=off tcp6=off udp=off
# batch:
# in: First
0000  45 00 01
# fill: 300 f0
012f  00
# in:
# batch:
# in: Joined
# pad: 256 00
# out: packets=0 flags=1 gso_type=4 hdr_len=60 gso_size=1 csum_start=40 csum_offset=16
0000  60
# kernel: if fixed-ids 0
# kernel: if !cwr-2 0
# diverges: one and the other
`

const exampleSegment = `# format: 1
# op: segment
# why: two superpackets
# source: by hand
# batch:
# in: flags=255 gso_type=5 hdr_len=65535 gso_size=1 csum_start=2 csum_offset=3
0000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
0010  10
# error: CsumStart
# kernel: frame-error
# in: flags=9 gso_type=33 hdr_len=90 gso_size=100 csum_start=70 csum_offset=16 outer_th_offset=0 inner_nh_offset=50
# error: Tunnel
# in: flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0
# out:
# out:
0000  aa
# kernel: if small-gso delivered
# kernel: other
# diverges: it is raised
`

const exampleChecksum = `# format: 1
# op: checksum
# why: a sum
# source: by hand
# batch:
# in: seed=0x12ab
0000  01
# sum: 0xffff
`

func TestParseFormat(t *testing.T) {
	for _, text := range []string{example, exampleSegment, exampleChecksum} {
		c, err := Parse("example", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(Format(c))); diff != "" {
			t.Errorf("(-text +Format(Parse(text))):\n%s", diff)
		}
	}
}

func TestParse(t *testing.T) {
	c, err := Parse("example", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	first := []byte{0x45, 0, 1}
	for i := range 300 {
		first = append(first, byte(0xF0+i))
	}
	want := &Case{
		Op: OpCoalesce, Why: "three packets", Source: "by hand", Rules: []string{"C1.flow+", "C4.conflict-"},
		Config: Config{Reorder: true, AtomicIDs: true, MaxSegments: 3, MaxUDPSegments: 4, MaxOpen: 5, MaxPerFlow: 6,
			DisableTCPv4: true, DisableTCPv6: true, DisableUDP: true},
		Batches: []Batch{
			{In: []In{{Reason: "First", Data: append(first, 0)}, {}}},
			{In: []In{{Reason: "Joined", Data: make([]byte, 256)}},
				Out:   []Superpacket{{Packets: []int{0}, Vnet: VnetHdr{1, 4, 60, 1, 40, 16, 0, 0}, Data: []byte{0x60}}},
				Asked: Asked{Kernel: []Kernel{{"fixed-ids", "0"}, {"!cwr-2", "0"}}, Diverges: "one and the other"}},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestErrors checks that errors are reported with their line.
func TestErrors(t *testing.T) {
	head := "# format: 1\n# op: coalesce\n# why: w\n# source: s\n"
	segment := strings.Replace(head, "coalesce", "segment", 1) + "# batch:\n"
	checksum := strings.Replace(head, "coalesce", "checksum", 1) + "# batch:\n"
	vnet := "flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0"
	for _, test := range []struct{ text, want string }{
		{"", "f:1: the file ends before the head is complete"},
		{head, "f:5: the file has no batch"},
		{"# format: 1", "f:1: the last line does not end in a newline"},
		{"# format: 2\n", "f:1: format \"2\": this program reads format 1"},
		{"# op: coalesce\n", "f:1: key \"op\" before \"format\""},
		{"# format: 1\n# format: 1\n", "f:2: key \"format\" twice"},
		{"# format: 1\n# op: join\n", "f:2: op \"join\""},
		{"# format:\n", "f:1: key \"format\" has no value"},
		{"# format:  1\n", "f:1: want one space"},
		{"# format: 1 \n", "f:1: want one space"},
		{"# format\n", "f:1: want \"# key: value\""},
		{"hello\n", "f:1: want \"# key: value\" or"},
		{"# why: w\r\n", "f:1: want one space"},
		{"# batch:\n", "f:1: key \"batch\" before the head is complete"},
		{head + "# colour: red\n", "f:5: unknown key \"colour\""},
		{head + "# rules: C1.flow\n", "f:5: rules: \"C1.flow\" does not end in its side"},
		{head + "# rules: a+  b-\n", "f:5: rules: want one space"},
		{head + "# config: order=reorder\n# rules: a+\n", "f:6: key \"rules\" twice or out of order"},
		{head + "# config: order\n", "f:5: config: want key=value"},
		{head + "# config: order=inorder\n", "f:5: config: order=inorder: unknown"},
		{head + "# config: max_open=65536\n", "f:5: config: max_open=65536: unknown"},
		{head + "# config: max_segments=1023\n", "f:5: config: max_segments=1023: unknown key or value"},
		{head + "# config: udp=off tcp4=off\n", "f:5: config: want the form \"tcp4=off udp=off\""},
		{segment[:len(segment)-len("# batch:\n")] + "# config: udp=off\n", "f:5: config: only op coalesce has one"},
		{head + "# batch: 1\n", "f:5: batch takes no value"},
		{head + "# batch:\n# why: again\n", "f:6: key \"why\" after the first batch"},
		{head + "# in: First\n", "f:5: in before the first batch"},
		{head + "# batch:\n# in: a b\n", "f:6: in: want a Reason"},
		{head + "# batch:\n0000  45\n", "f:6: bytes that belong to no packet"},
		{head + "# batch:\n# fill: 3 00\n", "f:6: bytes that belong to no packet"},
		{head + "# batch:\n# in:\n0001  45\n", "f:7: offset \"0001\": want 0000"},
		{head + "# batch:\n# in:\n0000 45\n", "f:7: want \"# key: value\" or \"0000  45 00\""},
		{head + "# batch:\n# in:\n0000  4\n", "f:7: want 1 to 16 bytes"},
		{head + "# batch:\n# in:\n0000  4500\n", "f:7: want 1 to 16 bytes"},
		{head + "# batch:\n# in:\n0000  AA\n", "f:7: want 1 to 16 bytes"},
		{head + "# batch:\n# in:\n# fill: 300000 00\n", "f:7: a packet has over 262144 bytes"},
		{head + "# batch:\n# in:\n# fill: 0 00\n", "f:7: fill: want a count"},
		{head + "# batch:\n# in:\n# pad: 10 0\n", "f:7: pad: want a count"},
		{head + "# batch:\n# in:\n# fill: 10 AA\n", "f:7: fill: want a count"},
		{head + "# batch:\n# in:\n# fill: 010 aa\n", "f:7: fill: want a count"},
		{head + "# batch:\n# in:\n0000  " + strings.Repeat("45 ", 16) + "45\n", "f:7: want 1 to 16 bytes"},
		{checksum + "# in: seed=0x00001\n", "f:6: in: want seed=0x1234"},
		{checksum + "# in: seed=0x001\n", "f:6: in: want seed=0x1234"},
		{checksum + "# in: seed=0x00AA\n", "f:6: in: want seed=0x1234"},
		{checksum + "# in: seed=0x0000\n# out:\n", "f:7: out does not belong here"},
		{head + "# batch:\n# in:\n# out: packets=1 " + vnet + "\n", "f:7: out: \"1\" is not the index"},
		{head + "# batch:\n# in:\n# out: packets=0\n", "f:7: out: want packets=0,1 and"},
		{head + "# batch:\n# in:\n# out: packets=0 flags=0\n", "f:7: out: a VnetHdr has the fields"},
		{head + "# batch:\n# in:\n# out: packets=0 " + vnet + "\n# in:\n", "f:8: in after the first out"},
		{head + "# batch:\n# in:\n# error: X\n", "f:7: error does not belong here"},
		{head + "# batch:\n# in:\n# sum: 0x0000\n", "f:7: sum does not belong here"},
		{head + "# out: packets=0 " + vnet + "\n", "f:5: out does not belong here"},
		{segment + "# in: flags=256 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0\n", "f:6: in: want flags=N of 8 bits"},
		{segment + "# in: gso_type=0 flags=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0\n", "f:6: in: want flags=N"},
		{segment + "# in: " + vnet + " outer_th_offset=0 inner_nh_offset=0\n", "f:6: in: leave out outer_th_offset and inner_nh_offset"},
		{segment + "# in: " + vnet + " outer_th_offset=20\n", "f:6: in: a VnetHdr has the fields"},
		{segment + "# in: " + vnet + " inner_nh_offset=50 outer_th_offset=20\n", "f:6: in: want outer_th_offset=N"},
		{segment + "# in: " + vnet + "\n# out: x\n", "f:7: out takes no value"},
		{segment + "# in: " + vnet + "\n# error: a b\n", "f:7: error: want the name"},
		{segment + "# in: " + vnet + "\n# error: X\n# out:\n", "f:8: out does not belong here"},
		{segment + "# batch:\n", "f:6: more than one batch"},
		{segment + "# kernel: dropped\n", "f:6: kernel does not belong here"},
		{checksum + "# in: seed=0x0000\n# kernel: dropped\n", "f:7: kernel does not belong here"},
		{segment + "# in: " + vnet + "\n# kernel: lost\n", "f:7: kernel: \"lost\": want one of delivered, "},
		{segment + "# in: " + vnet + "\n# kernel: if X dropped\n", "f:7: kernel: want a feature, then an outcome"},
		{segment + "# in: " + vnet + "\n# kernel: if x\n", "f:7: kernel: want a feature, then an outcome"},
		{segment + "# in: " + vnet + "\n# kernel: dropped\n# out:\n", "f:8: out does not belong here"},
		{segment + "# in: " + vnet + "\n# kernel: dropped\n0000  45\n", "f:8: bytes that belong to no packet"},
		{segment + "# in: " + vnet + "\n# diverges: w\n", "f:7: diverges: want one reason"},
		{segment + "# in: " + vnet + "\n# kernel: dropped\n# diverges: w\n# kernel: other\n", "f:9: kernel does not belong here"},
		{head + "# batch:\n# kernel: 0\n", "f:6: kernel does not belong here"},
		{head + "# batch:\n# in:\n# kernel: 0 1\n", "f:7: kernel: \"1\" is not the index"},
		{head + "# batch:\n# in:\n# kernel: 0,0\n", "f:7: kernel: packet 0 twice"},
		{head + "# batch:\n# in:\n# kernel: 0\n# in:\n", "f:8: in after the first out or kernel"},
		{checksum + "# in: seed=12\n", "f:6: in: want seed=0x1234"},
		{checksum + "# in: seed=0x0000\n# sum: 1\n", "f:7: sum: want 0x1234"},
	} {
		_, err := Parse("f", []byte(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n\tgot  %v\n\twant %s...", test.text, err, test.want)
		}
	}
}

func TestParseVnet(t *testing.T) {
	for _, want := range []VnetHdr{{1, 0x81, 65535, 4, 5, 6, 0, 0}, {0, 0, 0, 0, 0, 0, 1, 0}, {9, 0x21, 1, 2, 3, 4, 65535, 6}, {0, 0, 0, 0, 0, 0, 0, 1}} {
		if got, err := ParseVnet(want.String()); err != nil || got != want {
			t.Errorf("%v comes back as %v, %v", want, got, err)
		}
	}
	if _, err := ParseVnet("flags=1"); err == nil {
		t.Error("a VnetHdr of one field is taken")
	}
}
