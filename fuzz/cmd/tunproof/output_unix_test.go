// SPDX-License-Identifier: MIT

//go:build unix

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/record"
)

// packetsIn returns the number of packets in a capture.
func packetsIn(t *testing.T, b []byte) int {
	t.Helper()
	list, _, err := pcap.ReadAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// written runs replay -pcap and returns the file that it wrote.
func written(t *testing.T, name string) (fs.FileInfo, []byte) {
	t.Helper()
	if out, stderr, code := call(t, "replay", "-q", "-pcap", name, corpusDir+"captures/tcp4-ecn.pcap"); code != record.ExitHolds {
		t.Fatalf("%s: exit code %d\n%s%s", name, code, out, stderr)
	}
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return info, b
}

// TestOutputPlaces writes to a new name, to a file, and to a symbolic link to a file. A
// file keeps its mode, a link stays a link, and a new file has the mode that the umask
// leaves.
func TestOutputPlaces(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	dir := t.TempDir()
	plain, kept, link, target := filepath.Join(dir, "plain"), filepath.Join(dir, "kept"), filepath.Join(dir, "link"), filepath.Join(dir, "target")
	for _, name := range []string{kept, target} {
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(kept, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{plain: 0o640, kept: 0o604, link: fs.ModeSymlink} {
		info, b := written(t, name)
		if got := info.Mode(); got&fs.ModeType != mode&fs.ModeType || mode.IsRegular() && got != mode || packetsIn(t, b) == 0 {
			t.Errorf("%s is %v, want %v", name, got, mode)
		}
	}
	if info, err := os.Lstat(target); err != nil || info.Mode() != 0o600 || info.Size() < 100 {
		t.Errorf("the target of the link: %v %v", info, err)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{link: "is a symbolic link to nothing", dir: "is a directory"} {
		if _, stderr, code := call(t, "replay", "-q", "-pcap", name, corpusDir+"captures/tcp4-ecn.pcap"); code != record.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || left != nil {
		t.Error(left, err)
	}
}

// TestOutputThrough writes packets to a FIFO and to standard output, named "-" and
// /dev/stdout. The report is not written among the packets.
func TestOutputThrough(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		b, _ := os.ReadFile(fifo)
		read <- b
	}()
	original := corpusDir + "captures/tcp4-ecn.pcap"
	if out, stderr, code := call(t, "replay", "-q", "-pcap", fifo, original); code != record.ExitHolds || !strings.Contains(out, "holds") {
		t.Fatalf("exit code %d\n%s%s", code, out, stderr)
	}
	want := packetsIn(t, <-read)
	if info, err := os.Lstat(fifo); err != nil || info.Mode()&fs.ModeNamedPipe == 0 || want == 0 {
		t.Errorf("the FIFO is %v, %v, with %d packets", info, err, want)
	}
	out, stderr, code := call(t, "replay", "-q", "-pcap", "-", original)
	if code != record.ExitHolds || packetsIn(t, []byte(out)) != want || !strings.Contains(stderr, "holds") {
		t.Errorf("-: exit code %d\n%s", code, stderr)
	}
	if _, err := os.Stat("/dev/stdout"); err == nil {
		out, stderr, state := ownProcess(t, nil, "replay", "-q", "-pcap", "/dev/stdout", original)
		if state.ExitCode() != record.ExitHolds || packetsIn(t, []byte(out)) != want || !strings.Contains(stderr, "holds") {
			t.Errorf("/dev/stdout: exit code %d\n%s", state.ExitCode(), stderr)
		}
	}
}
